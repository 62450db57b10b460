/**
 * ChaCha20-Poly1305 and BLAKE2s over the shared memory, for the data path: OpenSSL's EVP functions, called in
 * Node's own binary or, where that does not show them, in the system's libcrypto; `node:crypto` where there is
 * neither. Nothing is allocated by a call, but by the last of the three.
 *
 * koffi wants addresses that were made at start, so there are places to work in: {@link PLACE_BYTES} apart,
 * each with its address. What is sealed is put together in such a place, and stays there until it is sent;
 * what is opened goes through one and back to where it was.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { blake2s } from '@noble/hashes/blake2.js'
import koffi, { type LibraryHandle } from 'koffi'
import type { Pointer } from './libc.js'
import type { NativeMemory } from './memory.js'

/** Bytes from one place to the next; what is put in one may reach over those behind it. */
export const PLACE_BYTES = 64

/** Where in a place the plain bytes begin: a header goes before them. */
export const PLACE_SKEW = 16

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const MAC_BYTES = 16
/** The longest handshake message, less its macs. */
const MAX_MAC_INPUT_BYTES = 128

/** `struct ossl_param_st` (openssl/core.h): the size, and the offsets of its fields. */
const ossl_param = { size: 40, key: 0, data_type: 8, data: 16, data_size: 24 } as const

/** Keys ready for use, each with a number from 0, and what is done with them. One for each thread. */
export interface Aead {
  /** Takes the 32 bytes of a key, by their offset in the memory, for `slot`: to seal with, or to open. */
  setKey(slot: number, key: number, sealing: boolean): void
  /** Wipes and frees what `slot` holds. */
  clearKey(slot: number): void
  /**
   * Seals the `bytes` bytes that lie in `place`, {@link PLACE_SKEW} in, where they lie; the tag of 16 bytes goes
   * behind them. The nonce is four bytes of zero and the counter, little-endian (RFC 8439; 64 bits: `high`, `low`).
   */
  seal(slot: number, high: number, low: number, place: number, bytes: number): void
  /**
   * Opens `bytes` bytes, the tag among them, which lie at offset `at`, where they lie. False where they were not
   * sealed with this key and nonce; what lies at `at` is then as it was. Else the tag is lost.
   */
  open(slot: number, high: number, low: number, at: number, bytes: number): boolean
}

/** BLAKE2s with one key and 16 bytes out. */
export interface Mac {
  /** Whether the 16 bytes at `mac` are those of the `bytes` bytes at `at`. At most 128. */
  isRight(at: number, bytes: number, mac: number): boolean
}

export interface AeadOptions {
  readonly memory: NativeMemory
  /** Offset of the places, a multiple of 64, and the bytes of all of them. Opening uses the first. */
  readonly at: number
  readonly bytes: number
  readonly scratch: number
  /** Copies `bytes` bytes, and up to 15 more. */
  copy(to: number, from: number, bytes: number): void
}

/** What the work is done with, and what a person is told of it. */
export interface Crypto {
  readonly name: string
  aead(options: AeadOptions): Aead
  /** @param key 32 bytes */
  mac(memory: NativeMemory, scratch: number, key: Uint8Array): Mac
}

/** Bytes of scratch memory that an {@link Aead} or a {@link Mac} asks for. */
export const CRYPTO_SCRATCH_BYTES = 512

/** Where OpenSSL may be found: the process itself, then the names it goes by. */
const LIBRARIES: readonly (string | null)[] = [null, 'libcrypto.so.3', 'libcrypto.so']

/** The first of `libraries` that has what is needed; else `node:crypto`. */
export function findCrypto(libraries = LIBRARIES): Crypto {
  for (const library of libraries) {
    const openSsl = loadOpenSsl(library)
    if (openSsl !== undefined) return openSsl
  }
  return NODE_CRYPTO
}

function loadOpenSsl(library: string | null): Crypto | undefined {
  let functions: OpenSsl
  try {
    functions = declare(koffi.load(library))
  } catch {
    return undefined
  }
  const where = library === null ? "Node's own" : library
  return {
    name: `${functions.version(0)} (${where})`,
    aead: (options) => new EvpAead(functions, options),
    mac: (memory, scratch, key) => new EvpMac(functions, memory, scratch, key),
  }
}

type OpenSsl = ReturnType<typeof declare>

/** OpenSSL 3.0 and later. All but the constructors return 1 for success. */
function declare(lib: LibraryHandle) {
  return {
    version: lib.func('const char *OpenSSL_version(int t)') as (type: number) => string,
    newContext: lib.func('uint64_t EVP_CIPHER_CTX_new()') as () => number | bigint,
    freeContext: lib.func('void EVP_CIPHER_CTX_free(void *ctx)') as (context: Pointer) => void,
    chacha20Poly1305: lib.func('uint64_t EVP_chacha20_poly1305()') as () => number | bigint,
    init: lib.func(
      'int EVP_CipherInit_ex2(void *ctx, void *cipher, void *key, void *iv, int enc, void *params)',
    ) as (
      context: Pointer,
      cipher: Pointer,
      key: Pointer,
      iv: Pointer,
      enc: number,
      params: Pointer,
    ) => number,
    update: lib.func('int EVP_CipherUpdate(void *ctx, void *out, void *outl, void *in, int inl)') as (
      context: Pointer,
      out: Pointer,
      outLength: Pointer,
      from: Pointer,
      bytes: number,
    ) => number,
    final: lib.func('int EVP_CipherFinal_ex(void *ctx, void *out, void *outl)') as (
      context: Pointer,
      out: Pointer,
      outLength: Pointer,
    ) => number,
    getParams: lib.func('int EVP_CIPHER_CTX_get_params(void *ctx, void *params)') as (
      context: Pointer,
      params: Pointer,
    ) => number,
    fetchMac: lib.func('uint64_t EVP_MAC_fetch(void *lib, const char *name, const char *query)') as (
      lib: null,
      name: string,
      query: null,
    ) => number | bigint,
    newMac: lib.func('uint64_t EVP_MAC_CTX_new(void *mac)') as (mac: Pointer) => number | bigint,
    initMac: lib.func('int EVP_MAC_init(void *ctx, void *key, size_t keylen, void *params)') as (
      context: Pointer,
      key: Pointer,
      bytes: number,
      params: Pointer,
    ) => number,
    updateMac: lib.func('int EVP_MAC_update(void *ctx, void *data, size_t datalen)') as (
      context: Pointer,
      data: Pointer,
      bytes: number,
    ) => number,
    finalMac: lib.func('int EVP_MAC_final(void *ctx, void *out, void *outl, size_t outsize)') as (
      context: Pointer,
      out: Pointer,
      outLength: Pointer,
      size: number,
    ) => number,
  }
}

/** Types of parameters (openssl/core.h). */
const OSSL_PARAM_UNSIGNED_INTEGER = 2
const OSSL_PARAM_OCTET_STRING = 5

/** Writes an array of one parameter, with `data` of `bytes` bytes, and its end. */
function writeParams(
  memory: NativeMemory,
  at: number,
  name: number,
  type: number,
  data: number,
  bytes: number,
) {
  memory.u8.fill(0, at, at + 2 * ossl_param.size)
  memory.writePointer(at + ossl_param.key, name)
  memory.u32[(at + ossl_param.data_type) >>> 2] = type
  memory.writePointer(at + ossl_param.data, data)
  memory.u32[(at + ossl_param.data_size) >>> 2] = bytes
}

class EvpAead implements Aead {
  readonly #openSsl: OpenSsl
  readonly #memory: NativeMemory
  readonly #copy: AeadOptions['copy']
  readonly #at: number
  /** Of each place, {@link PLACE_SKEW} in. */
  readonly #addresses: readonly unknown[]
  readonly #contexts: (bigint | undefined)[] = []
  readonly #cipher: bigint
  readonly #nonce: number
  readonly #nonceAddress: bigint
  readonly #lengthAddress: bigint
  readonly #tagParams: number
  readonly #tagParamsAddress: bigint

  constructor(openSsl: OpenSsl, { memory, at, bytes, scratch, copy }: AeadOptions) {
    this.#openSsl = openSsl
    this.#memory = memory
    this.#copy = copy
    this.#at = at + PLACE_SKEW
    const addresses: unknown[] = []
    for (let offset = 0; offset < bytes; offset += PLACE_BYTES)
      addresses.push(memory.address(this.#at + offset))
    this.#addresses = addresses
    this.#cipher = BigInt(openSsl.chacha20Poly1305())
    this.#nonce = scratch
    this.#nonceAddress = memory.address(scratch)
    this.#lengthAddress = memory.address(scratch + 64)
    const name = scratch + 128
    memory.u8.set(Buffer.from('tag\0'), name)
    this.#tagParams = scratch + 192
    this.#tagParamsAddress = memory.address(this.#tagParams)
    writeParams(memory, this.#tagParams, name, OSSL_PARAM_OCTET_STRING, 0, TAG_BYTES)
  }

  setKey(slot: number, key: number, sealing: boolean): void {
    this.clearKey(slot)
    const context = BigInt(this.#openSsl.newContext())
    this.#contexts[slot] = context
    const keyAddress = this.#memory.address(key)
    this.#openSsl.init(context, this.#cipher, keyAddress, this.#nonceAddress, sealing ? 1 : 0, null)
  }

  clearKey(slot: number): void {
    const context = this.#contexts[slot]
    if (context !== undefined) this.#openSsl.freeContext(context)
    this.#contexts[slot] = undefined
  }

  seal(slot: number, high: number, low: number, place: number, bytes: number): void {
    const openSsl = this.#openSsl
    const context = this.#contexts[slot] as bigint
    const address = this.#addresses[place] as bigint
    this.#setNonce(high, low)
    this.#setTag(this.#at + place * PLACE_BYTES + bytes)
    const done =
      openSsl.init(context, null, null, this.#nonceAddress, -1, null) &
      (bytes === 0 ? 1 : openSsl.update(context, address, this.#lengthAddress, address, bytes)) &
      openSsl.final(context, address, this.#lengthAddress) &
      openSsl.getParams(context, this.#tagParamsAddress)
    if (done !== 1) throw new Error('OpenSSL does not seal')
  }

  open(slot: number, high: number, low: number, at: number, bytes: number): boolean {
    const openSsl = this.#openSsl
    const context = this.#contexts[slot] as bigint
    const address = this.#addresses[0] as bigint
    const length = bytes - TAG_BYTES
    this.#setNonce(high, low)
    this.#setTag(at + length)
    this.#copy(this.#at, at, length)
    if (
      openSsl.init(context, null, null, this.#nonceAddress, -1, this.#tagParamsAddress) !== 1 ||
      (bytes > TAG_BYTES && openSsl.update(context, address, this.#lengthAddress, address, length) !== 1) ||
      openSsl.final(context, address, this.#lengthAddress) !== 1
    )
      return false
    this.#copy(at, this.#at, length)
    return true
  }

  #setNonce(high: number, low: number): void {
    this.#memory.u32[(this.#nonce + 4) >>> 2] = low
    this.#memory.u32[(this.#nonce + 8) >>> 2] = high
  }

  #setTag(at: number): void {
    this.#memory.writePointer(this.#tagParams + ossl_param.data, at)
  }
}

class EvpMac implements Mac {
  readonly #openSsl: OpenSsl
  readonly #memory: NativeMemory
  readonly #context: bigint
  readonly #input: number
  readonly #inputAddress: bigint
  readonly #output: number
  readonly #outputAddress: bigint
  readonly #lengthAddress: bigint

  constructor(openSsl: OpenSsl, memory: NativeMemory, scratch: number, key: Uint8Array) {
    this.#openSsl = openSsl
    this.#memory = memory
    this.#input = scratch
    this.#inputAddress = memory.address(scratch)
    this.#output = scratch + MAX_MAC_INPUT_BYTES
    this.#outputAddress = memory.address(this.#output)
    const length = this.#output + 64
    this.#lengthAddress = memory.address(length)
    const params = this.#output + 128
    const name = params + 2 * ossl_param.size
    const size = name + 16
    memory.u8.set(Buffer.from('size\0'), name)
    memory.u32[size >>> 2] = MAC_BYTES
    writeParams(memory, params, name, OSSL_PARAM_UNSIGNED_INTEGER, size, 8)
    memory.u8.set(key, this.#input)
    this.#context = BigInt(openSsl.newMac(BigInt(openSsl.fetchMac(null, 'BLAKE2SMAC', null))))
    if (openSsl.initMac(this.#context, this.#inputAddress, KEY_BYTES, memory.address(params)) !== 1)
      throw new Error('OpenSSL takes no key for BLAKE2s')
  }

  isRight(at: number, bytes: number, mac: number): boolean {
    const openSsl = this.#openSsl
    const { u8 } = this.#memory
    u8.copyWithin(this.#input, at, at + bytes)
    const done =
      openSsl.initMac(this.#context, null, 0, null) &
      openSsl.updateMac(this.#context, this.#inputAddress, bytes) &
      openSsl.finalMac(this.#context, this.#outputAddress, this.#lengthAddress, MAC_BYTES)
    if (done !== 1) throw new Error('OpenSSL makes no BLAKE2s')
    let differences = 0
    for (let i = 0; i < MAC_BYTES; i++) differences |= u8[this.#output + i] ^ u8[mac + i]
    return differences === 0
  }
}

const NODE_CRYPTO: Crypto = {
  name: 'node:crypto',
  aead: (options) => new NodeAead(options),
  mac: (memory, _scratch, key) => new NobleMac(memory, key),
}

const ALGORITHM = 'chacha20-poly1305'
const OPTIONS = { authTagLength: TAG_BYTES } as const

class NodeAead implements Aead {
  readonly #u8: Uint8Array
  readonly #at: number
  readonly #keys: (Uint8Array | undefined)[] = []
  readonly #nonce = new Uint8Array(NONCE_BYTES)
  readonly #nonceView = new DataView(this.#nonce.buffer)

  constructor({ memory, at }: AeadOptions) {
    this.#u8 = memory.u8
    this.#at = at + PLACE_SKEW
  }

  setKey(slot: number, key: number, _sealing: boolean): void {
    this.clearKey(slot)
    this.#keys[slot] = this.#u8.slice(key, key + KEY_BYTES)
  }

  clearKey(slot: number): void {
    this.#keys[slot]?.fill(0)
    this.#keys[slot] = undefined
  }

  seal(slot: number, high: number, low: number, place: number, bytes: number): void {
    const at = this.#at + place * PLACE_BYTES
    const cipher = createCipheriv(ALGORITHM, this.#key(slot), this.#nonceOf(high, low), OPTIONS)
    this.#u8.set(cipher.update(this.#u8.subarray(at, at + bytes)), at)
    cipher.final()
    this.#u8.set(cipher.getAuthTag(), at + bytes)
  }

  open(slot: number, high: number, low: number, at: number, bytes: number): boolean {
    const end = at + bytes - TAG_BYTES
    const decipher = createDecipheriv(ALGORITHM, this.#key(slot), this.#nonceOf(high, low), OPTIONS)
    decipher.setAuthTag(this.#u8.slice(end, end + TAG_BYTES))
    const plain = decipher.update(this.#u8.subarray(at, end))
    try {
      decipher.final()
    } catch {
      return false
    }
    this.#u8.set(plain, at)
    return true
  }

  #key(slot: number): Uint8Array {
    return this.#keys[slot] as Uint8Array
  }

  #nonceOf(high: number, low: number): Uint8Array {
    this.#nonceView.setUint32(4, low, true)
    this.#nonceView.setUint32(8, high, true)
    return this.#nonce
  }
}

class NobleMac implements Mac {
  readonly #u8: Uint8Array
  readonly #key: Uint8Array

  constructor(memory: NativeMemory, key: Uint8Array) {
    this.#u8 = memory.u8
    this.#key = Uint8Array.from(key)
  }

  isRight(at: number, bytes: number, mac: number): boolean {
    const right = blake2s(this.#u8.slice(at, at + bytes), { key: this.#key, dkLen: MAC_BYTES })
    return right.every((byte, index) => byte === this.#u8[mac + index])
  }
}

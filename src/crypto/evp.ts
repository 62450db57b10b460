/** ChaCha20-Poly1305 and BLAKE2s by OpenSSL's EVP functions. No call allocates memory. */
import type { LibraryHandle } from 'koffi'
import type { Pointer } from '../linux/libc.js'
import type { NativeMemory } from '../linux/memory.js'
import {
  type Aead,
  type AeadOptions,
  KEY_BYTES,
  type KeyedHash,
  MAC_BYTES,
  MAX_MAC_INPUT_BYTES,
  OPENING_SLOTS,
  SEALING_SLOT_BYTES,
  SEALING_SLOT_SKEW,
  slotAddresses,
  TAG_BYTES,
} from './ciphers.js'

/** `struct ossl_param_st` (openssl/core.h): its size, and the offsets of its fields. */
export const ossl_param = { size: 40, key: 0, data_type: 8, data: 16, data_size: 24 } as const

export type OpenSsl = ReturnType<typeof declareEvp>

/** For OpenSSL 3.0 and later. All functions but the constructors return 1 for success. */
export function declareEvp(lib: LibraryHandle) {
  return {
    version: lib.func('const char *OpenSSL_version(int t)') as (type: number) => string,
    newContext: lib.func('uint64_t EVP_CIPHER_CTX_new()') as () => number | bigint,
    freeContext: lib.func('void EVP_CIPHER_CTX_free(void *ctx)') as (context: Pointer) => void,
    chacha20Poly1305: lib.func('uint64_t EVP_chacha20_poly1305()') as () => number | bigint,
    chacha20: lib.func('uint64_t EVP_chacha20()') as () => number | bigint,
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
    /** The same function, for a new nonce. The numbers are 0, because koffi passes numbers faster than null. */
    renew: lib.func(
      'int EVP_CipherInit_ex2(void *ctx, size_t cipher, size_t key, void *iv, int enc, void *params)',
    ) as (context: Pointer, cipher: number, key: number, iv: Pointer, enc: number, params: Pointer) => number,
    /** Returns the number of bytes. */
    cipher: lib.func('int EVP_Cipher(void *ctx, void *out, void *in, unsigned int inl)') as (
      context: Pointer,
      out: Pointer,
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
export const OSSL_PARAM_OCTET_STRING = 5

/** Writes an array with one parameter, whose `data` has `bytes` bytes, and the end mark. */
export function writeParams(
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

export class EvpAead implements Aead {
  readonly #openSsl: OpenSsl
  readonly #memory: NativeMemory
  readonly #copy: AeadOptions['copy']
  readonly #at: number
  /** The addresses of each slot's plain bytes. */
  readonly #addresses: readonly unknown[]
  readonly #contexts: (bigint | undefined)[] = []
  readonly #cipher: bigint
  readonly #nonce: number
  readonly #nonceAddress: bigint
  readonly #lengthAddress: bigint
  readonly #tagParams: number
  readonly #tagParamsAddress: bigint
  readonly #noParamsAddress: bigint

  constructor(openSsl: OpenSsl, options: AeadOptions) {
    const { memory, at, scratch, copy } = options
    this.#openSsl = openSsl
    this.#memory = memory
    this.#copy = copy
    this.#at = at + SEALING_SLOT_SKEW
    this.#addresses = slotAddresses(options).slice(SEALING_SLOT_SKEW / SEALING_SLOT_BYTES)
    this.#cipher = BigInt(openSsl.chacha20Poly1305())
    this.#nonce = scratch
    this.#nonceAddress = memory.address(scratch)
    this.#lengthAddress = memory.address(scratch + 64)
    const name = scratch + 128
    memory.u8.set(Buffer.from('tag\0'), name)
    this.#tagParams = scratch + 192
    this.#tagParamsAddress = memory.address(this.#tagParams)
    writeParams(memory, this.#tagParams, name, OSSL_PARAM_OCTET_STRING, 0, TAG_BYTES)
    // Only the end mark behind the parameter: an empty array.
    this.#noParamsAddress = memory.address(this.#tagParams + ossl_param.size)
  }

  setKey(keySlot: number, key: number, sealing: boolean): void {
    this.clearKey(keySlot)
    const context = BigInt(this.#openSsl.newContext())
    this.#contexts[keySlot] = context
    const keyAddress = this.#memory.address(key)
    this.#openSsl.init(context, this.#cipher, keyAddress, this.#nonceAddress, sealing ? 1 : 0, null)
  }

  clearKey(keySlot: number): void {
    const context = this.#contexts[keySlot]
    if (context !== undefined) this.#openSsl.freeContext(context)
    this.#contexts[keySlot] = undefined
  }

  seal(keySlot: number, high: number, low: number, slot: number, bytes: number): void {
    const openSsl = this.#openSsl
    const context = this.#contexts[keySlot] as bigint
    const address = this.#addresses[slot] as bigint
    this.#setNonce(high, low)
    this.#setTag(this.#at + slot * SEALING_SLOT_BYTES + bytes)
    const done =
      openSsl.renew(context, 0, 0, this.#nonceAddress, -1, this.#noParamsAddress) &
      (openSsl.cipher(context, address, address, bytes) === bytes ? 1 : 0) &
      openSsl.final(context, address, this.#lengthAddress) &
      openSsl.getParams(context, this.#tagParamsAddress)
    if (done !== 1) throw new Error('OpenSSL does not seal')
  }

  open(keySlot: number, high: number, low: number, at: number, bytes: number): boolean {
    const openSsl = this.#openSsl
    const context = this.#contexts[keySlot] as bigint
    const address = this.#addresses[OPENING_SLOTS.sealed] as bigint
    const plain = this.#at + OPENING_SLOTS.sealed * SEALING_SLOT_BYTES
    const length = bytes - TAG_BYTES
    this.#setNonce(high, low)
    this.#setTag(at + length)
    this.#copy(plain, at, length)
    if (
      openSsl.renew(context, 0, 0, this.#nonceAddress, -1, this.#tagParamsAddress) !== 1 ||
      openSsl.cipher(context, address, address, length) !== length ||
      openSsl.final(context, address, this.#lengthAddress) !== 1
    )
      return false
    this.#copy(at, plain, length)
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

export class EvpKeyedHash implements KeyedHash {
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
    memory.u8.fill(0, this.#input, this.#input + KEY_BYTES)
  }

  setKey(key: number, bytes: number): void {
    const { u8 } = this.#memory
    u8.copyWithin(this.#input, key, key + bytes)
    if (this.#openSsl.initMac(this.#context, this.#inputAddress, bytes, null) !== 1)
      throw new Error('OpenSSL takes no key for BLAKE2s')
    u8.fill(0, this.#input, this.#input + bytes)
  }

  write(at: number, bytes: number, out: number): void {
    this.#make(at, bytes)
    this.#memory.u8.copyWithin(out, this.#output, this.#output + MAC_BYTES)
  }

  isRight(at: number, bytes: number, mac: number): boolean {
    this.#make(at, bytes)
    const { u8 } = this.#memory
    let differences = 0
    for (let i = 0; i < MAC_BYTES; i++) differences |= u8[this.#output + i] ^ u8[mac + i]
    return differences === 0
  }

  #make(at: number, bytes: number): void {
    const openSsl = this.#openSsl
    this.#memory.u8.copyWithin(this.#input, at, at + bytes)
    const done =
      openSsl.initMac(this.#context, null, 0, null) &
      openSsl.updateMac(this.#context, this.#inputAddress, bytes) &
      openSsl.finalMac(this.#context, this.#outputAddress, this.#lengthAddress, MAC_BYTES)
    if (done !== 1) throw new Error('OpenSSL makes no BLAKE2s')
  }
}

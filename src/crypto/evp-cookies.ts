/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) by OpenSSL, which does not have this cipher. It is made from
 * ciphers that OpenSSL has. HChaCha20 makes a key from a key and the first 16 bytes of the nonce. It is
 * ChaCha20's block function without the last step, which adds the initial state. So we take a block of
 * ChaCha20's key stream and subtract that state.
 */

import type { NativeMemory } from '../linux/memory.js'
import { type CookieSealer, KEY_BYTES, TAG_BYTES, XNONCE_BYTES } from './ciphers.js'
import { type OpenSsl, OSSL_PARAM_OCTET_STRING, ossl_param, writeParams } from './evp.js'

/** The first words of ChaCha20's state (RFC 8439, 2.3). */
const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const
const BLOCK_BYTES = 64
/** The bytes of the nonce that go into the key. The other 8 go into the nonce of ChaCha20-Poly1305. */
const KEYING_BYTES = 16
const COOKIE_BYTES = 16

/** Offsets in the scratch memory. */
const ZEROS = 0
const BLOCK = 64
const KEYING = 128
const SUBKEY = 192
const NONCE = 224
const DATA = 256
const COOKIE = 272
const LENGTH = 320
const PARAMS = 336
const NAME = PARAMS + 2 * ossl_param.size

export class EvpCookieSealer implements CookieSealer {
  readonly #openSsl: OpenSsl
  readonly #memory: NativeMemory
  readonly #at: number
  readonly #chacha: bigint
  readonly #aead: bigint
  readonly #aeadCipher: bigint
  readonly #addresses: Record<'zeros' | 'block' | 'keying' | 'subkey' | 'nonce' | 'data', bigint>
  readonly #cookieAddress: bigint
  readonly #lengthAddress: bigint
  readonly #paramsAddress: bigint
  readonly #noParamsAddress: bigint

  constructor(openSsl: OpenSsl, memory: NativeMemory, scratch: number, key: Uint8Array) {
    this.#openSsl = openSsl
    this.#memory = memory
    this.#at = scratch
    const address = (offset: number) => memory.address(scratch + offset)
    this.#addresses = {
      zeros: address(ZEROS),
      block: address(BLOCK),
      keying: address(KEYING),
      subkey: address(SUBKEY),
      nonce: address(NONCE),
      data: address(DATA),
    }
    this.#cookieAddress = address(COOKIE)
    this.#lengthAddress = address(LENGTH)
    this.#paramsAddress = address(PARAMS)
    this.#noParamsAddress = address(PARAMS + ossl_param.size)
    memory.u8.set(Buffer.from('tag\0'), scratch + NAME)
    const tag = scratch + COOKIE + COOKIE_BYTES
    writeParams(memory, scratch + PARAMS, scratch + NAME, OSSL_PARAM_OCTET_STRING, tag, TAG_BYTES)
    this.#aeadCipher = BigInt(openSsl.chacha20Poly1305())
    this.#aead = BigInt(openSsl.newContext())
    this.#chacha = BigInt(openSsl.newContext())
    memory.u8.set(key, scratch + SUBKEY)
    this.#takeKey()
  }

  setKey(key: number): void {
    this.#memory.u8.copyWithin(this.#at + SUBKEY, key, key + KEY_BYTES)
    this.#takeKey()
  }

  /** The key is in the place of the subkey. */
  #takeKey(): void {
    const openSsl = this.#openSsl
    const { subkey, keying } = this.#addresses
    if (openSsl.init(this.#chacha, BigInt(openSsl.chacha20()), subkey, keying, 1, null) !== 1)
      throw new Error('OpenSSL takes no key for ChaCha20')
  }

  seal(nonce: number, cookie: number, data: number, out: number): void {
    const openSsl = this.#openSsl
    const { u8, u32 } = this.#memory
    const at = this.#at
    const { zeros, block, keying, subkey, nonce: nonceAddress, data: dataAddress } = this.#addresses
    u8.copyWithin(at + KEYING, nonce, nonce + KEYING_BYTES)
    u8.copyWithin(at + NONCE + 4, nonce + KEYING_BYTES, nonce + XNONCE_BYTES)
    u8.copyWithin(at + DATA, data, data + COOKIE_BYTES)
    u8.copyWithin(at + COOKIE, cookie, cookie + COOKIE_BYTES)
    let done =
      openSsl.renew(this.#chacha, 0, 0, keying, -1, this.#noParamsAddress) &
      (openSsl.cipher(this.#chacha, block, zeros, BLOCK_BYTES) === BLOCK_BYTES ? 1 : 0)
    const from = (at + BLOCK) >>> 2
    const to = (at + SUBKEY) >>> 2
    for (let word = 0; word < 4; word++) {
      u32[to + word] = u32[from + word] - CONSTANTS[word]
      u32[to + 4 + word] = u32[from + 12 + word] - u32[((at + KEYING) >>> 2) + word]
    }
    done &=
      openSsl.init(this.#aead, this.#aeadCipher, subkey, nonceAddress, 1, null) &
      (openSsl.cipher(this.#aead, null, dataAddress, COOKIE_BYTES) >= 0 ? 1 : 0) &
      (openSsl.cipher(this.#aead, this.#cookieAddress, this.#cookieAddress, COOKIE_BYTES) >= 0 ? 1 : 0) &
      openSsl.final(this.#aead, this.#cookieAddress, this.#lengthAddress) &
      openSsl.getParams(this.#aead, this.#paramsAddress)
    u8.fill(0, at + SUBKEY, at + SUBKEY + KEY_BYTES)
    if (done !== 1) throw new Error('OpenSSL does not seal')
    u8.copyWithin(out, at + COOKIE, at + COOKIE + COOKIE_BYTES + TAG_BYTES)
  }
}

/** The crypto of the data path by `node:crypto` and @noble. It is slower, and it allocates memory. */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { blake2s } from '@noble/hashes/blake2.js'
import type { NativeMemory } from '../linux/memory.js'
import {
  type Aead,
  type AeadOptions,
  type CookieSealer,
  type Crypto,
  KEY_BYTES,
  type KeyedHash,
  MAC_BYTES,
  NONCE_BYTES,
  SEALING_SLOT_BYTES,
  SEALING_SLOT_SKEW,
  TAG_BYTES,
  XNONCE_BYTES,
} from './ciphers.js'

export const NODE_CRYPTO: Crypto = {
  name: 'node:crypto',
  aead: (options) => new NodeAead(options),
  mac: (memory, _scratch, key) => new NobleMac(memory, key),
  cookieSealer: (memory, _scratch, key) => new NobleCookieSealer(memory, key),
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
    this.#at = at + SEALING_SLOT_SKEW
  }

  setKey(keySlot: number, key: number, _sealing: boolean): void {
    this.clearKey(keySlot)
    this.#keys[keySlot] = this.#u8.slice(key, key + KEY_BYTES)
  }

  clearKey(keySlot: number): void {
    this.#keys[keySlot]?.fill(0)
    this.#keys[keySlot] = undefined
  }

  seal(keySlot: number, high: number, low: number, slot: number, bytes: number): void {
    const at = this.#at + slot * SEALING_SLOT_BYTES
    const cipher = createCipheriv(ALGORITHM, this.#key(keySlot), this.#nonceOf(high, low), OPTIONS)
    this.#u8.set(cipher.update(this.#u8.subarray(at, at + bytes)), at)
    cipher.final()
    this.#u8.set(cipher.getAuthTag(), at + bytes)
  }

  open(keySlot: number, high: number, low: number, at: number, bytes: number): boolean {
    const end = at + bytes - TAG_BYTES
    const decipher = createDecipheriv(ALGORITHM, this.#key(keySlot), this.#nonceOf(high, low), OPTIONS)
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

  #key(keySlot: number): Uint8Array {
    return this.#keys[keySlot] as Uint8Array
  }

  #nonceOf(high: number, low: number): Uint8Array {
    this.#nonceView.setUint32(4, low, true)
    this.#nonceView.setUint32(8, high, true)
    return this.#nonce
  }
}

class NobleMac implements KeyedHash {
  readonly #u8: Uint8Array
  #key: Uint8Array

  constructor(memory: NativeMemory, key: Uint8Array) {
    this.#u8 = memory.u8
    this.#key = Uint8Array.from(key)
  }

  setKey(key: number, bytes: number): void {
    this.#key.fill(0)
    this.#key = this.#u8.slice(key, key + bytes)
  }

  write(at: number, bytes: number, out: number): void {
    this.#u8.set(this.#make(at, bytes), out)
  }

  isRight(at: number, bytes: number, mac: number): boolean {
    let differences = 0
    for (const [index, byte] of this.#make(at, bytes).entries()) differences |= byte ^ this.#u8[mac + index]
    return differences === 0
  }

  #make(at: number, bytes: number): Uint8Array {
    return blake2s(this.#u8.slice(at, at + bytes), { key: this.#key, dkLen: MAC_BYTES })
  }
}

class NobleCookieSealer implements CookieSealer {
  readonly #u8: Uint8Array
  #key: Uint8Array

  constructor(memory: NativeMemory, key: Uint8Array) {
    this.#u8 = memory.u8
    this.#key = Uint8Array.from(key)
  }

  setKey(key: number): void {
    this.#key.fill(0)
    this.#key = this.#u8.slice(key, key + KEY_BYTES)
  }

  seal(nonce: number, cookie: number, data: number, out: number): void {
    const take = (at: number, bytes: number) => this.#u8.slice(at, at + bytes)
    const cipher = xchacha20poly1305(this.#key, take(nonce, XNONCE_BYTES), take(data, MAC_BYTES))
    this.#u8.set(cipher.encrypt(take(cookie, MAC_BYTES)), out)
  }
}

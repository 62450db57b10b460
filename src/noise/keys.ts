import type { KeyObject } from 'node:crypto'
import { hash, importPrivateKey, importPublicKey, publicKeyOf } from '../crypto/primitives.js'
import { secretBytes } from '../key-text.js'
import { PUBLIC_KEY_BYTES } from '../wire/wireguard.js'

/**
 * Makes a private key from 32 random bytes. It sets the bits that the curve would set (RFC 7748, section 5).
 */
export function clampPrivateKey(random: Uint8Array): Buffer {
  const key = secretBytes(random.length)
  key.set(random)
  key[0] &= 0xf8
  key[31] = (key[31] & 0x7f) | 0x40
  return key
}

/** The public key of a private key, both as bytes. */
export function derivePublicKey(privateKey: Uint8Array): Buffer {
  return publicKeyOf(importPrivateKey(privateKey))
}

const MAC1_LABEL = Buffer.from('mac1----')
const COOKIE_LABEL = Buffer.from('cookie--')

/** A public key, and what is derived from it once (white paper, sections 5.4.4 and 5.4.7). */
export class Identity {
  readonly publicKey: Buffer
  readonly key: KeyObject
  /** The key of mac1 in messages to this identity. */
  readonly mac1Key: Buffer
  /** The key of cookie replies from this identity. */
  readonly cookieKey: Buffer

  constructor(publicKey: Uint8Array) {
    if (publicKey.length !== PUBLIC_KEY_BYTES) throw new RangeError('a public key is 32 bytes')
    this.publicKey = Buffer.from(publicKey)
    this.key = importPublicKey(publicKey)
    this.mac1Key = hash(MAC1_LABEL, publicKey)
    this.cookieKey = hash(COOKIE_LABEL, publicKey)
  }
}

/** This end's identity and its private key, which only OpenSSL holds. */
export class OwnIdentity extends Identity {
  readonly privateKey: KeyObject

  /** @param privateKey 32 bytes; the caller wipes them */
  constructor(privateKey: Uint8Array) {
    const key = importPrivateKey(privateKey)
    super(publicKeyOf(key))
    this.privateKey = key
  }
}

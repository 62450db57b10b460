import { type KeyObject, timingSafeEqual } from 'node:crypto'
import { collectGarbage } from '../crypto/collect.js'
import { hash, importPrivateKey, importPublicKey, publicKeyOf, wipe } from '../crypto/primitives.js'
import { secretBytes } from '../key-text.js'
import { PUBLIC_KEY_BYTES } from '../wire/wireguard.js'
import { SigningKey } from './signing-key.js'

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

/** The signing key of the host that has this private key, clamped or not. */
export function deriveSigningKey(privateKey: Uint8Array): SigningKey {
  const clamped = clampPrivateKey(privateKey)
  try {
    return new SigningKey(clamped)
  } finally {
    wipe(clamped)
  }
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

/** This end's identity and its private keys, which only OpenSSL holds. */
export class OwnIdentity extends Identity {
  readonly privateKey: KeyObject
  readonly signingKey: SigningKey

  /** @param privateKey 32 bytes; the caller wipes them */
  constructor(privateKey: Uint8Array) {
    const key = importPrivateKey(privateKey)
    super(publicKeyOf(key))
    this.privateKey = key
    this.signingKey = deriveSigningKey(privateKey)
  }
}

/** Whether 32 bytes, clamped or not, are a private key that is clamped. */
export function isSameKey(clamped: Uint8Array, bytes: Uint8Array): boolean {
  const other = clampPrivateKey(bytes)
  const isSame = timingSafeEqual(clamped, other)
  wipe(other)
  return isSame
}

/** A private key that is read when it is needed, and a text that tells it from others. */
export interface HeldKey {
  readonly fingerprint: string
  reveal(): Uint8Array
}

/** The identity of the key that was read first, or that is in use. */
let known: { readonly fingerprint: string; readonly identity: OwnIdentity; isUsed: boolean } | undefined
/** Whether OpenSSL may hold keys of identities that nobody uses. */
let areUnused = false

/**
 * The identity of this host's private key. The one in use is made once, however often its key is read, because OpenSSL
 * has a copy of the key for each.
 */
export function identityOf(key: HeldKey): OwnIdentity {
  if (known?.fingerprint === key.fingerprint) return known.identity
  const identity = new OwnIdentity(key.reveal())
  if (known === undefined) known = { fingerprint: key.fingerprint, identity, isUsed: false }
  else areUnused = true
  return identity
}

/** This identity, of this key, is the one in use from now on; undefined: there is none. */
export function useIdentity(key: HeldKey | undefined, identity: OwnIdentity | undefined): void {
  areUnused ||= known !== undefined && known.identity !== identity
  known = key && identity && { fingerprint: key.fingerprint, identity, isUsed: true }
}

/** Makes OpenSSL wipe the keys of identities that are not in use. Whoever has one must have let it go. */
export function wipeUnusedIdentities(): void {
  if (known?.isUsed === false) {
    known = undefined
    areUnused = true
  }
  if (areUnused) collectGarbage()
  areUnused = false
}

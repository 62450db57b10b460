import { type KeyObject, sign, verify } from 'node:crypto'
import { importPrivateKey, importPublicKey, kdf, publicKeyOf, wipe } from '../crypto/primitives.js'

/**
 * A host's signing key: an Ed25519 key (RFC 8032) that follows from its private key. With it the host signs where it is,
 * for others who read that in a store. A signed record says which one is whose (wire/signed-record.ts).
 */

/** The salt of the HKDF, so that nothing else is derived in the same way. */
const LABEL = Buffer.from('udptun-fast host signing key', 'latin1')

export class SigningKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  /** @param privateKey the host's, clamped (noise/keys.ts) */
  constructor(privateKey: Uint8Array) {
    const [seed] = kdf(1, LABEL, privateKey)
    try {
      this.#key = importPrivateKey(seed, 'Ed25519')
    } finally {
      wipe(seed)
    }
    this.publicKey = publicKeyOf(this.#key)
  }

  /** @returns 64 bytes */
  sign(message: Uint8Array): Uint8Array {
    return sign(null, message, this.#key)
  }
}

/** Whether the holder of a signing key has signed a message. It takes about a tenth of a millisecond. */
export function isSignedByHost(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return verify(null, message, importPublicKey(publicKey, 'Ed25519'), signature)
}

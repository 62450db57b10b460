import { createPrivateKey, type KeyObject } from 'node:crypto'

/**
 * The private key of these 32 bytes, for handshakes that are the same each time. By a JSON Web Key (RFC 8037), OpenSSL
 * takes a tenth of the time that PKCS #8 takes. That leaves the key in a string, which is good enough for a test.
 */
export function knownEphemeral(bytes: Uint8Array): KeyObject {
  // Node.js wants the public part to be there, and does not look at it.
  const key = { kty: 'OKP', crv: 'X25519', x: '', d: Buffer.from(bytes).toString('base64url') }
  return createPrivateKey({ key, format: 'jwk' })
}

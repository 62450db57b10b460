/**
 * The primitives of the handshake (white paper, section 5.4). Curve25519, BLAKE2s, HMAC and ChaCha20-Poly1305
 * come from OpenSSL by `node:crypto`. BLAKE2s with a key and XChaCha20-Poly1305 come from @noble, because
 * `node:crypto` does not have them. They are for the main thread and take a few microseconds each. The data
 * path has its own crypto (crypto/evp.ts).
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { blake2s } from '@noble/hashes/blake2.js'
import { secretBytes } from '../key-text.js'
import { MAC_BYTES, TAG_BYTES } from '../wire/wireguard.js'

const ALGORITHM = 'chacha20-poly1305'
const OPTIONS = { authTagLength: TAG_BYTES } as const
/** What comes before the 32 bytes of a private key in PKCS #8 (RFC 8410), by the curve. */
const PKCS8_PREFIX = {
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
  Ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
} as const

/** The room that OpenSSL takes for these 48 bytes while it decodes them (BUF_MEM_grow of crypto/buffer/buffer.c). */
const DECODED_BYTES = 68

/** More than there are free pieces of memory of this size where the last ones may be. */
const FREE_PIECES = 256

/** A private key, as OpenSSL holds it. @param bytes 32 bytes, for X25519 clamped or not */
export function importPrivateKey(bytes: Uint8Array, curve: keyof typeof PKCS8_PREFIX = 'X25519'): KeyObject {
  const prefix = PKCS8_PREFIX[curve]
  const key = secretBytes(prefix.length + bytes.length)
  key.set(prefix)
  key.set(bytes, prefix.length)
  try {
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  } finally {
    key.fill(0)
    overwriteFreed()
  }
}

/**
 * OpenSSL does not wipe what it has decoded before it frees it. glibc gives it to the next one who asks, and that is soon.
 * musl keeps it for seconds. So we ask for as much memory of this size as is free. V8 fills it with zeros.
 */
function overwriteFreed(): void {
  const pieces: ArrayBuffer[] = []
  while (pieces.length < FREE_PIECES) pieces.push(new ArrayBuffer(DECODED_BYTES))
}

/**
 * A new Curve25519 private key. OpenSSL takes 40 µs for it, but 400 µs for {@link importPrivateKey}. Its bytes never leave
 * OpenSSL.
 *
 * It must not be exported, nor a public key that was made of it: Node.js locks the key meanwhile, and what has made the key
 * locks it again when it is collected (`~KeyPairGenConfig` of src/crypto/crypto_keygen.h). If the collector runs during the
 * export, the thread waits for itself for ever. {@link agree} and {@link publicKeyOf} lock nothing.
 */
export function makePrivateKey(): KeyObject {
  return generateKeyPairSync('x25519').privateKey
}

/**
 * A public key, as OpenSSL holds it. Public keys go in and out as JSON Web Keys (RFC 8037): OpenSSL takes 10 µs at most
 * for that, but 80 µs for SubjectPublicKeyInfo. Private keys do not, because a string cannot be wiped.
 * @param bytes 32 bytes
 */
export function importPublicKey(bytes: Uint8Array, crv: 'X25519' | 'Ed25519' = 'X25519'): KeyObject {
  const x = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv, x }, format: 'jwk' })
}

/** The point whose multiples public keys are (RFC 7748, 4.1). */
const BASE_POINT = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 9 : 0))
let basePoint: KeyObject | undefined

/** The 32 bytes of the public key of a private key on Curve25519, or of a key on the curve of signatures. */
export function publicKeyOf(key: KeyObject): Buffer {
  if (key.asymmetricKeyType === 'x25519') {
    basePoint ??= importPublicKey(BASE_POINT)
    return diffieHellman({ privateKey: key, publicKey: basePoint })
  }
  const { x } = createPublicKey(key).export({ format: 'jwk' }) as { x: string }
  return Buffer.from(x, 'base64url')
}

/** Curve25519 (RFC 7748); undefined if the result is all zeros, which a point of small order gives. */
export function agree(privateKey: KeyObject, publicKey: KeyObject): Buffer | undefined {
  try {
    return diffieHellman({ privateKey, publicKey })
  } catch {
    return undefined
  }
}

/** BLAKE2s with an output of 32 bytes (RFC 7693). */
export function hash(...parts: readonly Uint8Array[]): Buffer {
  const state = createHash('blake2s256')
  for (const part of parts) state.update(part)
  return state.digest()
}

/** BLAKE2s with a key and an output of 16 bytes: mac1, mac2, cookies. */
export function mac(key: Uint8Array, message: Uint8Array): Uint8Array {
  return blake2s(message, { key, dkLen: MAC_BYTES })
}

/** HMAC of BLAKE2s (RFC 2104). */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const state = createHmac('blake2s256', key)
  for (const part of parts) state.update(part)
  return state.digest()
}

/** HKDF (RFC 5869) with {@link hmac}: `count` keys of 32 bytes each. */
export function kdf(count: number, key: Uint8Array, input: Uint8Array): Buffer[] {
  const secret = hmac(key, input)
  const keys: Buffer[] = []
  for (let i = 1; i <= count; i++) keys.push(hmac(secret, keys.at(-1) ?? EMPTY, Uint8Array.of(i)))
  secret.fill(0)
  return keys
}

export const EMPTY = new Uint8Array(0)

/** The handshake uses each key only once to seal, so the counter is zero. */
const NONCE = new Uint8Array(12)

/** ChaCha20-Poly1305 (RFC 8439) with nonce zero: the sealed `plain`, followed by the tag. */
export function seal(key: Uint8Array, plain: Uint8Array, data: Uint8Array): Buffer {
  const cipher = createCipheriv(ALGORITHM, key, NONCE, OPTIONS)
  cipher.setAAD(data, { plaintextLength: plain.length })
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** The reverse of {@link seal}; undefined if `sealed` was not sealed in this way. */
export function open(key: Uint8Array, sealed: Uint8Array, data: Uint8Array): Buffer | undefined {
  const length = sealed.length - TAG_BYTES
  const decipher = createDecipheriv(ALGORITHM, key, NONCE, OPTIONS)
  decipher.setAAD(data, { plaintextLength: length })
  decipher.setAuthTag(sealed.subarray(length))
  const plain = decipher.update(sealed.subarray(0, length))
  try {
    decipher.final()
    return plain
  } catch {
    return undefined
  }
}

/** Opens XChaCha20-Poly1305 with a nonce of 24 bytes; undefined if `sealed` was not sealed in this way. */
export function openCookie(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  data: Uint8Array,
): Uint8Array | undefined {
  try {
    return xchacha20poly1305(key, nonce, data).decrypt(sealed)
  } catch {
    return undefined
  }
}

/** Overwrites secrets that are no longer needed. Copies that OpenSSL or the garbage collector made remain. */
export function wipe(...secrets: readonly (Uint8Array | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0)
}

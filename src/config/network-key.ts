import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { UserError } from '../errors.js'
import { formatKey, parseKey } from '../key-text.js'
import {
  MAX_RECORD_BYTES,
  type RecordContent,
  readRecord,
  recordBody,
  SIGNATURE_BYTES,
  type SignedRecord,
  signedBytes,
} from '../wire/signed-record.js'
import { readSecretFile } from './key-file.js'

/**
 * A network key: an Ed25519 key (RFC 8032). It signs which members a network has. Its private part is in a file in PEM
 * (PKCS #8, RFC 8410), as OpenSSL has it; its public part is 32 bytes in base64.
 */

/** Longer than any such file. */
const MAX_FILE_BYTES = 4096

/** The public part as bytes: the last 32 of its SubjectPublicKeyInfo (RFC 8410, 4). */
const PUBLIC_BYTES = 32
const SPKI = { type: 'spki', format: 'der' } as const

export function publicPart(key: KeyObject): string {
  return publicPartOf(createPublicKey(key).export(SPKI))
}

/** @param spki as {@link SPKI} exports it */
function publicPartOf(spki: Buffer): string {
  return formatKey(spki.subarray(-PUBLIC_BYTES))
}

/**
 * Makes a key, and its file. Only the owner can read that.
 * @returns the public part
 * @throws UserError: also if there is such a file
 */
export function makeNetworkKey(path: string): string {
  // Exported at once, because a key that was made must not be exported later (crypto/primitives.ts).
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: SPKI,
  })
  const text = publicPartOf(publicKey)
  let fd: number
  try {
    fd = openSync(path, 'wx', 0o600)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(
      code === 'EEXIST'
        ? `${path} is there already, and a key is never overwritten; choose another name`
        : `${path} cannot be made (${code}); choose a folder that is there, and that you may write to`,
    )
  }
  try {
    // What stands before the first line of PEM is a comment.
    writeSync(fd, `network_key: ${text}\n${privateKey}`)
    fsyncSync(fd)
  } catch (error) {
    throw new UserError(`${path} cannot be written (${(error as NodeJS.ErrnoException).code}); remove it`)
  } finally {
    closeSync(fd)
  }
  return text
}

/** @throws UserError */
export function readNetworkKey(path: string): KeyObject {
  let bytes: Buffer
  try {
    bytes = readSecretFile(path, MAX_FILE_BYTES)
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`the network key: ${error.message}`)
    throw error
  }
  try {
    const key = createPrivateKey({ key: bytes, format: 'pem' })
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // It is none.
  } finally {
    bytes.fill(0)
  }
  throw new UserError(
    `"${path}" does not hold a network key; check its name; for a new key: udptun-fast network key <a new file>`,
  )
}

/** A public part, as {@link makeNetworkKey} gives it. @throws RangeError: the rest of a sentence */
export function parseNetworkKey(text: string): string {
  if (parseKey(text) === undefined)
    throw new RangeError(
      `"${text}" is not the public part of a network key, which has 44 characters; udptun-fast network key prints it`,
    )
  return text
}

/** @param text as {@link parseNetworkKey} takes it */
export function networkPublicKey(text: string): KeyObject {
  const x = Buffer.from(text, 'base64').toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
}

/** @throws UserError if it is too long */
export function signRecord(content: RecordContent, key: KeyObject): SignedRecord {
  const body = recordBody(content)
  const bytes = body.length + SIGNATURE_BYTES
  if (bytes > MAX_RECORD_BYTES)
    throw new UserError(
      `this record has ${bytes} bytes, and at most ${MAX_RECORD_BYTES} fit into one datagram; write larger prefixes, or fewer of them, or shorter names`,
    )
  const record = readRecord(Buffer.concat([body, sign(null, signedBytes(body), key)]))
  if (record === undefined) throw new Error('a record that was made is malformed')
  return record
}

/** It takes about a tenth of a millisecond. */
export function isSignedBy({ bytes }: SignedRecord, key: KeyObject): boolean {
  const at = bytes.length - SIGNATURE_BYTES
  return verify(null, signedBytes(bytes.subarray(0, at)), key, bytes.subarray(at))
}

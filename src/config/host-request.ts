import { createHash } from 'node:crypto'

/**
 * What a host gives to whoever signs its record: its two public keys, as one line. After the prefix, in base64: version of
 * this form (1 byte), public key (32), signing key (32), and the first 4 bytes of the SHA-256 of all that, which show that
 * a line was not copied whole.
 */
const PREFIX = 'udptun-request:'
const VERSION = 1
const KEY_BYTES = 32
const SUM_BYTES = 4
const BYTES = 1 + 2 * KEY_BYTES + SUM_BYTES

const HOW = 'udptun-fast network request prints it on the host that the record is for'

export interface HostRequest {
  readonly publicKey: Uint8Array
  readonly signingKey: Uint8Array
}

export function formatRequest({ publicKey, signingKey }: HostRequest): string {
  const body = Buffer.concat([Buffer.of(VERSION), publicKey, signingKey])
  return `${PREFIX}${Buffer.concat([body, sumOf(body)]).toString('base64')}`
}

/** @throws RangeError: the rest of a sentence */
export function parseRequest(text: string): HostRequest {
  if (!text.startsWith(PREFIX))
    throw new RangeError(`this is no request, which begins with ${PREFIX}; ${HOW}`)
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64')
  const body = bytes.subarray(0, -SUM_BYTES)
  if (bytes.length !== BYTES || body[0] !== VERSION || !sumOf(body).equals(bytes.subarray(-SUM_BYTES)))
    throw new RangeError(`this request is damaged, or of another version; ${HOW}`)
  return {
    publicKey: Uint8Array.from(body.subarray(1, 1 + KEY_BYTES)),
    signingKey: Uint8Array.from(body.subarray(1 + KEY_BYTES)),
  }
}

function sumOf(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, SUM_BYTES)
}

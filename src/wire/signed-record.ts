import { Taker } from './taker.js'
import { nameBytes, networkBytes, readName, readNetwork, type ToldNetwork } from './told.js'

/**
 * A signed record: what a network key says of one member. All numbers are big-endian.
 *
 * | bytes | what |
 * | ---: | --- |
 * | 1 | version of this form: 2 with a signing key, 1 without |
 * | 32 | the member's public key (WireGuard's) |
 * | 0 or 32 | its signing key (Ed25519), with which it signs where it is; only in version 2 |
 * | 8 | serial number: of two records of one member, the one with the greater serial number counts |
 * | 8 | end: seconds since 1970, from which it is not valid any more |
 * | 1 + n | its name (wire/told.ts) |
 * | 1 + … | number of networks, and each of them: the overlay addresses and prefixes that it may have |
 * | 1 + … | number of groups, and the name of each |
 * | 1 + … | number of rules of who may send to it, and for each: 1 byte of length, 1 to 255 printable ASCII characters |
 * | 64 | signature: Ed25519 (RFC 8032, 5.1) over {@link DOMAIN} and all bytes before the signature |
 *
 * The same content has only one form: networks, groups and rules are in the order of their bytes, none is there twice, and no
 * byte follows. Anything else is malformed. The domain keeps a signature from meaning something else elsewhere.
 */
const VERSION = { plain: 1, signing: 2 } as const
const DOMAIN = Buffer.from('udptun-fast member record\0', 'latin1')

const KEY_BYTES = 32
export const SIGNATURE_BYTES = 64

/** The longest record, signature included. With three endpoints of IPv6 and a MAC it fits into an introduction. */
export const MAX_RECORD_BYTES = 360

/** Serial numbers are exact as numbers of JavaScript. */
export const MAX_SERIAL = Number.MAX_SAFE_INTEGER

/** The end of the year 9999, the last one that has an ordinary date. */
export const MAX_END_S = 253_402_300_799

export interface RecordContent {
  readonly publicKey: Uint8Array
  /** With it the member signs where it is. */
  readonly signingKey?: Uint8Array | undefined
  readonly serial: number
  /** Seconds since 1970. */
  readonly endsS: number
  /** 1 to 63 ASCII characters without spaces. */
  readonly name: string
  readonly networks: readonly ToldNetwork[]
  readonly groups: readonly string[]
  /** Access rules of the member itself, as config/access-rule.ts reads them. */
  readonly allow: readonly string[]
}

/** A record that has the right form. Whether its signature is right is not known by that. */
export interface SignedRecord extends RecordContent {
  /** All of it. The signature is at the end. */
  readonly bytes: Uint8Array
}

/** The record without its signature. */
export function recordBody(content: RecordContent): Uint8Array {
  const numbers = Buffer.alloc(16)
  numbers.writeBigUInt64BE(BigInt(content.serial), 0)
  numbers.writeBigUInt64BE(BigInt(content.endsS), 8)
  const networks = inOrder(content.networks.map(networkBytes))
  const groups = inOrder(content.groups.map(nameBytes))
  const allow = inOrder(content.allow.map(nameBytes))
  const { signingKey } = content
  return Buffer.concat([
    Buffer.of(signingKey === undefined ? VERSION.plain : VERSION.signing),
    content.publicKey,
    ...(signingKey === undefined ? [] : [signingKey]),
    numbers,
    nameBytes(content.name),
    Buffer.of(networks.length),
    ...networks,
    Buffer.of(groups.length),
    ...groups,
    Buffer.of(allow.length),
    ...allow,
  ])
}

/** What the signature is made over. */
export function signedBytes(body: Uint8Array): Uint8Array {
  return Buffer.concat([DOMAIN, body])
}

function inOrder(items: readonly Uint8Array[]): Uint8Array[] {
  const sorted = [...items].sort(Buffer.compare)
  return sorted.filter((it, at) => at === 0 || Buffer.compare(sorted[at - 1], it) !== 0)
}

/** @returns undefined if it is malformed, too long or of another version */
export function readRecord(bytes: Uint8Array): SignedRecord | undefined {
  if (bytes.length > MAX_RECORD_BYTES) return undefined
  const taker = new Taker(bytes)
  const version = taker.byte()
  if (version !== VERSION.plain && version !== VERSION.signing) return undefined
  const publicKey = taker.take(KEY_BYTES)
  const signingKey = version === VERSION.signing ? taker.take(KEY_BYTES) : undefined
  const numbers = taker.take(16)
  const name = readName(taker)
  const networks = taker.list(() => readNetwork(taker))
  const groups = taker.list(() => readName(taker))
  const allow = taker.list(() => readRule(taker))
  if (taker.left !== SIGNATURE_BYTES) return undefined
  if (publicKey === undefined || numbers === undefined || name === undefined) return undefined
  if (networks === undefined || groups === undefined || allow === undefined) return undefined
  const view = new DataView(numbers.buffer)
  const [serial, endsS] = [Number(view.getBigUint64(0)), Number(view.getBigUint64(8))]
  if (serial > MAX_SERIAL || endsS > MAX_END_S) return undefined
  const content = {
    publicKey,
    ...(signingKey === undefined ? {} : { signingKey }),
    serial,
    endsS,
    name,
    networks,
    groups,
    allow,
  }
  const body = bytes.subarray(0, bytes.length - SIGNATURE_BYTES)
  if (Buffer.compare(recordBody(content), body) !== 0) return undefined
  return { ...content, bytes: Uint8Array.from(bytes) }
}

function readRule(taker: Taker): string | undefined {
  const bytes = taker.take(taker.byte() ?? 0)
  if (bytes === undefined || bytes.length === 0 || !bytes.every((it) => it >= 0x20 && it < 0x7f))
    return undefined
  return Buffer.from(bytes).toString('latin1')
}

import { readRecord, type SignedRecord } from './signed-record.js'
import { Taker } from './taker.js'
import { nameBytes, networkBytes, readName, readNetwork, type ToldNetwork } from './told.js'

/**
 * What an introducer and a member tell each other: the content of control frames of the types `ask` and
 * `introduction` (wire/control.ts). All numbers are big-endian. Both begin with the version of this form (1 byte), and
 * ignore bytes that come after what they know.
 *
 * An introducer keeps its members in a list. Each change of one has a number, its revision: 1 and up. The numbers
 * are of one epoch, a random number that the introducer makes when it starts.
 *
 * An `ask` says which changes its sender has: version, zero (1 byte), bytes of the record (2), epoch (4), revision (4),
 * and the signed record of its sender (wire/signed-record.ts), if there is one. It is a question for the later changes, and
 * acknowledges these. Then its sender may say of itself, see {@link Claims}: number of endpoints (1), the endpoints as in
 * a member, their kinds (1 each), number of MACs (1), the MACs (6 each).
 *
 * An `introduction` is one change: version, kind (1), flags (1: {@link RELAYS}), zero (1), epoch (4), after (4), revision (4), latest (4). It is to
 * be applied after the change with the revision `after`; none between them concerns anybody now. `latest` is the
 * greatest revision that there is. Then, by its kind:
 *
 * - `nothing`: no more. The asker has all of them.
 * - `member`: the member, see {@link writeMember}.
 * - `gone`: the public key (32) of a host that is no member any more.
 * - `signed`: a member whose record is known, see {@link writeMember}. All but its endpoints is in the record alone, so
 *   that nothing can disagree with it.
 */
const VERSION = 1

const ASK = { version: 0, recordBytes: 2, epoch: 4, revision: 8, bytes: 12 } as const
const INTRODUCTION = {
  version: 0,
  kind: 1,
  flags: 2,
  epoch: 4,
  after: 8,
  revision: 12,
  latest: 16,
  bytes: 20,
} as const

const KINDS = ['nothing', 'member', 'gone', 'signed'] as const

/** The introducer relays between its members. */
const RELAYS = 1

const KEY_BYTES = 32

/** So many endpoints of a member are told at the most: six, of which a member itself says up to {@link MAX_CLAIMS}. */
export const MAX_TOLD_ENDPOINTS = 6
export const MAX_CLAIMS = 4

/** So many MACs of a member are told at the most. */
export const MAX_TOLD_MACS = 2

const MAC_BYTES = 6

/**
 * What is known of an endpoint. One may be of several kinds, so each is a bit. `seen`: the introducer sees the member
 * there. `own`: an interface of the member has this address. `mapped`: a router of the member has said so (PCP).
 */
export const ENDPOINT_KIND = { seen: 1, own: 2, mapped: 4 } as const

/** The longest member. With all headers and the padding its datagram has at most 576 bytes, which every path carries. */
export const MAX_MEMBER_BYTES = 440

/** A place on the underlay. */
export interface ToldEndpoint {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
  /** Bits of {@link ENDPOINT_KIND}. Left out: none. */
  readonly kinds?: number
}

/** What a member says of itself to an introducer. */
export interface Claims {
  /** Where it may be, the best first. */
  readonly endpoints: readonly ToldEndpoint[]
  /** Of its device, in mode tap. */
  readonly macs: readonly Uint8Array[]
}

/** A member, as an introducer tells it. */
export interface ToldMember {
  readonly publicKey: Uint8Array
  /** 1 to 63 ASCII characters without spaces. */
  readonly name: string
  readonly networks: readonly ToldNetwork[]
  readonly endpoints: readonly ToldEndpoint[]
  /** What all but the endpoints was taken from. */
  readonly record?: SignedRecord | undefined
  /** Left out: none. */
  readonly macs?: readonly Uint8Array[]
}

/** Which changes somebody has: all up to `revision` of this epoch. */
export interface Position {
  readonly epoch: number
  readonly revision: number
}

export type Change =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'member'; readonly member: ToldMember }
  | { readonly kind: 'gone'; readonly publicKey: Uint8Array }

export type Introduction = Change &
  Position & {
    readonly after: number
    readonly latest: number
    /** Whether the introducer relays between its members. */
    readonly relays?: boolean
  }

/** What a member asks for, and the bytes of its own record. */
export interface Ask extends Position {
  readonly record?: Uint8Array | undefined
}

/** @param claims what this host says of itself */
export function writeAsk({ epoch, revision, record = new Uint8Array(0) }: Ask, claims?: Claims): Uint8Array {
  const rest = claims === undefined ? [] : [...writeEndpoints(claims.endpoints), ...writeTail(claims)]
  const bytes = Buffer.concat([new Uint8Array(ASK.bytes), record, ...rest])
  const view = viewOf(bytes)
  view.setUint8(ASK.version, VERSION)
  view.setUint16(ASK.recordBytes, record.length)
  view.setUint32(ASK.epoch, epoch)
  view.setUint32(ASK.revision, revision)
  bytes.set(record, ASK.bytes)
  return bytes
}

/** @returns undefined if it is malformed or of another version. The record is not looked at */
export function readAsk(bytes: Uint8Array): Ask | undefined {
  if (bytes.length < ASK.bytes || bytes[ASK.version] !== VERSION) return undefined
  const view = viewOf(bytes)
  const position = { epoch: view.getUint32(ASK.epoch), revision: view.getUint32(ASK.revision) }
  const recordBytes = view.getUint16(ASK.recordBytes)
  if (recordBytes === 0) return position
  const record = Uint8Array.from(bytes.subarray(ASK.bytes, ASK.bytes + recordBytes))
  return record.length < recordBytes ? undefined : { ...position, record }
}

/** What the sender of an ask says of itself; undefined if it says nothing, or if that is malformed. */
export function readClaims(ask: Uint8Array): Claims | undefined {
  if (ask.length < ASK.bytes) return undefined
  const places = readPlaces(new Taker(ask.subarray(ASK.bytes + viewOf(ask).getUint16(ASK.recordBytes))))
  return places === undefined || places.endpoints.length > MAX_CLAIMS ? undefined : places
}

export function writeIntroduction(introduction: Introduction): Uint8Array {
  const rest = restOf(introduction)
  const bytes = new Uint8Array(INTRODUCTION.bytes + rest.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(INTRODUCTION.version, VERSION)
  view.setUint8(INTRODUCTION.kind, KINDS.indexOf(kindOf(introduction)))
  view.setUint8(INTRODUCTION.flags, introduction.relays ? RELAYS : 0)
  view.setUint32(INTRODUCTION.epoch, introduction.epoch)
  view.setUint32(INTRODUCTION.after, introduction.after)
  view.setUint32(INTRODUCTION.revision, introduction.revision)
  view.setUint32(INTRODUCTION.latest, introduction.latest)
  bytes.set(rest, INTRODUCTION.bytes)
  return bytes
}

function kindOf(change: Change): (typeof KINDS)[number] {
  return change.kind === 'member' && change.member.record !== undefined ? 'signed' : change.kind
}

function restOf(change: Change): Uint8Array {
  if (change.kind === 'member') return writeMember(change.member)
  return change.kind === 'gone' ? change.publicKey : new Uint8Array(0)
}

/** @returns undefined if it is malformed or of another version */
export function readIntroduction(bytes: Uint8Array): Introduction | undefined {
  if (bytes.length < INTRODUCTION.bytes || bytes[INTRODUCTION.version] !== VERSION) return undefined
  const view = viewOf(bytes)
  const change = readChange(KINDS[bytes[INTRODUCTION.kind]], bytes.subarray(INTRODUCTION.bytes))
  if (change === undefined) return undefined
  return {
    ...change,
    epoch: view.getUint32(INTRODUCTION.epoch),
    after: view.getUint32(INTRODUCTION.after),
    revision: view.getUint32(INTRODUCTION.revision),
    latest: view.getUint32(INTRODUCTION.latest),
    ...((bytes[INTRODUCTION.flags] & RELAYS) === 0 ? {} : { relays: true }),
  }
}

function readChange(kind: (typeof KINDS)[number] | undefined, rest: Uint8Array): Change | undefined {
  if (kind === 'nothing') return { kind }
  if (kind === 'gone')
    return rest.length < KEY_BYTES ? undefined : { kind, publicKey: rest.slice(0, KEY_BYTES) }
  const member = kind === 'signed' ? readSigned(rest) : kind && readMember(rest)
  return member && { kind: 'member', member }
}

/**
 * A member: public key (32 bytes), its name, number of networks (1), and the networks (wire/told.ts); number of endpoints
 * (1), and of each: bytes of the address (1), port (2), address; the kind of each endpoint (1); number of MACs (1), and
 * each (6). The same member always gives the same bytes.
 *
 * A member with a record: bytes of the record (2), record; and the endpoints and all after them as above.
 */
export function writeMember({
  publicKey,
  name,
  networks,
  endpoints,
  macs = [],
  record,
}: ToldMember): Uint8Array {
  const who =
    record === undefined
      ? [publicKey, nameBytes(name), Buffer.of(networks.length), ...networks.map(networkBytes)]
      : [Buffer.of(record.bytes.length >>> 8, record.bytes.length & 0xff), record.bytes]
  return Buffer.concat([...who, ...writeEndpoints(endpoints), ...writeTail({ endpoints, macs })])
}

function writeEndpoints(endpoints: readonly ToldEndpoint[]): Uint8Array[] {
  return [
    Buffer.of(endpoints.length),
    ...endpoints.flatMap(({ address, port }) => [
      Buffer.from([address.length, port >>> 8, port & 0xff]),
      address,
    ]),
  ]
}

function writeTail({ endpoints, macs }: Claims): Uint8Array[] {
  const kinds = endpoints.map((it) => it.kinds ?? 0)
  return [Buffer.from([...kinds, macs.length]), ...macs]
}

/** @returns undefined if it is malformed */
export function readMember(bytes: Uint8Array): ToldMember | undefined {
  const taker = new Taker(bytes)
  const publicKey = taker.take(KEY_BYTES)
  const name = readName(taker)
  const networks = taker.list(() => readNetwork(taker))
  const places = readPlaces(taker)
  if (publicKey === undefined || name === undefined || networks === undefined || places === undefined)
    return undefined
  return { publicKey, name, networks, ...places }
}

/** @returns undefined if it is malformed */
function readSigned(bytes: Uint8Array): ToldMember | undefined {
  const taker = new Taker(bytes)
  const [high, low] = taker.take(2) ?? [0, 0]
  const record = readRecord(taker.take((high << 8) | low) ?? new Uint8Array(0))
  const places = readPlaces(taker)
  if (record === undefined || places === undefined) return undefined
  const { publicKey, name, networks } = record
  return { publicKey, name, networks, ...places, record }
}

/** Where a member may be, and its MACs. */
function readPlaces(taker: Taker) {
  const endpoints = taker.list(() => readEndpoint(taker))
  const kinds = endpoints && taker.take(endpoints.length)
  const macs = taker.list(() => taker.take(MAC_BYTES))
  if (endpoints === undefined || kinds === undefined || macs === undefined) return undefined
  if (endpoints.length > MAX_TOLD_ENDPOINTS || macs.length > MAX_TOLD_MACS) return undefined
  return { endpoints: endpoints.map((it, at) => ({ ...it, kinds: kinds[at] })), macs }
}

function readEndpoint(taker: Taker): ToldEndpoint | undefined {
  const length = taker.byte()
  const port = taker.take(2)
  const address = length === 4 || length === 16 ? taker.take(length) : undefined
  if (port === undefined || address === undefined) return undefined
  const number = (port[0] << 8) | port[1]
  return number === 0 ? undefined : { address, port: number }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

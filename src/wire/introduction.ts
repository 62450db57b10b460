/**
 * What an introducer and a member tell each other: the content of control frames of the types `ask` and
 * `introduction` (wire/control.ts). All numbers are big-endian. Both begin with the version of this form (1 byte), and
 * ignore bytes that come after what they know.
 *
 * An introducer keeps its members in a list. Each change of one has a number, its revision: 1 and up. The numbers
 * are of one epoch, a random number that the introducer makes when it starts.
 *
 * An `ask` says which changes its sender has: version, zeros (3 bytes), epoch (4), revision (4). It is a question for
 * the later ones, and acknowledges these. Then its sender may say of itself, see {@link Claims}: number of endpoints (1),
 * the endpoints as in a member, their kinds (1 each), number of MACs (1), the MACs (6 each).
 *
 * An `introduction` is one change: version, kind (1), zeros (2), epoch (4), after (4), revision (4), latest (4). It is to
 * be applied after the change with the revision `after`; none between them concerns anybody now. `latest` is the
 * greatest revision that there is. Then, by its kind:
 *
 * - `nothing`: no more. The asker has all of them.
 * - `member`: the member, see {@link writeMember}.
 * - `gone`: the public key (32) of a host that is no member any more.
 */
const VERSION = 1

const ASK = { version: 0, epoch: 4, revision: 8, bytes: 12 } as const
const INTRODUCTION = {
  version: 0,
  kind: 1,
  epoch: 4,
  after: 8,
  revision: 12,
  latest: 16,
  bytes: 20,
} as const

const KINDS = ['nothing', 'member', 'gone'] as const

const KEY_BYTES = 32
const MAX_NAME_BYTES = 63

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

/** A network of the overlay. */
export interface ToldNetwork {
  /** 4 or 16 bytes. The bits after the prefix are zero. */
  readonly address: Uint8Array
  readonly prefixLength: number
}

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
  }

/** @param claims what this host says of itself */
export function writeAsk({ epoch, revision }: Position, claims?: Claims): Uint8Array {
  const rest = claims === undefined ? [] : [...writeEndpoints(claims.endpoints), ...writeTail(claims)]
  const bytes = Buffer.concat([new Uint8Array(ASK.bytes), ...rest])
  const view = viewOf(bytes)
  view.setUint8(ASK.version, VERSION)
  view.setUint32(ASK.epoch, epoch)
  view.setUint32(ASK.revision, revision)
  return bytes
}

/** @returns undefined if it is malformed or of another version */
export function readAsk(bytes: Uint8Array): Position | undefined {
  if (bytes.length < ASK.bytes || bytes[ASK.version] !== VERSION) return undefined
  const view = viewOf(bytes)
  return { epoch: view.getUint32(ASK.epoch), revision: view.getUint32(ASK.revision) }
}

/** What the sender of an ask says of itself; undefined if it says nothing, or if that is malformed. */
export function readClaims(ask: Uint8Array): Claims | undefined {
  const taker = new Taker(ask.subarray(ASK.bytes))
  const endpoints = taker.list(() => readEndpoint(taker))
  const tail = endpoints && readTail(taker, endpoints.length)
  if (endpoints === undefined || tail === undefined || endpoints.length > MAX_CLAIMS) return undefined
  return { endpoints: withKinds(endpoints, tail.kinds), macs: tail.macs }
}

export function writeIntroduction(introduction: Introduction): Uint8Array {
  const rest = restOf(introduction)
  const bytes = new Uint8Array(INTRODUCTION.bytes + rest.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(INTRODUCTION.version, VERSION)
  view.setUint8(INTRODUCTION.kind, KINDS.indexOf(introduction.kind))
  view.setUint32(INTRODUCTION.epoch, introduction.epoch)
  view.setUint32(INTRODUCTION.after, introduction.after)
  view.setUint32(INTRODUCTION.revision, introduction.revision)
  view.setUint32(INTRODUCTION.latest, introduction.latest)
  bytes.set(rest, INTRODUCTION.bytes)
  return bytes
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
  }
}

function readChange(kind: (typeof KINDS)[number] | undefined, rest: Uint8Array): Change | undefined {
  if (kind === 'nothing') return { kind }
  if (kind === 'gone')
    return rest.length < KEY_BYTES ? undefined : { kind, publicKey: rest.slice(0, KEY_BYTES) }
  const member = kind && readMember(rest)
  return member && { kind: 'member', member }
}

/**
 * A member: public key (32 bytes), length of the name (1), name; number of networks (1), and of each: bytes of the
 * address (1: 4 or 16), prefix length (1), address; number of endpoints (1), and of each: bytes of the address (1),
 * port (2), address; the kind of each endpoint (1); number of MACs (1), and each (6). The same member always gives the
 * same bytes.
 */
export function writeMember({ publicKey, name, networks, endpoints, macs }: ToldMember): Uint8Array {
  return Buffer.concat([
    publicKey,
    Buffer.from([name.length]),
    Buffer.from(name, 'latin1'),
    Buffer.from([networks.length]),
    ...networks.flatMap(({ address, prefixLength }) => [
      Buffer.from([address.length, prefixLength]),
      address,
    ]),
    ...writeEndpoints(endpoints),
    ...writeTail({ endpoints, macs: macs ?? [] }),
  ])
}

function writeEndpoints(endpoints: readonly ToldEndpoint[]): Uint8Array[] {
  return [
    Buffer.from([endpoints.length]),
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

/** Takes bytes one after the other. What is not there is `undefined`. */
class Taker {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  byte(): number | undefined {
    return this.#bytes[this.#at++]
  }

  take(count: number): Uint8Array | undefined {
    const found = this.#bytes.slice(this.#at, this.#at + count)
    this.#at += count
    return found.length === count ? found : undefined
  }

  /** As many items as the next byte says. */
  list<T>(item: () => T | undefined): T[] | undefined {
    const count = this.byte()
    if (count === undefined) return undefined
    const found: T[] = []
    for (let number = 0; number < count; number++) {
      const next = item()
      if (next === undefined) return undefined
      found.push(next)
    }
    return found
  }
}

/** @returns undefined if it is malformed */
export function readMember(bytes: Uint8Array): ToldMember | undefined {
  const taker = new Taker(bytes)
  const publicKey = taker.take(KEY_BYTES)
  const name = readName(taker)
  const networks = taker.list(() => readNetwork(taker))
  const endpoints = taker.list(() => readEndpoint(taker))
  const tail = endpoints && readTail(taker, endpoints.length)
  if (publicKey === undefined || name === undefined || networks === undefined || endpoints === undefined)
    return undefined
  if (tail === undefined || endpoints.length > MAX_TOLD_ENDPOINTS) return undefined
  return { publicKey, name, networks, endpoints: withKinds(endpoints, tail.kinds), macs: tail.macs }
}

/** The kinds of the endpoints, and the MACs. */
function readTail(taker: Taker, endpoints: number) {
  const kinds = taker.take(endpoints)
  const macs = taker.list(() => taker.take(MAC_BYTES))
  return kinds === undefined || macs === undefined || macs.length > MAX_TOLD_MACS
    ? undefined
    : { kinds, macs }
}

function withKinds(endpoints: readonly ToldEndpoint[], kinds: Uint8Array): ToldEndpoint[] {
  return endpoints.map((it, at) => ({ ...it, kinds: kinds[at] }))
}

function readName(taker: Taker): string | undefined {
  const length = taker.byte() ?? 0
  const bytes = length === 0 || length > MAX_NAME_BYTES ? undefined : taker.take(length)
  return bytes?.every((it) => it > 0x20 && it < 0x7f) ? Buffer.from(bytes).toString('latin1') : undefined
}

function readNetwork(taker: Taker): ToldNetwork | undefined {
  const [length, prefixLength] = [taker.byte(), taker.byte()]
  if ((length !== 4 && length !== 16) || prefixLength === undefined || prefixLength > length * 8)
    return undefined
  const address = taker.take(length)
  return address && isNetwork(address, prefixLength) ? { address, prefixLength } : undefined
}

/** Whether all bits after the prefix are zero. */
function isNetwork(address: Uint8Array, prefixLength: number): boolean {
  return address.every((byte, at) => (byte & (0xff >> Math.min(8, Math.max(0, prefixLength - 8 * at)))) === 0)
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

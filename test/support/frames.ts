/** Frames for the tests, written byte by byte, with checksums computed in the plain way (RFC 1071). */

export interface Flow {
  readonly ip: 4 | 6
  readonly protocol: 'tcp' | 'udp'
  /** Bytes before the IP header: 0 in tun mode, 14 for Ethernet, 18 with a VLAN tag. */
  readonly l2: 0 | 14 | 18
  readonly hosts: readonly [number, number]
  /** The host that the packet goes to first, by a routing header (IPv6) or a source route (IPv4). */
  readonly via?: number | undefined
  readonly ports: readonly [number, number]
  readonly tos: number
  readonly ttl: number
  /** The IPv4 ID of the first frame. It counts up. IPv4 only. */
  readonly id: number
  readonly df: boolean
  /** TCP only, for the first frame. `options` has a multiple of 4 bytes, at most 40. */
  readonly sequence: number
  readonly acknowledgment: number
  readonly window: number
  readonly options: Uint8Array
  readonly ece: boolean
}

/** TCP over IPv4 with timestamps, as Linux sends it. */
export const PLAIN_FLOW: Flow = {
  ip: 4,
  protocol: 'tcp',
  l2: 14,
  hosts: [1, 4],
  ports: [1000, 2000],
  tos: 0,
  ttl: 64,
  id: 100,
  df: true,
  sequence: 5000,
  acknowledgment: 77,
  window: 500,
  options: Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
  ece: false,
}

export interface Piece {
  readonly payload: Uint8Array
  readonly flags: number
}

/** The ones' complement sum of big-endian 16-bit words, folded. */
export function sumOf(bytes: Uint8Array, seed = 0): number {
  let total = seed
  for (let i = 0; i < bytes.length; i++) total += i % 2 === 0 ? bytes[i] * 256 : bytes[i]
  while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000)
  return total
}

function big16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff]
}

function big32(value: number): number[] {
  return [...big16(value >>> 16), ...big16(value & 0xffff)]
}

function address({ ip }: Flow, host: number): number[] {
  return ip === 4 ? [10, 9, 0, host] : [0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

function pseudoSum(flow: Flow, l4Bytes: number): number {
  const addresses = flow.hosts.flatMap((host) => address(flow, host))
  return sumOf(Uint8Array.from([...addresses, ...big32(l4Bytes), 0, 0, 0, flow.protocol === 'tcp' ? 6 : 17]))
}

function l2Header({ l2, ip }: Flow): number[] {
  if (l2 === 0) return []
  const macs = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]
  const tag = l2 === 18 ? [0x81, 0x00, 0x20, 0x07] : []
  return [...macs, ...tag, ...(ip === 4 ? [0x08, 0x00] : [0x86, 0xdd])]
}

/**
 * The route to the last host through another: a routing header of type 2 (RFC 6275), or a loose source route
 * (RFC 791).
 */
function sourceRoute(flow: Flow): number[] {
  const [, last] = flow.hosts
  if (flow.via === undefined) return []
  if (flow.ip === 4) return [131, 7, 4, ...address(flow, last), 0]
  return [flow.protocol === 'tcp' ? 6 : 17, 2, 2, 1, 0, 0, 0, 0, ...address(flow, last)]
}

function ipBytes(flow: Flow): number {
  return (flow.ip === 4 ? 20 : 40) + sourceRoute(flow).length
}

function ipHeader(flow: Flow, nth: number, l4Bytes: number): number[] {
  const protocol = flow.protocol === 'tcp' ? 6 : 17
  const [from, to] = flow.hosts
  const addresses = [...address(flow, from), ...address(flow, flow.via ?? to)]
  const route = sourceRoute(flow)
  if (flow.ip === 6) {
    const first = ((6 << 28) | (flow.tos << 20) | 0x12345) >>> 0
    const next = flow.via === undefined ? protocol : 43
    return [...big32(first), ...big16(route.length + l4Bytes), next, flow.ttl, ...addresses, ...route]
  }
  const id = (flow.id + nth) & 0xffff
  const fragment = flow.df ? 0x4000 : 0
  const bytes = ipBytes(flow)
  const lengths = [0x40 | (bytes / 4), flow.tos, ...big16(bytes + l4Bytes)]
  const head = [...lengths, ...big16(id), ...big16(fragment), flow.ttl, protocol]
  const sum = ~sumOf(Uint8Array.from([...head, 0, 0, ...addresses, ...route])) & 0xffff
  return [...head, ...big16(sum), ...addresses, ...route]
}

function l4Header(flow: Flow, sequence: number, flags: number, l4Bytes: number): number[] {
  const ports = [...big16(flow.ports[0]), ...big16(flow.ports[1])]
  if (flow.protocol === 'udp') return [...ports, ...big16(l4Bytes), 0, 0]
  const offset = ((20 + flow.options.length) / 4) << 4
  const fixed = [
    ...big32(sequence),
    ...big32(flow.acknowledgment),
    offset,
    flags,
    ...big16(flow.window),
    0,
    0,
    0,
    0,
  ]
  return [...ports, ...fixed, ...flow.options]
}

function checksumAt(flow: Flow): number {
  return flow.l2 + ipBytes(flow) + (flow.protocol === 'tcp' ? 16 : 6)
}

export function headerBytes(flow: Flow): number {
  return flow.l2 + ipBytes(flow) + (flow.protocol === 'tcp' ? 20 + flow.options.length : 8)
}

function build(
  flow: Flow,
  nth: number,
  sequence: number,
  { payload, flags }: Piece,
): { bytes: Uint8Array; l4: number } {
  const l4Bytes = headerBytes(flow) - flow.l2 - ipBytes(flow) + payload.length
  const l2 = l2Header(flow)
  const ip = ipHeader(flow, nth, l4Bytes)
  const l4 = l4Header(flow, sequence, flags, l4Bytes)
  return { bytes: Uint8Array.from([...l2, ...ip, ...l4, ...payload]), l4: l2.length + ip.length }
}

/** The frames that carry the pieces, each complete. */
export function framesOf(flow: Flow, pieces: readonly Piece[], first = 0): Uint8Array[] {
  let sequence = flow.sequence
  return pieces.map((piece, index) => {
    const { bytes, l4 } = build(flow, first + index, sequence, piece)
    sequence = (sequence + piece.payload.length) >>> 0
    const sum = ~sumOf(bytes.subarray(l4), pseudoSum(flow, bytes.length - l4)) & 0xffff
    bytes.set(big16(sum === 0 && flow.protocol === 'udp' ? 0xffff : sum), checksumAt(flow))
    return bytes
  })
}

/** The super-frame that a kernel hands over for the pieces: one frame with an incomplete checksum. */
export function superFrameOf(flow: Flow, pieces: readonly Piece[]): { bytes: Uint8Array; l4: number } {
  const payload = Uint8Array.from(pieces.flatMap((piece) => [...piece.payload]))
  const flags = pieces.reduce((all, piece) => all | piece.flags, 0)
  const made = build(flow, 0, flow.sequence, { payload, flags })
  made.bytes.set(big16(pseudoSum(flow, made.bytes.length - made.l4)), checksumAt(flow))
  return made
}

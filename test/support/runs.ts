import fc from 'fast-check'
import { type Flow, framesOf, headerBytes, type Piece } from './frames.js'

/** Random runs of frames of one flow, as senders may cut them. */

/** TCP's flags: an acknowledgment without PSH, and one with PSH. */
export const TCP_PLAIN = 0x10
export const TCP_PUSHED = 0x18

const flow: fc.Arbitrary<Flow> = fc.record({
  ip: fc.constantFrom(4, 6),
  protocol: fc.constantFrom('tcp', 'udp'),
  l2: fc.constantFrom(0, 14, 18),
  hosts: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 4, max: 6 })),
  via: fc.constantFrom(undefined, undefined, undefined, 7, 8),
  ports: fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 1, max: 65535 })),
  tos: fc.nat(255),
  ttl: fc.integer({ min: 1, max: 255 }),
  id: fc.constantFrom(0, 1, 0xfffe, 0xffff, 0x7fff),
  df: fc.boolean(),
  sequence: fc.constantFrom(0, 1, 0xffffffff, 0xfffffff0, 0x7fffffff, 0x80000000),
  acknowledgment: fc.nat(0xffffffff),
  window: fc.nat(65535),
  options: fc
    .integer({ min: 0, max: 10 })
    .chain((words) => fc.uint8Array({ minLength: words * 4, maxLength: words * 4 })),
  ece: fc.boolean(),
})

/** A run as one sender cuts it: payloads of equal length. The last may be shorter, and may have PSH. */
export const run = fc.record({
  flow,
  gsoSize: fc.integer({ min: 1, max: 1500 }),
  count: fc.integer({ min: 1, max: 40 }),
  shorter: fc.nat(1499),
  seed: fc.nat(255),
  push: fc.boolean(),
})

export type Run = typeof run extends fc.Arbitrary<infer T> ? T : never

export function piecesOf({ flow, gsoSize, count, shorter, seed, push }: Run): Piece[] {
  const most = Math.max(1, Math.min(count, Math.floor((65_000 - headerBytes(flow)) / gsoSize)))
  return Array.from({ length: most }, (_, index) => {
    const last = index === most - 1
    const length = last ? Math.max(1, gsoSize - (shorter % gsoSize)) : gsoSize
    const ece = flow.ece ? 0x40 : 0
    const flags = flow.protocol === 'udp' ? 0 : (last && push ? TCP_PUSHED : TCP_PLAIN) | ece
    return { payload: Uint8Array.from({ length }, (_, i) => (seed + index * 31 + i * 7) & 0xff), flags }
  })
}

/** One segment with a TCP checksum of zero, or a UDP checksum of all ones. */
export function zeroSum(flow: Flow): Piece {
  const flags = flow.protocol === 'udp' ? 0 : TCP_PLAIN
  const [frame] = framesOf(flow, [{ payload: new Uint8Array(100), flags }])
  const at = headerBytes(flow) - (flow.protocol === 'udp' ? 2 : 4 + flow.options.length)
  const payload = new Uint8Array(100)
  payload.set(frame.subarray(at, at + 2))
  return { payload, flags }
}

import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { scalarOperations, wasmOperations } from '../../../src/offload/bytes.js'
import { checksumsHold } from '../../../src/offload/checksums.js'
import { type Flow, framesOf, PLAIN_FLOW, superFrameOf } from '../../support/frames.js'

const memory = NativeMemory.allocate(128 * 1024)
const AT = 1_001
const SUMS = [scalarOperations(memory).sum, wasmOperations(memory)?.sum].filter((it) => it !== undefined)

function hold(frame: Uint8Array, l2: number): boolean {
  memory.u8.fill(0x55, AT + frame.length, AT + frame.length + 64)
  memory.u8.set(frame, AT)
  const [first, ...others] = SUMS.map((sum) =>
    checksumsHold(memory, sum, AT, frame.length, l2 === 0 ? 0 : 14),
  )
  if (others.some((it) => it !== first)) throw new Error('two ways to sum do not agree')
  return first
}

const flows = fc.record({
  ip: fc.constantFrom<4 | 6>(4, 6),
  protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
  l2: fc.constantFrom<0 | 14 | 18>(0, 14, 18),
  via: fc.constantFrom(undefined, 9),
})
const payload = fc.uint8Array({ minLength: 1, maxLength: 1400 })
const made = (some: Partial<Flow>): Flow => ({ ...PLAIN_FLOW, ...some })
const l4Of = ({ ip, l2, via }: Pick<Flow, 'ip' | 'l2' | 'via'>) =>
  l2 + (ip === 4 ? 20 : 40) + (via === undefined ? 0 : ip === 4 ? 8 : 24)

t.test('a right checksum holds, and does not when any byte that it covers is another', async (t) => {
  let other = 0
  fc.assert(
    fc.property(flows, payload, fc.nat(), fc.integer({ min: 1, max: 255 }), (some, bytes, where, change) => {
      const flow = made(some)
      const [frame] = framesOf(flow, [{ payload: bytes, flags: 0x10 }])
      // Of a source route, the last address is in the pseudo header, and not the one in the IP header. So nothing is said.
      if (!hold(frame, flow.l2)) return false
      const l4 = l4Of(flow)
      frame[l4 + (where % (frame.length - l4))] ^= change
      if (flow.protocol === 'udp' && frame[l4 + 6] === 0 && frame[l4 + 7] === 0) return true
      if (some.via !== undefined) return hold(frame, flow.l2)
      other++
      return !hold(frame, flow.l2)
    }),
    { numRuns: 500 },
  )
  t.ok(other > 100, `${other} changed frames`)
})

t.test('a super-frame, and a frame whose checksum is still to be filled in, do not hold', async (t) => {
  for (const protocol of ['tcp', 'udp'] as const) {
    for (const ip of [4, 6] as const) {
      for (const l2 of [0, 14, 18] as const) {
        const flow = made({ protocol, ip, l2 })
        const pieces = [1, 2, 3].map((fill) => ({ payload: new Uint8Array(1000).fill(fill), flags: 0x10 }))
        t.notOk(hold(superFrameOf(flow, pieces).bytes, l2), `${protocol} over IPv${ip} behind ${l2} bytes`)
        t.notOk(hold(superFrameOf(flow, pieces.slice(0, 1)).bytes, l2))
      }
    }
  }
})

t.test('what has no such checksum holds', async (t) => {
  const [udp] = framesOf(made({ protocol: 'udp' }), [{ payload: new Uint8Array(50), flags: 0 }])
  udp[14 + 20 + 6] = 0
  udp[14 + 20 + 7] = 0
  t.ok(hold(udp, 14), 'UDP without one')
  const wrong = (change: (frame: Uint8Array) => void, some: Partial<Flow> = {}) => {
    const [frame] = framesOf(made(some), [{ payload: new Uint8Array(50), flags: 0x10 }])
    frame[frame.length - 1] ^= 1
    if (hold(frame, 14)) throw new Error('it is right')
    change(frame)
    return frame
  }
  t.ok(
    hold(
      wrong((it) => it.set([0x20, 0], 14 + 6)),
      14,
    ),
    'a first fragment',
  )
  t.ok(
    hold(
      wrong((it) => it.set([0, 5], 14 + 6)),
      14,
    ),
    'a later fragment',
  )
  t.ok(
    hold(
      wrong((it) => it.set([1], 14 + 9)),
      14,
    ),
    'ICMP',
  )
  t.ok(
    hold(
      wrong((it) => it.set([58], 14 + 6), { ip: 6 }),
      14,
    ),
    'ICMPv6',
  )
  t.ok(
    hold(
      wrong((it) => it.set([0x08, 0x06], 12)),
      14,
    ),
    'ARP',
  )
  t.ok(
    hold(
      wrong((it) => it.set([0xff], 14 + 2)),
      14,
    ),
    'longer than its frame',
  )
})

t.test('any bytes at all', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(0, 14), (bytes, l2) => {
      return typeof hold(bytes, l2) === 'boolean'
    }),
  )
  t.pass('give an answer')
})

import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { clampMss } from '../../../src/offload/mss.js'
import { type Flow, framesOf, PLAIN_FLOW, sumOf } from '../../support/frames.js'

const memory = NativeMemory.allocate(64 * 1024)
const AT = 1_000

const SYN = 0x02
const SYN_ACK = 0x12

/** An option of some other kind, of `length` bytes in all. */
const other = (kind: number, length: number) => [kind, length, ...Array(length - 2).fill(0xee)]
const mssOption = (mss: number) => [2, 4, mss >>> 8, mss & 0xff]

function clamp(frame: Uint8Array, l2: number, longest: number, at = AT): Uint8Array {
  memory.u8.fill(0xaa, at - 64, at + frame.length + 64)
  memory.u8.set(frame, at)
  const before = frame.slice()
  const changed = clampMss(memory, at, frame.length, l2 === 0 ? 0 : 14, longest)
  const after = memory.u8.slice(at, at + frame.length)
  t.equal(changed, !Buffer.from(before).equals(after))
  t.ok(
    memory.u8.subarray(at - 64, at).every((it) => it === 0xaa),
    'nothing before it',
  )
  t.ok(
    memory.u8.subarray(at + frame.length, at + frame.length + 64).every((it) => it === 0xaa),
    'nor behind',
  )
  return after
}

/** The MSS that a frame announces, found by looking for the option plainly. */
function mssOf(frame: Uint8Array, { ip, l2 }: Flow): number | undefined {
  const l4 = l2 + (ip === 4 ? 20 : 40)
  const options = frame.subarray(l4 + 20, l4 + (frame[l4 + 12] >>> 4) * 4)
  for (let at = 0; at < options.length; ) {
    if (options[at] === 0) return undefined
    if (options[at] === 2) return options[at + 2] * 256 + options[at + 3]
    at += options[at] === 1 ? 1 : options[at + 1]
  }
  return undefined
}

function checksumRight(frame: Uint8Array, { ip, l2 }: Flow): boolean {
  const l3 = frame.subarray(l2)
  const l4 = l3.subarray(ip === 4 ? 20 : 40)
  const addresses = ip === 4 ? l3.subarray(12, 20) : l3.subarray(8, 40)
  return sumOf(l4, sumOf(addresses) + 6 + l4.length) === 0xffff
}

const synFlow = fc.record({
  ip: fc.constantFrom<4 | 6>(4, 6),
  l2: fc.constantFrom<0 | 14 | 18>(0, 14, 18),
  mss: fc.integer({ min: 0, max: 65_535 }),
  /** What comes before the option: bytes of no operation, then another option. */
  nops: fc.nat(3),
  before: fc.integer({ min: 2, max: 12 }),
  sequence: fc.nat(0xffffffff),
  flags: fc.constantFrom(SYN, SYN_ACK),
  payload: fc.uint8Array({ maxLength: 20 }),
})

type Syn = typeof synFlow extends fc.Arbitrary<infer T> ? T : never

function synOf({ ip, l2, mss, nops, before, sequence }: Syn): Flow {
  const options = [...Array(nops).fill(1), ...other(3, before), ...mssOption(mss)]
  while (options.length % 4 !== 0) options.push(0)
  return { ...PLAIN_FLOW, ip, l2, sequence, options: Uint8Array.from(options) }
}

t.test(
  'whatever stands before it, the MSS is lowered to what fits, never raised, and the checksum stays right',
  async (t) => {
    const property = fc.property(synFlow, fc.integer({ min: 1, max: 9_000 }), (syn, longest) => {
      const flow = synOf(syn)
      const [frame] = framesOf(flow, [{ payload: syn.payload, flags: syn.flags }])
      const after = clamp(frame, flow.l2, longest)
      const packetBytes = Math.max(longest - flow.l2, flow.ip === 6 ? 1280 : 0)
      // Linux takes no shorter segments.
      const fits = Math.max(packetBytes - (flow.ip === 4 ? 40 : 60), 48)
      t.equal(mssOf(after, flow), Math.min(syn.mss, fits))
      t.ok(checksumRight(after, flow), 'the checksum')
    })
    fc.assert(property, { numRuns: 500 })
  },
)

t.test('a wrong checksum stays wrong', async (t) => {
  const flow = { ...PLAIN_FLOW, options: Uint8Array.from(mssOption(1460)) }
  const [frame] = framesOf(flow, [{ payload: new Uint8Array(0), flags: SYN }])
  frame[14 + 20 + 16] ^= 0x55
  t.notOk(checksumRight(clamp(frame, 14, 1000), flow))
})

t.test('what is no SYN, or not the start of one, passes as it is', async (t) => {
  const flow = { ...PLAIN_FLOW, options: Uint8Array.from(mssOption(1460)) }
  const none: Record<string, (frame: Uint8Array) => void> = {
    ack: (frame) => (frame[14 + 20 + 13] = 0x10),
    'a later fragment': (frame) => (frame[14 + 7] = 1),
    'another EtherType': (frame) => (frame[12] = 0x12),
    UDP: (frame) => (frame[14 + 9] = 17),
  }
  for (const [what, damage] of Object.entries(none)) {
    const [frame] = framesOf(flow, [{ payload: new Uint8Array(0), flags: SYN }])
    damage(frame)
    t.same(clamp(frame, 14, 1000), frame, what)
  }
})

t.test('IPv6 extension headers are walked', async (t) => {
  const flow = { ...PLAIN_FLOW, ip: 6, l2: 0, options: Uint8Array.from(mssOption(1440)) } as const
  const [plain] = framesOf(flow, [{ payload: new Uint8Array(0), flags: SYN }])
  const hops = [6, 0, 1, 4, 0, 0, 0, 0]
  const frame = Uint8Array.from([...plain.subarray(0, 40), ...hops, ...plain.subarray(40)])
  frame[6] = 0
  const after = clamp(frame, 0, 1400)
  t.equal(after[48 + 22] * 256 + after[48 + 23], 1340)
})

t.test('any bytes do no harm', async () => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 120 })
  const mode = fc.constantFrom(0, 14)
  const header = fc.constantFrom([0x45], [0x60], [0x4f], [0x46])
  const property = fc.property(bytes, header, mode, fc.nat(2_000), (tail, first, l2, longest) => {
    const frame =
      l2 === 0
        ? Uint8Array.from([...first, ...tail])
        : Uint8Array.from([...Array(12).fill(2), 8, 0, ...first, ...tail])
    const before = frame.slice()
    memory.u8.fill(0xaa, AT - 64, AT + 2_000)
    memory.u8.set(frame, AT)
    clampMss(memory, AT, frame.length, l2, longest)
    const behind = memory.u8.subarray(AT + frame.length, AT + frame.length + 64)
    return before.length === frame.length && behind.every((it) => it === 0xaa)
  })
  fc.assert(property, { numRuns: 5_000 })
})

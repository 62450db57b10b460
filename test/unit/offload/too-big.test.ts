import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { byteOperations } from '../../../src/offload/bytes.js'
import { TOO_BIG_BYTES, TooBigAnswer } from '../../../src/offload/too-big.js'
import { type Flow, framesOf, PLAIN_FLOW, sumOf } from '../../support/frames.js'

const memory = NativeMemory.allocate(128 * 1024)
const FRAME = 1_026
const ANSWER = 64 * 1024
const answerer = new TooBigAnswer(memory, byteOperations(memory), ANSWER)

/** The answer to a frame, or undefined where none is given. */
function answerTo(
  frame: Uint8Array,
  l2: number,
  longest: number,
  { available = frame.length, deviceMtu = 65_535 } = {},
): Uint8Array | undefined {
  memory.u8.fill(0xaa, ANSWER, ANSWER + TOO_BIG_BYTES + 64)
  memory.u8.set(frame.subarray(0, available), FRAME)
  const length = answerer.write(FRAME, available, frame.length, l2 === 0 ? 0 : 14, longest, deviceMtu)
  t.ok(length <= TOO_BIG_BYTES)
  const rest = memory.u8.subarray(ANSWER + TOO_BIG_BYTES + 16, ANSWER + TOO_BIG_BYTES + 64)
  t.ok(rest.every((it) => it === 0xaa))
  return length === 0 ? undefined : memory.u8.slice(ANSWER, ANSWER + length)
}

const be16 = (bytes: Uint8Array, at: number) => bytes[at] * 256 + bytes[at + 1]

function frameOf(more: Partial<Flow>, payloadBytes: number): { flow: Flow; frame: Uint8Array } {
  const flow: Flow = { ...PLAIN_FLOW, ...more }
  const payload = Uint8Array.from({ length: payloadBytes }, (_, index) => index & 0xff)
  const [frame] = framesOf(flow, [{ payload, flags: 0x10 }])
  return { flow, frame }
}

t.test(
  'an answer is a whole packet back to the sender, that says what passes and quotes what did not',
  async (t) => {
    const property = fc.property(
      fc.constantFrom<4 | 6>(4, 6),
      fc.constantFrom<0 | 14 | 18>(0, 14, 18),
      fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
      fc.integer({ min: 1_300, max: 9_000 }),
      fc.integer({ min: 600, max: 1_299 }),
      (ip, l2, protocol, payloadBytes, longest) => {
        const { frame } = frameOf({ ip, l2, protocol }, payloadBytes)
        const answer = answerTo(frame, l2, longest)
        if (answer === undefined) return t.fail('no answer')
        const packet = frame.subarray(l2)
        if (l2 !== 0) {
          t.same(answer.subarray(0, 6), frame.subarray(6, 12), 'to whom it came from')
          t.same(answer.subarray(6, 12), frame.subarray(0, 6))
          t.same(answer.subarray(12, l2), frame.subarray(12, l2), 'in the same VLAN')
        }
        const got = answer.subarray(l2)
        if (ip === 4) {
          t.equal(got[0], 0x45)
          t.equal(be16(got, 2), got.length)
          t.ok(got.length <= 576)
          t.equal(sumOf(got.subarray(0, 20)), 0xffff, "the header's checksum")
          t.equal(got[9], 1)
          t.same(got.subarray(12, 16), packet.subarray(16, 20))
          t.same(got.subarray(16, 20), packet.subarray(12, 16))
          const icmp = got.subarray(20)
          t.same([...icmp.subarray(0, 2)], [3, 4])
          t.equal(sumOf(icmp), 0xffff, "the message's checksum")
          t.equal(be16(icmp, 6), longest - l2)
          t.same(icmp.subarray(8), packet.subarray(0, icmp.length - 8), 'the quotation')
          t.equal(got.length, Math.min(576, 28 + packet.length))
        } else {
          t.equal(got[0], 0x60)
          t.equal(be16(got, 4), got.length - 40)
          t.equal(got.length, Math.min(1280, 48 + packet.length))
          t.equal(got[6], 58)
          t.same(got.subarray(8, 24), packet.subarray(24, 40))
          t.same(got.subarray(24, 40), packet.subarray(8, 24))
          const icmp = got.subarray(40)
          t.same([...icmp.subarray(0, 2)], [2, 0])
          t.equal(
            sumOf(icmp, sumOf(got.subarray(8, 40)) + 58 + icmp.length),
            0xffff,
            "the message's checksum",
          )
          t.equal(be16(icmp, 6), Math.max(1280, longest - l2))
          t.same(icmp.subarray(8), packet.subarray(0, icmp.length - 8), 'the quotation')
        }
      },
    )
    fc.assert(property, { numRuns: 200 })
  },
)

t.test('no answer is given where a router gives none', async (t) => {
  const answers = (ip: 4 | 6, change: (frame: Uint8Array) => void, l2: 0 | 14 = 14) => {
    const { frame } = frameOf({ ip, l2, protocol: 'udp' }, 1_400)
    change(frame)
    const answered = answerTo(frame, l2, 1_300) !== undefined
    t.equal(answerer.isDue(FRAME, frame.length, frame.length, l2), answered)
    return answered
  }
  t.ok(answers(4, () => {}))
  t.ok(answers(6, () => {}))
  const icmp4 = (type: number) => (frame: Uint8Array) => {
    frame[14 + 9] = 1
    frame[14 + 20] = type
  }
  const icmp6 = (type: number) => (frame: Uint8Array) => {
    frame[14 + 6] = 58
    frame[14 + 40] = type
  }
  t.ok(answers(4, icmp4(8)), 'an echo')
  t.ok(answers(6, icmp6(128)), 'an ICMPv6 echo')
  for (const type of [3, 4, 5, 11, 12]) t.notOk(answers(4, icmp4(type)), `an ICMP error of type ${type}`)
  for (const type of [1, 2, 3, 4, 127, 137])
    t.notOk(answers(6, icmp6(type)), `an ICMPv6 error of type ${type}`)
  t.notOk(
    answers(4, (frame) => (frame[14 + 6] = 0)),
    'a packet that may be fragmented',
  )
  t.notOk(
    answers(4, (frame) => (frame[14 + 7] = 9)),
    'a later fragment',
  )
  t.notOk(
    answers(4, (frame) => (frame[14 + 16] = 224)),
    'to a group',
  )
  t.notOk(
    answers(4, (frame) => (frame[14 + 12] = 255)),
    'from no host',
  )
  t.notOk(
    answers(4, (frame) => (frame[14 + 12] = 0)),
    'from nobody',
  )
  t.notOk(
    answers(6, (frame) => (frame[14 + 24] = 0xff)),
    'to an IPv6 group',
  )
  t.notOk(
    answers(6, (frame) => (frame[14 + 8] = 0)),
    'from the unspecified address',
  )
  t.notOk(
    answers(4, (frame) => (frame[0] |= 1)),
    'to an Ethernet group',
  )
  t.notOk(
    answers(4, (frame) => (frame[6] |= 1)),
    'from an Ethernet group',
  )
  t.notOk(
    answers(4, (frame) => (frame[13] = 6)),
    'ARP',
  )
  t.notOk(
    answers(4, (frame) => (frame[0] = 0x55), 0),
    'a packet of no known version',
  )
  const laterFragment = (frame: Uint8Array) => {
    frame[14 + 6] = 44
    frame.set([17, 0, 0x01, 0x00], 14 + 40)
  }
  t.notOk(answers(6, laterFragment), 'a later IPv6 fragment')
})

t.test(
  'none is given for what the device does not take any more, nor for IPv6 that fits its least MTU',
  async (t) => {
    const { frame } = frameOf({}, 1_400)
    const packetBytes = frame.length - 14
    t.ok(answerTo(frame, 14, 1_300, { deviceMtu: packetBytes }))
    t.notOk(answerTo(frame, 14, 1_300, { deviceMtu: packetBytes - 1 }))
    const ipv6 = (bytes: number) => frameOf({ ip: 6, l2: 0 }, bytes - 72).frame
    t.notOk(answerTo(ipv6(1_280), 0, 1_200))
    t.ok(answerTo(ipv6(1_281), 0, 1_200))
  },
)

t.test('of a long segment its first bytes are enough', async (t) => {
  const { frame } = frameOf({}, 9_000)
  t.same(answerTo(frame, 14, 1_400, { available: 1_300 }), answerTo(frame, 14, 1_400))
})

t.test('any bytes do no harm', async () => {
  const start = fc.constantFrom([0x45], [0x60], [0x4f], [0x41])
  const property = fc.property(
    fc.uint8Array({ maxLength: 200 }),
    start,
    fc.constantFrom(0, 14),
    fc.nat(2_000),
    (tail, first, l2, longest) => {
      const type = first[0] === 0x60 ? [0x86, 0xdd] : [8, 0]
      const frame = Uint8Array.from(
        l2 === 0 ? [...first, ...tail] : [...Array(12).fill(2), ...type, ...first, ...tail],
      )
      answerTo(frame, l2, longest)
    },
  )
  fc.assert(property, { numRuns: 3_000 })
})

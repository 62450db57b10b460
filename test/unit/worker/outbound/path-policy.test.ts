/** What becomes of frames that are too long for the path to a peer. */
import t from 'tap'
import { C } from '../../../../src/memory/counters.js'
import { type Flow, framesOf, PLAIN_FLOW } from '../../../support/frames.js'
import { makeSink, put, received, superFrame, textOf } from '../../../support/udp-sink.js'

/** The longest frames: in one datagram; in fragments in any case; in fragments if nobody can be told. */
const WHOLE_BYTES = 1_400
const ANYWAY_BYTES = 1_420
const UNANSWERED_BYTES = 1_518

function frameOf(more: Partial<Flow>, bytes: number): Uint8Array {
  const [{ length: headerBytes }] = framesOf({ ...PLAIN_FLOW, ...more }, [
    { payload: new Uint8Array(), flags: 0 },
  ])
  const [frame] = framesOf({ ...PLAIN_FLOW, ...more }, [
    { payload: new Uint8Array(bytes - headerBytes), flags: 0 },
  ])
  return frame
}

const changed = (frame: Uint8Array, at: number, byte: number) => {
  frame[at] = byte
  return frame
}

const UDP = { protocol: 'udp' } as const
const LONG = UNANSWERED_BYTES
const CASES: readonly [name: string, frame: Uint8Array, becomes: 'whole' | 'fragmented' | 'refused'][] = [
  ['a full frame', frameOf(UDP, WHOLE_BYTES), 'whole'],
  ['a longer one that may go in fragments anyway', frameOf(UDP, ANYWAY_BYTES), 'fragmented'],
  ['IPv4 with DF', frameOf(UDP, LONG), 'refused'],
  ['TCP', frameOf({}, LONG), 'refused'],
  ['IPv4 without DF', frameOf({ ...UDP, df: false }, LONG), 'fragmented'],
  ['tagged IPv4 without DF', frameOf({ ...UDP, df: false, l2: 18 }, LONG), 'fragmented'],
  ['tagged IPv4 with DF', frameOf({ ...UDP, l2: 18 }, LONG), 'refused'],
  ['IPv6', frameOf({ ...UDP, ip: 6 }, LONG), 'refused'],
  ['a broadcast with DF', changed(frameOf(UDP, LONG), 0, 0xff), 'fragmented'],
  ['IPv4 to a group with DF', changed(frameOf(UDP, LONG), 14 + 16, 224), 'fragmented'],
  ['no IP', changed(frameOf(UDP, LONG), 12, 0x88), 'fragmented'],
  ['one that is longer than the device takes', frameOf({ ...UDP, df: false }, LONG + 1), 'refused'],
]

for (const target of ['one peer', 'all peers'] as const) {
  for (const [name, frame, becomes] of CASES) {
    t.test(`to ${target}, ${name}: ${becomes}`, async (t) => {
      const peers = target === 'one peer' ? 1 : 2
      const made = makeSink(t, { peers, ...(peers === 1 ? { target: 0 } : {}) })
      for (let row = 0; row < peers; row++) made.limits.set(row, WHOLE_BYTES, ANYWAY_BYTES, UNANSWERED_BYTES)
      put(made, [frame])
      made.sink.drain(made.ring)
      t.same(received(made.to), becomes === 'refused' ? [] : Array(peers).fill(textOf(frame)))
      const { counters } = made
      t.equal(counters[C.fragmentedFrames], becomes === 'fragmented' ? peers : 0)
      t.equal(counters[C.dropOverPath], becomes === 'refused' ? peers : 0)
    })
  }
}

t.test(
  'IPv6 that fits its least MTU goes in fragments, because no answer could make it shorter',
  async (t) => {
    const made = makeSink(t, { peers: 1, target: 0 })
    made.limits.set(0, 1_200, 0, UNANSWERED_BYTES)
    const frame = frameOf({ ...UDP, ip: 6 }, 14 + 1_280)
    put(made, [frame, frameOf({ ...UDP, ip: 6 }, 14 + 1_281)])
    made.sink.drain(made.ring)
    t.same(received(made.to), [textOf(frame)])
  },
)

t.test('of a super-frame, its segments decide', async (t) => {
  const made = makeSink(t, { peers: 1, target: 0 })
  const { bytes, l4, frames } = superFrame(10)
  made.limits.set(0, 500, 0, 1_518)
  put(made, [bytes], l4)
  made.sink.drain(made.ring)
  t.equal(made.counters[C.dropOverPath], 10, 'with DF')
  const free = Uint8Array.from(bytes)
  free[14 + 6] &= ~0x40
  put(made, [free], l4)
  made.sink.drain(made.ring)
  t.equal(made.counters[C.fragmentedFrames], frames.length, 'without')
  t.equal(received(made.to).length, frames.length)
})

t.test('the two sorts of frames do not share a batch, and the order stays', async (t) => {
  const made = makeSink(t, { peers: 1, target: 0 })
  made.limits.set(0, WHOLE_BYTES, 0, UNANSWERED_BYTES)
  const frames = [500, 1_450, 600, 1_500].map((bytes) => frameOf({ ...UDP, df: false }, bytes))
  put(made, frames)
  made.sink.drain(made.ring)
  t.same(received(made.to), frames.map(textOf))
  t.equal(made.counters[C.fragmentedFrames], 2)
})

t.test('where nothing may be fragmented, a frame that is too long is dropped and counted', async (t) => {
  const made = makeSink(t, { peers: 1, target: 0 })
  made.limits.set(0, WHOLE_BYTES, 0)
  put(made, [frameOf({ ...UDP, df: false }, LONG)])
  made.sink.drain(made.ring)
  t.equal(made.counters[C.dropOverPath], 1)
})

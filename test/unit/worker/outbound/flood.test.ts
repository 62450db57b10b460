import t from 'tap'
import { EHOSTUNREACH, ENETUNREACH, EPERM } from '../../../../src/linux/errno.js'
import { C } from '../../../../src/memory/counters.js'
import { DONE } from '../../../../src/worker/port.js'
import { headerBytes, PLAIN_FLOW } from '../../../support/frames.js'
import {
  type Kernel,
  makeSink,
  put,
  received,
  single,
  superFrame,
  textOf,
} from '../../../support/udp-sink.js'

/** What came, each content with how often. */
function counted(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}

const timesEach = (all: readonly Uint8Array[], times: number) =>
  new Map(all.map((bytes) => [textOf(bytes), times]))

/** Refuses what is for this peer. */
const refusing =
  (row: number, errno: number): Kernel =>
  ({ count, isFor }) => {
    let good = 0
    while (good < count && !isFor(good, row)) good++
    return good > 0 ? good : -errno
  }

for (const peers of [2, 20, 256]) {
  t.test(`a broadcast to ${peers} peers is one call, and each gets it once`, async (t) => {
    const made = makeSink(t, { peers })
    const frames = [single(2), single(4), single(6)].slice(0, peers === 256 ? 1 : 3)
    put(made, frames)
    made.sink.drain(made.ring)
    t.equal(made.calls(), 1)
    t.same(counted(received(made.to)), timesEach(frames, peers))
    t.equal(made.counters[C.sentFrames], frames.length * peers)
    for (let row = 0; row < peers; row++)
      if (made.sentTo(row) !== frames.length) t.fail(`${made.sentTo(row)} to row ${row}`)
  })
}

t.test('a super-frame to all is cut once, and each gets all of its frames', async (t) => {
  t.ok(headerBytes(PLAIN_FLOW) > 0)
  for (const [peers, segments] of [
    [3, 100],
    [20, 70],
    [256, 8],
  ]) {
    const made = makeSink(t, { peers })
    const { bytes, l4, frames } = superFrame(segments)
    put(made, [bytes], l4)
    made.sink.drain(made.ring)
    t.equal(made.calls(), 1)
    t.same(counted(received(made.to)), timesEach(frames, peers), `${segments} segments to ${peers} peers`)
    t.equal(made.counters[C.sentFrames], segments * peers)
  }
})

t.test('many super-frames to very many are sent in parts, and none is lost or twice there', async (t) => {
  const peers = 200
  const made = makeSink(t, { peers })
  const total = new Map<string, number>()
  const { bytes, l4, frames } = superFrame(20)
  put(made, [bytes, bytes, bytes, bytes, bytes], l4)
  made.sink.drain(made.ring)
  for (const [text, count] of counted(received(made.to))) total.set(text, (total.get(text) ?? 0) + count)
  const sent = made.counters[C.sentFrames]
  t.equal(sent, frames.length * 5 * peers)
  t.ok(made.calls() > 1 && made.calls() < 10, `${made.calls()} calls`)
  const known = new Set(frames.map(textOf))
  t.ok([...total].every(([text, count]) => known.has(text) && count <= 5 * peers))
})

t.test('to more peers than a batch has messages, each gets all of it once', async (t) => {
  for (const peers of [300, 1_024, 1_030, 2_000]) {
    const made = makeSink(t, { peers })
    const { bytes, l4, frames } = superFrame(3)
    put(made, [bytes], l4)
    while (made.sink.drain(made.ring) !== DONE);
    put(made, [single(7)])
    while (made.sink.drain(made.ring) !== DONE);
    t.equal(made.counters[C.sentFrames], (frames.length + 1) * peers)
    for (let row = 0; row < peers; row++)
      if (made.sentTo(row) !== frames.length + 1) t.fail(`${made.sentTo(row)} to row ${row} of ${peers}`)
    t.equal(made.counters[C.dropUnreachable], 0)
  }
})

for (const errno of [ENETUNREACH, EPERM, EHOSTUNREACH]) {
  t.test(`a row that cannot be sent to costs the others nothing (errno ${errno})`, async (t) => {
    const peers = 20
    const made = makeSink(t, { peers, kernel: refusing(7, errno) })
    const { bytes, l4, frames } = superFrame(100)
    put(made, [bytes], l4)
    made.sink.drain(made.ring)
    t.same(counted(received(made.to)), timesEach(frames, peers - 1), 'the others get everything')
    t.equal(made.droppedFor(7), frames.length, 'it is counted against the one')
    for (const row of [6, 8, 19]) t.same([made.droppedFor(row), made.sentTo(row)], [0, frames.length])
    // What ICMP may have said is outlasted first.
    t.ok(made.calls() <= (errno === EHOSTUNREACH ? 7 : 4), `${made.calls()} calls`)
  })
}

t.test('to one peer alone; one that has no address any more is everywhere, or nowhere', async (t) => {
  const made = makeSink(t, { peers: 5, target: 3 })
  put(made, [single(1), single(1)])
  made.sink.drain(made.ring)
  t.same([0, 1, 2, 3, 4].map(made.sentTo), [0, 0, 0, 2, 0])
  made.table.clear(3)
  put(made, [single(1)])
  made.sink.drain(made.ring)
  t.same([0, 1, 2, 3, 4].map(made.sentTo), [1, 1, 1, 2, 1])
  for (const row of [0, 1, 2, 4]) made.table.clear(row)
  put(made, [single(1)])
  made.sink.drain(made.ring)
  t.equal(made.counters[C.dropUnreachable], 1)
})

t.test(
  'a peer whose way is too narrow is counted by all of a super-frame, wherever it comes in',
  async (t) => {
    for (const narrow of [0, 1, 2]) {
      const made = makeSink(t, { peers: 3 })
      made.limits.set(narrow, 500, 0)
      const { bytes, l4, frames } = superFrame(100)
      put(made, [bytes], l4)
      made.sink.drain(made.ring)
      t.same(counted(received(made.to)), timesEach(frames, 2))
      t.same([made.sentTo(narrow), made.droppedFor(narrow)], [0, 100])
      t.equal(made.counters[C.dropOverPath], 100)
    }
  },
)

t.test('a way that narrows between two parts of a super-frame costs what was left of it, once', async (t) => {
  for (const narrow of [0, 1, 2]) {
    const made = makeSink(t, {
      peers: 3,
      kernel: ({ nth, count }) => {
        if (nth === 0) made.limits.set(narrow, 500, 0)
        return count
      },
    })
    const { bytes, l4, frames } = superFrame(100)
    put(made, Array(6).fill(bytes), l4)
    made.sink.drain(made.ring)
    t.equal(made.calls(), 2, 'the last super-frame is sent in two parts')
    const others = received(made.to).length - made.sentTo(narrow)
    t.equal(others, 2 * 6 * frames.length)
    t.ok(made.sentTo(narrow) > 5 * frames.length && made.sentTo(narrow) < 6 * frames.length)
    t.equal(made.sentTo(narrow) + made.droppedFor(narrow), 6 * frames.length)
    t.equal(made.counters[C.dropOverPath], made.droppedFor(narrow))
  }
})

import t from 'tap'
import { C } from '../src/forward/counters.js'
import { ENOBUFS } from '../src/linux/errno.js'
import { makeSink, put, received, superFrame, textOf } from './udp-sink.js'

t.test('what a congested way out drops is counted, and neither sent again nor taken apart', async (t) => {
  const { bytes, l4, frames } = superFrame(100)
  // The first of the two runs of the second super-frame.
  const made = makeSink(t, { peers: 1, kernel: ({ nth, count }) => [2, -ENOBUFS][nth] ?? count })
  put(made, [bytes, bytes], l4)
  made.sink.drain(made.ring)
  t.same(received(made.to), [...frames, ...frames.slice(64)].map(textOf))
  t.same([made.counters[C.dropSendBufferFull], made.droppedFor(0), made.sentTo(0)], [64, 64, 136])
  t.equal(made.calls(), 3)
})

import t from 'tap'
import { SocketWatch } from '../../../../src/control/datapath/socket-watch.js'
import { C, COUNTERS } from '../../../../src/memory/counters.js'
import { P, PEER_STRIDE } from '../../../../src/memory/peer-counters.js'

const ROW = 2

/** The counters of two workers, and a watch of one peer. */
function world() {
  const block = () => new Float64Array(COUNTERS.length)
  const workerPeerCounters = [new Float64Array(4 * PEER_STRIDE), new Float64Array(4 * PEER_STRIDE)]
  const counters = { tap: block(), udp: block(), own: { block: block(), count: () => {} } }
  const count = (name: keyof typeof P, worker = 0, row = ROW) => {
    workerPeerCounters[worker][row * PEER_STRIDE + P[name]]++
  }
  count('receivedFrames')
  const watch = new SocketWatch(ROW, { workerPeerCounters, counters })
  return { counters, count, watch }
}

t.test('a peer is heard if either worker has got something from it', async (t) => {
  const { watch, count } = world()
  t.notOk(watch.look(), 'what was there before does not count')
  for (const worker of [0, 1]) {
    count('receivedFrames', worker)
    t.ok(watch.look())
    t.notOk(watch.look(), 'once')
  }
  count('receivedFrames', 0, ROW + 1)
  t.notOk(watch.look(), 'another peer')
})

t.test('a peer is refused until something has gone to it', async (t) => {
  const { watch, count, counters } = world()
  counters.tap[C.dropForbidden]++
  watch.look()
  t.notOk(watch.refused, 'that was about another peer')
  count('droppedOutbound')
  watch.look()
  t.notOk(watch.refused, 'that was no refusal')
  counters.udp[C.dropForbidden]++
  count('droppedOutbound')
  watch.look()
  t.ok(watch.refused)
  watch.look()
  t.ok(watch.refused, 'nothing has changed')
  count('sentFrames')
  watch.look()
  t.notOk(watch.refused)
})

import t from 'tap'
import { Traffic } from '../../../../src/control/peer/traffic.js'
import { P, PEER_STRIDE, type PeerCounterName } from '../../../../src/memory/peer-counters.js'

const ROW = 1
const ROWS = 3

/** Two blocks of counters, and a function that counts in one of them for a row. */
function makeBlocks() {
  const blocks = [0, 1].map(() => new Float64Array(ROWS * PEER_STRIDE))
  const count = (block: number, name: PeerCounterName, by: number, row = ROW) => {
    blocks[block][row * PEER_STRIDE + P[name]] += by
  }
  return { blocks, count }
}

t.test('status counts from when the peer took the row, over all blocks and in no other row', async (t) => {
  const { blocks, count } = makeBlocks()
  for (const name of Object.keys(P)) count(0, name as PeerCounterName, 1_000)
  const traffic = new Traffic(ROW, blocks)
  const nothing = { frames: 0, bytes: 0, dropped: 0 }
  t.same(traffic.status(), { outbound: nothing, inbound: nothing })
  count(0, 'sentFrames', 1)
  count(1, 'sentFrames', 2)
  count(0, 'sentBytes', 300)
  count(1, 'droppedOutbound', 4)
  count(1, 'receivedFrames', 5)
  count(0, 'receivedBytes', 600)
  count(0, 'droppedInbound', 7)
  for (const name of Object.keys(P)) count(1, name as PeerCounterName, 50, ROW + 1)
  t.same(traffic.status(), {
    outbound: { frames: 3, bytes: 300, dropped: 4 },
    inbound: { frames: 5, bytes: 600, dropped: 7 },
  })
})

t.test('messages without a frame have come, too', async (t) => {
  const { blocks, count } = makeBlocks()
  const traffic = new Traffic(ROW, blocks)
  count(0, 'receivedKeepalives', 2)
  count(1, 'receivedFrames', 3)
  count(1, 'sentFrames', 4)
  t.same(traffic.totals, { sentFrames: 4, receivedFrames: 5 })
})

t.test('what went to the peer before it had the row does not make it busy', async (t) => {
  const { blocks, count } = makeBlocks()
  count(0, 'sentFrames', 9)
  const traffic = new Traffic(ROW, blocks)
  t.equal(traffic.hasSent(), false)
  count(1, 'sentFrames', 1)
  t.equal(traffic.hasSent(), true)
  t.equal(traffic.hasSent(), false)
  count(1, 'receivedFrames', 1)
  t.equal(traffic.hasSent(), false)
})

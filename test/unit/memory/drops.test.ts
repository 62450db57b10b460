import fc from 'fast-check'
import t from 'tap'
import { C, COUNTERS } from '../../../src/memory/counters.js'
import { Drops } from '../../../src/memory/drops.js'
import { PEER_STRIDE, sumPeerCounters } from '../../../src/memory/peer-counters.js'

const ROWS = 4
const REASONS = COUNTERS.filter((name) => name.startsWith('drop'))

const drop = fc.record({
  reason: fc.constantFrom(...REASONS),
  row: fc.nat(ROWS - 1),
  frames: fc.integer({ min: 1, max: 1_000 }),
  whose: fc.constantFrom('outbound' as const, 'inbound' as const, 'nobody' as const),
})

t.test('each drop is counted once by its reason, and for the peer whose frames they were', async () => {
  const property = fc.property(fc.array(drop), (all) => {
    const counters = new Float64Array(COUNTERS.length)
    const peerCounters = new Float64Array(ROWS * PEER_STRIDE)
    const drops = new Drops(counters, peerCounters)
    for (const { reason, row, frames, whose } of all) {
      if (whose === 'nobody') drops.ofNobody(C[reason], frames)
      else drops[whose](C[reason], row, frames)
    }
    const sum = (which: (it: (typeof all)[number]) => boolean) =>
      all.filter(which).reduce((total, { frames }) => total + frames, 0)
    const rows = Array.from({ length: ROWS }, (_, row) => sumPeerCounters(row, peerCounters))
    return (
      COUNTERS.every((name) => counters[C[name]] === sum(({ reason }) => reason === name)) &&
      rows.every(
        ({ droppedOutbound, droppedInbound, ...others }, row) =>
          droppedOutbound === sum((it) => it.whose === 'outbound' && it.row === row) &&
          droppedInbound === sum((it) => it.whose === 'inbound' && it.row === row) &&
          Object.values(others).every((count) => count === 0),
      )
    )
  })
  fc.assert(property)
})

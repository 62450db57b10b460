import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import {
  STORM_BURST_FRAMES,
  STORM_FRAMES_PER_S,
  StormLimit,
  stormBytes,
} from '../../../src/memory/storm-limit.js'
import { DEVICE } from '../../../src/memory/target.js'

const PEERS = 3
const START_MS = 1_700_000_000_000

function limit() {
  const memory = NativeMemory.allocate(stormBytes(PEERS))
  const clock = { nowMs: START_MS }
  return { memory, clock, storm: new StormLimit(memory, 0, () => clock.nowMs) }
}

/** How many of `frames` single frames it lets through. */
function through(storm: StormLimit, port: number, frames: number): number {
  let passed = 0
  for (let frame = 0; frame < frames; frame++) if (storm.allows(port, 1)) passed++
  return passed
}

t.test('a burst passes, then so many a second, and each port has its own', async (t) => {
  const { clock, storm } = limit()
  t.equal(through(storm, 1, 3 * STORM_BURST_FRAMES), STORM_BURST_FRAMES)
  clock.nowMs += 100
  t.equal(through(storm, 1, STORM_BURST_FRAMES), STORM_FRAMES_PER_S / 10)
  for (const port of [DEVICE, 0, 2]) t.equal(through(storm, port, STORM_BURST_FRAMES), STORM_BURST_FRAMES)
  clock.nowMs += 1_000_000
  t.equal(through(storm, 1, 3 * STORM_BURST_FRAMES), STORM_BURST_FRAMES, 'no more than a burst is saved up')
})

t.test('below the rate nothing is ever refused; beyond it, no more than rate and burst passes', async (t) => {
  const steps = fc.array(
    fc.record({ ms: fc.integer({ min: 0, max: 300 }), frames: fc.integer({ min: 1, max: 64 }) }),
    { maxLength: 500 },
  )
  const property = fc.property(steps, (steps) => {
    const { clock, storm } = limit()
    let passed = 0
    let wanted = 0
    for (const { ms, frames } of steps) {
      clock.nowMs += ms
      const seconds = (clock.nowMs - START_MS) / 1000
      for (let copies = 0; copies < 100; copies++) {
        const allowed = storm.allows(0, frames)
        if (allowed) passed += frames
        else if (wanted + frames <= STORM_FRAMES_PER_S * seconds) return false
        wanted += frames
      }
      if (passed > STORM_BURST_FRAMES + STORM_FRAMES_PER_S * seconds + 1e-6) return false
    }
    return true
  })
  t.doesNotThrow(() => fc.assert(property))
})

t.test('frames that count for nothing always pass, and threads share what is left', async (t) => {
  const { memory, clock, storm } = limit()
  const other = new StormLimit(memory, 0, () => clock.nowMs)
  t.equal(through(storm, 0, STORM_BURST_FRAMES / 2), STORM_BURST_FRAMES / 2)
  t.equal(through(other, 0, STORM_BURST_FRAMES), STORM_BURST_FRAMES / 2)
  t.notOk(storm.allows(0, 1))
  t.ok(storm.allows(0, 0))
})

t.test('a clock that goes back a little takes nothing away', async (t) => {
  const { clock, storm } = limit()
  through(storm, 0, STORM_BURST_FRAMES)
  clock.nowMs -= 50
  t.notOk(storm.allows(0, 1))
  clock.nowMs += 1
  t.equal(through(storm, 0, STORM_BURST_FRAMES), STORM_FRAMES_PER_S / 1000)
})

t.test('the clock of each thread is the same', async (t) => {
  const memory = NativeMemory.allocate(stormBytes(PEERS))
  const storm = new StormLimit(memory, 0)
  t.equal(through(storm, 0, 10), 10)
  const lastMs = memory.f64[(0 + 2) * 2 + 1]
  t.ok(Math.abs(lastMs - Date.now()) < 60_000, `${lastMs} is the time of day, or was when this began`)
})

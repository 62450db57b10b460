import t from 'tap'
import { SteadyCalendar } from '../../../src/noise/steady-calendar.js'

const HOUR_MS = 3_600_000

t.test('it follows a clock that is set on, and goes on from there when that is set back', async (t) => {
  let [unixMs, steadyMs] = [1_000 * HOUR_MS, 5_000]
  const calendar = new SteadyCalendar(
    () => unixMs,
    () => steadyMs,
  )
  const pass = (ms: number) => {
    unixMs += ms
    steadyMs += ms
  }
  t.equal(calendar.nowMs(), unixMs)
  pass(1_000)
  t.equal(calendar.nowMs(), 1_000 * HOUR_MS + 1_000)
  unixMs -= HOUR_MS
  t.equal(calendar.nowMs(), 1_000 * HOUR_MS + 1_000, 'set back')
  pass(1_000)
  t.equal(calendar.nowMs(), 1_000 * HOUR_MS + 2_000)
  unixMs += 3 * HOUR_MS
  t.equal(calendar.nowMs(), unixMs, 'set on')
})

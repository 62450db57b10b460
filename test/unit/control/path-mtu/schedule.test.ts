import t from 'tap'
import { type Occasion, Schedule } from '../../../../src/control/path-mtu/schedule.js'

const REFRESH_MS = 600_000

const made = (random = 0.5) => new Schedule(REFRESH_MS, () => random, 0)

/** All that comes until `endMs`, each at the time that the schedule has named. */
function occasions(schedule: Schedule, mtuBytes: number | undefined, endMs: number): [number, Occasion][] {
  const all: [number, Occasion][] = []
  for (let nowMs = 0; nowMs <= endMs; nowMs = Math.max(nowMs + 1, schedule.dueMs(mtuBytes))) {
    const occasion = schedule.take(mtuBytes, nowMs)
    if (occasion === undefined) continue
    all.push([nowMs, occasion])
    if (occasion === 'refresh') schedule.refreshLater(nowMs)
  }
  return all
}

t.test('the timer alone: it comes again and again, and not at the time of another end', async (t) => {
  t.same(
    occasions(made(), 1400, 2 * REFRESH_MS).map(([atMs]) => atMs),
    [REFRESH_MS, 2 * REFRESH_MS],
  )
  for (const [random, factor] of [
    [0, 0.8],
    [1, 1.2],
  ]) {
    const schedule = made(random)
    schedule.refreshLater(0)
    t.equal(schedule.refreshAtMs, factor * REFRESH_MS)
    t.equal(schedule.take(1400, factor * REFRESH_MS - 1), undefined)
    t.equal(schedule.take(1400, factor * REFRESH_MS), 'refresh')
  }
})

t.test('after an error it is soon', async (t) => {
  const schedule = made()
  schedule.retryLater(5_000)
  t.equal(schedule.dueMs(undefined), 35_000)
  t.equal(schedule.take(undefined, 35_000), 'refresh')
})

t.test('a hint comes at once, and the next half a second later, however many there were', async (t) => {
  const schedule = made()
  schedule.hints.smaller(1300)
  t.equal(schedule.take(1400, 1_000), 1300)
  for (let forged = 0; forged < 1_000; forged++) schedule.hints.smaller(1000)
  t.equal(schedule.take(1400, 1_499), undefined)
  t.equal(schedule.dueMs(1400), 1_500)
  t.equal(schedule.take(1400, 1_500), 1000)
  t.equal(schedule.take(1400, 5_000), undefined, 'it counts as followed')
})

t.test('a hint comes before the timer, which then still comes', async (t) => {
  const schedule = made()
  schedule.hints.smaller(1300)
  t.equal(schedule.take(1400, REFRESH_MS), 1300)
  t.equal(schedule.take(1400, REFRESH_MS), 'refresh')
})

t.test('longer packets come once a minute, and only while they may', async (t) => {
  const schedule = made()
  schedule.hints.larger(1450)
  t.equal(schedule.take(undefined, 1_000), undefined, 'while there is no size to be longer than')
  t.equal(schedule.take(1450, 1_000), undefined, 'it is not longer')
  t.equal(schedule.take(1400, 1_000), 'larger')
  t.equal(schedule.take(1400, 2_000), undefined)
  schedule.hints.larger(1450)
  t.equal(schedule.dueMs(1400), 61_000)
  t.equal(schedule.take(1400, 60_999), undefined)
  t.equal(schedule.take(1400, 61_000), 'larger')
  schedule.hints.larger(1450)
  schedule.hints.forgetLarger()
  t.equal(schedule.dueMs(1400), REFRESH_MS, 'the path has become narrower meanwhile')
})

import t from 'tap'
import { PingStatistics } from '../../../../src/cli/ping/statistics.js'

t.test('round trips are summed up as by ping(8)', async (t) => {
  const statistics = new PingStatistics()
  for (const ms of [2, 4, 4, undefined, 4, 5, 5, 7, 9]) statistics.add(ms)
  t.equal(statistics.sent, 9)
  t.equal(statistics.answered, 8)
  t.ok(Math.abs(statistics.loss - 1 / 9) < 1e-12)
  const { min, avg, max, mdev } = statistics.roundTrips ?? {}
  t.same([min, max], [2, 9])
  t.ok(Math.abs((avg ?? 0) - 5) < 1e-9)
  t.ok(Math.abs((mdev ?? 0) - 2) < 1e-9, 'the standard deviation')
})

t.test('nothing sent, nothing answered, and one answer', async (t) => {
  const statistics = new PingStatistics()
  t.equal(statistics.loss, 0)
  t.equal(statistics.roundTrips, null)
  statistics.add(undefined)
  t.equal(statistics.loss, 1)
  t.equal(statistics.roundTrips, null)
  statistics.add(0.5)
  t.same(statistics.roundTrips, { min: 0.5, avg: 0.5, max: 0.5, mdev: 0 })
  t.equal(statistics.loss, 0.5)
})

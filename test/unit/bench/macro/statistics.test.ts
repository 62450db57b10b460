import fc from 'fast-check'
import t from 'tap'
import {
  changeOfLogs,
  quantile,
  ratiosByRound,
  relativeSpread,
  straddlesOne,
  summarize,
} from '../../../../bench/macro/statistics.js'

const near = (actual: number, expected: number) => Math.abs(actual - expected) < 1e-3 * Math.abs(expected)

t.test('a summary is the median between the lowest and the highest', async (t) => {
  t.same(summarize([3, 1, 2]), { count: 3, median: 2, low: 1, high: 3 })
  t.same(summarize([4, 1, 3, 2]), { count: 4, median: 2.5, low: 1, high: 4 })
  t.same(summarize([7]), { count: 1, median: 7, low: 7, high: 7 })
  t.equal(relativeSpread({ count: 3, median: 10, low: 9, high: 12 }), 0.3)
})

t.test('quantiles', async (t) => {
  const values = Array.from({ length: 101 }, (_, index) => 100 - index)
  t.equal(quantile(values, 0.5), 50)
  t.equal(quantile(values, 0.99), 99)
})

t.test('ratios are taken within rounds that have both', async (t) => {
  const ratios = ratiosByRound(
    new Map([
      [1, 10],
      [2, 30],
      [3, 8],
    ]),
    new Map([
      [1, 5],
      [3, 2],
      [4, 1],
    ]),
  )
  t.same(ratios, [2, 4])
})

t.test('a common drift moves values and not their ratios', async (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(fc.double({ min: 1, max: 1e6, noNaN: true }), fc.double({ min: 0.1, max: 10, noNaN: true })),
        {
          minLength: 1,
        },
      ),
      fc.double({ min: 0.1, max: 10, noNaN: true }),
      (rounds, factor) => {
        const base = new Map(rounds.map(([value, drift], round) => [round, value * drift]))
        const other = new Map(rounds.map(([value, drift], round) => [round, value * drift * factor]))
        const { low, high } = summarize(ratiosByRound(other, base))
        return near(low, factor) && near(high, factor)
      },
    ),
  )
  t.pass()
})

t.test('ratios on both sides of one leave the order open', async (t) => {
  t.equal(straddlesOne(summarize([0.9, 1.1, 1.2])), true)
  t.equal(straddlesOne(summarize([1.01, 1.1, 1.2])), false)
  t.equal(straddlesOne(summarize([0.2, 0.99])), false)
})

t.test("a change has the interval of Welch's t-test", async (t) => {
  // Both variances 2, two values each: two degrees of freedom, t(0.975) = 4.3027, error = sqrt(2).
  const change = changeOfLogs([0, 2], [1, 3], 0.95)
  t.ok(change)
  if (change === undefined) return
  t.ok(near(change.factor, Math.E))
  t.ok(near(change.low, Math.exp(1 - 4.30265 * Math.SQRT2)), `low is ${change.low}`)
  t.ok(near(change.high, Math.exp(1 + 4.30265 * Math.SQRT2)), `high is ${change.high}`)
  // With two degrees of freedom t(0.995) = 9.9248.
  const surer = changeOfLogs([0, 2], [1, 3], 0.99)
  t.ok(surer !== undefined && near(surer.low, Math.exp(1 - 9.92484 * Math.SQRT2)), `${surer?.low}`)
})

t.test('one value says nothing, and equal values say everything', async (t) => {
  t.equal(changeOfLogs([1], [2, 3], 0.95), undefined)
  t.equal(changeOfLogs([1, 2], [3], 0.95), undefined)
  t.same(changeOfLogs([0, 0], [0, 0], 0.95), { factor: 1, low: 1, high: 1 })
  t.same(changeOfLogs([0, 0], [1, 1], 0.95), { factor: Math.E, low: Math.E, high: Math.E })
})

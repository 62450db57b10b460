import t from 'tap'
import { compare } from '../../../../bench/macro/compare.js'
import { SUBJECT } from '../../../../bench/macro/peers/udptun-fast.js'
import { comparisonReport } from '../../../../bench/macro/report/comparison.js'
import { normal, resultsOf, type Shape } from '../../../support/bench-results.js'

const SHAPE: Shape = {
  rounds: 5,
  peers: ['underlay', 'article', SUBJECT],
  loads: [
    { name: 'tcp-1', metric: 'bitsPerSecond', beside: ['residentBytes', 'cpuSecondsPerGigabyte'] },
    { name: 'udp-64', metric: 'datagramsPerSecond' },
    { name: 'ping-idle', metric: 'p50Ms', beside: ['p99Ms'] },
  ],
}
const BASE = { underlay: 20e9, article: 1e9, [SUBJECT]: 5e9 } as Record<string, number>

/** A run whose values scatter by `noise`, with a factor for each peer. */
function runOf(
  seed: number,
  noise: number,
  factor: (peer: string, metric: string) => number = () => 1,
  shape = SHAPE,
) {
  const random = normal(seed)
  return resultsOf(shape, (peer, _, metric) => BASE[peer] * factor(peer, metric) * Math.exp(noise * random()))
}

const row = (comparison: ReturnType<typeof compare>, load: string, metric: string) =>
  comparison.rows.find((row) => row.load === load && row.metric === metric)

t.test('a slower tunnel is a regression, a faster one is not', async (t) => {
  const only = (speed: number) => (peer: string, metric: string) =>
    peer === SUBJECT && metric === 'bitsPerSecond' ? speed : 1
  const slower = compare(runOf(1, 0.02), runOf(2, 0.02, only(0.8)))
  t.equal(slower.regressions, 1)
  t.equal(row(slower, 'tcp-1', 'bitsPerSecond')?.verdict, 'worse')
  t.equal(row(slower, 'udp-64', 'datagramsPerSecond')?.verdict, 'no change seen')
  const change = row(slower, 'tcp-1', 'bitsPerSecond')?.judged
  t.ok(change !== undefined && change.low < 0.8 && change.high > 0.8 && change.high < 1)
  const faster = compare(runOf(1, 0.02), runOf(2, 0.02, only(1.3)))
  t.equal(faster.regressions, 0)
  t.equal(row(faster, 'tcp-1', 'bitsPerSecond')?.verdict, 'better')
})

t.test('where lower is better, more is worse', async (t) => {
  const latency = (peer: string, metric: string) => (peer === SUBJECT && metric === 'p50Ms' ? 1.4 : 1)
  t.equal(row(compare(runOf(3, 0.02), runOf(4, 0.02, latency)), 'ping-idle', 'p50Ms')?.verdict, 'worse')
  const memory = (_: string, metric: string) => (metric === 'residentBytes' ? 1.4 : 1)
  const grown = compare(runOf(3, 0.02), runOf(4, 0.02, memory))
  t.equal(row(grown, 'tcp-1', 'residentBytes')?.verdict, 'worse', 'a machine does not make memory grow')
})

t.test('a slower machine is no regression', async (t) => {
  const comparison = compare(
    runOf(5, 0.02),
    runOf(6, 0.02, (_, metric) => (metric === 'residentBytes' ? 1 : 0.7)),
  )
  t.equal(comparison.regressions, 0)
  const tcp = row(comparison, 'tcp-1', 'bitsPerSecond')
  t.ok(tcp?.raw !== undefined && tcp.raw.high < 0.8, 'the change itself is shown')
  t.ok(tcp?.judged !== undefined && tcp.judged.low < 1 && tcp.judged.high > 1, 'and so is what it comes to')
})

t.test('noise alone seldom raises an alarm', async (t) => {
  const runs = 300
  let alarms = 0
  for (let seed = 0; seed < runs; seed++) {
    if (compare(runOf(2 * seed + 100, 0.1), runOf(2 * seed + 101, 0.1)).regressions > 0) alarms++
  }
  // One in twenty may call something a change, half of them for the worse.
  t.ok(alarms <= runs * 0.05, `${alarms} of ${runs}`)
})

t.test('what is lost in the noise is not called a regression', async (t) => {
  const slower = (peer: string) => (peer === SUBJECT ? 0.95 : 1)
  t.equal(compare(runOf(7, 0.3), runOf(8, 0.3, slower)).regressions, 0)
})

t.test('the 99th percentile is shown in reports and not judged', async (t) => {
  t.equal(row(compare(runOf(9, 0.02), runOf(10, 0.02)), 'ping-idle', 'p99Ms'), undefined)
})

t.test('a peer that missed a round is no yardstick', async (t) => {
  const before = runOf(11, 0.02)
  const after = runOf(12, 0.02)
  after.samples = after.samples.filter(({ peer, round }) => peer !== 'article' || round !== 3)
  const tcp = row(compare(before, after), 'tcp-1', 'bitsPerSecond')
  t.equal(tcp?.verdict, 'no change seen')
  after.samples = after.samples.filter(({ peer, round }) => peer === SUBJECT || round !== 2)
  const alone = row(compare(before, after), 'tcp-1', 'bitsPerSecond')
  t.same(alone?.judged, alone?.raw, 'without any yardstick the values are judged as they are')
})

t.test('one round is too few', async (t) => {
  const once = { ...SHAPE, rounds: 1 }
  const comparison = compare(
    runOf(13, 0.02, undefined, once),
    runOf(14, 0.02, () => 0.1, once),
  )
  t.ok(comparison.rows.every(({ verdict }) => verdict === 'too few rounds'))
  t.equal(comparison.regressions, 0)
})

t.test('runs with nothing in common are refused', async (t) => {
  const others = { ...SHAPE, peers: ['underlay', 'article'] }
  t.throws(() => compare(runOf(15, 0.02), runOf(16, 0.02, undefined, others)), {
    message: /nothing to compare/,
    exitCode: 2,
  })
})

t.test('the report has each change with its uncertainty, and what else differs', async (t) => {
  const after = runOf(18, 0.02, (peer) => (peer === SUBJECT ? 0.7 : 1))
  after.machine.kernel = '7.0.0'
  const text = comparisonReport(compare(runOf(17, 0.02), after))
  t.match(text, /tcp-1, throughput \(mtu=1500,offload=on\).*-3\d%.*\(-3\d% to -2\d%\).*worse/)
  t.match(text, /kernel: 6\.18\.0 then, 7\.0\.0 now/)
  t.match(text, /have become worse beyond the noise/)
})

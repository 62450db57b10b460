import { UserError } from '../../src/errors.js'
import { METRIC_NAMES, METRICS, type MetricName } from './metrics.js'
import { SUBJECT } from './peers/udptun-fast.js'
import { type Results, type Series, valuesByRound } from './results.js'
import { type Change, changeOfLogs, quantile } from './statistics.js'

export type Verdict = 'better' | 'worse' | 'no change seen' | 'too few rounds'

/** The change of one figure of this tunnel. */
export interface ChangeRow {
  readonly underlay: string
  readonly load: string
  readonly metric: MetricName
  /** Medians. */
  readonly before: number
  readonly after: number
  /** The change of the plain values. */
  readonly raw: Change | undefined
  /**
   * The change that is judged. If the machine's speed affects the metric, the values are relative to the
   * yardsticks of the same rounds. Otherwise it is the same as `raw`.
   */
  readonly judged: Change | undefined
  readonly verdict: Verdict
}

export interface Comparison {
  readonly before: { readonly startedAt: string; readonly command: string }
  readonly after: { readonly startedAt: string; readonly command: string }
  readonly rows: readonly ChangeRow[]
  /** Differences between the two runs other than the program. */
  readonly differences: readonly string[]
  readonly regressions: number
}

/** The probability that at least one interval of a comparison does not contain the truth. */
const FALSE_ALARM = 0.05

/**
 * Compares this tunnel in two runs. The confidence covers all intervals together, however many there are
 * (Bonferroni). A figure has changed if "no change" is outside its interval.
 * @throws UserError if the runs have no figure in common
 */
export function compare(before: Results, after: Results): Comparison {
  const shared = commonSeries(before, after)
  if (shared.length === 0) {
    throw new UserError(`the two runs have no figure of ${SUBJECT} in common: there is nothing to compare`, 2)
  }
  const confidence = 1 - FALSE_ALARM / shared.length
  const rows = shared.map((series): ChangeRow => {
    const values = [before, after].map((results) => valuesByRound(results, series))
    const logs = values.map(
      (byRound) => new Map([...byRound].map(([round, value]) => [round, Math.log(value)])),
    )
    const raw = changeOfLogs([...logs[0].values()], [...logs[1].values()], confidence)
    const yardsticks = yardsticksOf(before, after, series)
    const judged =
      yardsticks.length === 0
        ? raw
        : changeOfLogs(relative(before, series, yardsticks), relative(after, series, yardsticks), confidence)
    return {
      underlay: series.underlay,
      load: series.load,
      metric: series.metric,
      before: quantile([...values[0].values()], 0.5),
      after: quantile([...values[1].values()], 0.5),
      raw,
      judged,
      verdict: judge(judged, series.metric),
    }
  })
  return {
    before: { startedAt: before.startedAt, command: before.command },
    after: { startedAt: after.startedAt, command: after.command },
    rows,
    differences: differences(before, after),
    regressions: rows.filter(({ verdict }) => verdict === 'worse').length,
  }
}

function commonSeries(before: Results, after: Results): Series[] {
  return before.underlays.flatMap(({ name: underlay }) =>
    before.loads.flatMap(({ name: load }) =>
      METRIC_NAMES.filter((metric) => METRICS[metric].compared !== undefined)
        .map((metric) => ({ underlay, load, peer: SUBJECT, metric }))
        .filter((series) => [before, after].every((results) => measured(results, series).size > 0)),
    ),
  )
}

/** The values that have a logarithm. */
function measured(results: Results, series: Series): Map<number, number> {
  return new Map([...valuesByRound(results, series)].filter(([, value]) => value > 0))
}

/**
 * Yardsticks: other peers that have a value in every round of this tunnel, in both runs. They show the
 * machine's drift.
 */
function yardsticksOf(before: Results, after: Results, series: Series): string[] {
  if (METRICS[series.metric].compared !== 'with the machine') return []
  return before.peers
    .map(({ name }) => name)
    .filter((peer) => peer !== SUBJECT)
    .filter((peer) =>
      [before, after].every((results) => {
        const rounds = measured(results, { ...series, peer })
        return [...measured(results, series).keys()].every((round) => rounds.has(round))
      }),
    )
}

/** The logarithms of this tunnel's values divided by the geometric mean of the yardsticks, for each round. */
function relative(results: Results, series: Series, yardsticks: readonly string[]): number[] {
  const others = yardsticks.map((peer) => measured(results, { ...series, peer }))
  return [...measured(results, series)].map(([round, value]) => {
    const sum = others.reduce((total, values) => total + Math.log(values.get(round) ?? 1), 0)
    return Math.log(value) - sum / others.length
  })
}

function judge(change: Change | undefined, metric: MetricName): Verdict {
  if (change === undefined) return 'too few rounds'
  const { better, smallestChange } = METRICS[metric]
  if (change.high < 1 && change.factor < 1 - smallestChange) return better === 'higher' ? 'worse' : 'better'
  if (change.low > 1 && change.factor > 1 + smallestChange) return better === 'higher' ? 'better' : 'worse'
  return 'no change seen'
}

function differences(before: Results, after: Results): string[] {
  const facts = ({ machine, generator, seconds }: Results): Record<string, string> => ({
    CPU: machine.cpu,
    cores: String(machine.cores),
    kernel: machine.kernel,
    Node: machine.node,
    'TCP congestion control': machine.tcpCongestionControl,
    generator: `${generator.name} ${generator.version}`,
    'seconds of a measurement': String(seconds),
  })
  const [a, b] = [facts(before), facts(after)]
  return Object.keys(a)
    .filter((fact) => a[fact] !== b[fact])
    .map((fact) => `${fact}: ${a[fact]} then, ${b[fact]} now`)
}

import jstat from 'jstat'

const { jStat } = jstat

/** The median of repeated measurements, and their spread. */
export interface Summary {
  readonly count: number
  readonly median: number
  /** Smallest and largest. With five values, the true median is between them 94 times in 100. */
  readonly low: number
  readonly high: number
}

/** @param values at least one */
export function summarize(values: readonly number[]): Summary {
  return {
    count: values.length,
    median: jStat.median(values),
    low: Math.min(...values),
    high: Math.max(...values),
  }
}

/** The value below which `share` (0 to 1) of the values are. */
export function quantile(values: readonly number[], share: number): number {
  return jStat.percentile(values, share)
}

/**
 * `a / b` of every round that has both. Measurements close in time see the machine in the same state. So these
 * ratios are steady even if the values are not.
 */
export function ratiosByRound(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): number[] {
  return [...a].flatMap(([round, value]) => {
    const other = b.get(round)
    return other === undefined || other === 0 ? [] : [value / other]
  })
}

/** Width of the spread as a share of the median. */
export function relativeSpread({ low, high, median }: Summary): number {
  return median === 0 ? 0 : (high - low) / Math.abs(median)
}

/**
 * Whether the rounds disagree on which of the two is larger. If so, the median of their ratios means nothing.
 */
export function straddlesOne(ratios: Summary): boolean {
  return ratios.low <= 1 && ratios.high >= 1
}

/** The factor by which a figure has changed between two sets of measurements. */
export interface Change {
  /** Ratio of the geometric means, new to old. */
  readonly factor: number
  /** The confidence interval of the factor. */
  readonly low: number
  readonly high: number
}

/**
 * Welch's t-interval on logarithms, because noise in speeds is relative.
 * @param before logarithms of the values
 * @param after logarithms of the values; undefined is returned if either side has fewer than two values
 * @param confidence from 0 to 1: how often such an interval contains the true factor
 */
export function changeOfLogs(
  before: readonly number[],
  after: readonly number[],
  confidence: number,
): Change | undefined {
  if (before.length < 2 || after.length < 2) return undefined
  const difference = jStat.mean(after) - jStat.mean(before)
  const a = jStat.variance(before, true) / before.length
  const b = jStat.variance(after, true) / after.length
  const degrees = (a + b) ** 2 / (a ** 2 / (before.length - 1) + b ** 2 / (after.length - 1))
  const reach = a + b === 0 ? 0 : jStat.studentt.inv((1 + confidence) / 2, degrees) * Math.sqrt(a + b)
  return {
    factor: Math.exp(difference),
    low: Math.exp(difference - reach),
    high: Math.exp(difference + reach),
  }
}

import { si } from '../../src/cli/table.js'

/** A metric: its title, how to format it, and which direction is better. */
export interface Metric {
  readonly title: string
  readonly better: 'higher' | 'lower'
  readonly format: (value: number) => string
  /**
   * Whether `--compare` judges it. `with the machine`: the machine's speed affects it, so its change is
   * relative to the other peers of the same round.
   */
  readonly compared: 'with the machine' | 'by itself' | undefined
  /** A change below this share does not matter, even if it is certain. */
  readonly smallestChange: number
}

const digits = (value: number) => (value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)
const fixed = (value: number, unit: string) => `${value.toFixed(digits(value))} ${unit}`

export const METRICS = {
  bitsPerSecond: {
    title: 'throughput',
    better: 'higher',
    format: (value) => si(value, 'bit/s'),
    compared: 'with the machine',
    smallestChange: 0.02,
  },
  datagramsPerSecond: {
    title: 'datagrams delivered',
    better: 'higher',
    format: (value) => si(value, '/s'),
    compared: 'with the machine',
    smallestChange: 0.02,
  },
  p50Ms: {
    title: 'round trip, p50',
    better: 'lower',
    format: (value) => fixed(value, 'ms'),
    compared: 'with the machine',
    smallestChange: 0.02,
  },
  meanMs: {
    title: 'round trip, mean',
    better: 'lower',
    format: (value) => fixed(value, 'ms'),
    compared: undefined,
    smallestChange: 0.02,
  },
  p99Ms: {
    title: 'round trip, p99',
    better: 'lower',
    format: (value) => fixed(value, 'ms'),
    compared: undefined,
    smallestChange: 0.02,
  },
  lostPercent: {
    title: 'lost',
    better: 'lower',
    format: (value) => fixed(value, '%'),
    compared: undefined,
    smallestChange: 0.02,
  },
  cpuSecondsPerGigabyte: {
    title: 'CPU of the tunnel',
    better: 'lower',
    format: (value) => fixed(value, 's/GB'),
    compared: 'with the machine',
    smallestChange: 0.02,
  },
  residentBytes: {
    title: 'memory of one end',
    better: 'lower',
    format: (value) => `${(value / 1e6).toFixed(value < 9.95e6 ? 1 : 0)} MB`,
    compared: 'by itself',
    smallestChange: 0.1,
  },
  startMs: {
    title: 'start to first ping',
    better: 'lower',
    format: (value) => `${value.toFixed(0)} ms`,
    compared: 'by itself',
    smallestChange: 0.1,
  },
} as const satisfies Record<string, Metric>

export type MetricName = keyof typeof METRICS

export const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]]

/** The values of one load for one peer in one round. */
export type Values = Partial<Record<MetricName, number>>

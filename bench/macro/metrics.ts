import { si } from '../../src/cli/table.js'

/** Something measured: what it is called, how it reads, and which way is better. */
export interface Metric {
  readonly title: string
  readonly better: 'higher' | 'lower'
  readonly format: (value: number) => string
  /**
   * Whether `--compare` judges it, and whether the machine's speed moves it (then the change is taken relative
   * to the other peers of the same round).
   */
  readonly compared: 'with the machine' | 'by itself' | undefined
  /** What is less than this share is of no interest, however certain. */
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

/** What one load yields for one peer in one round. */
export type Values = Partial<Record<MetricName, number>>

import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { UserError } from '../../src/errors.js'
import { METRIC_NAMES, type MetricName } from './metrics.js'

/**
 * The shape of `results.json`. The version rises with every change that an older reader would misread. Names
 * are references: a sample's `underlay`, `peer` and `load` are names in the lists above it.
 */
export const RESULTS_VERSION = 1

const where = {
  /** Counts from 1. */
  round: z.int().min(1),
  underlay: z.string(),
  peer: z.string(),
}

const resultsSchema = z.object({
  format: z.literal('udptun-fast bench'),
  version: z.literal(RESULTS_VERSION),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  /** The command that repeats the run. */
  command: z.string(),
  machine: z.object({
    system: z.string(),
    kernel: z.string(),
    architecture: z.string(),
    cpu: z.string(),
    cores: z.int(),
    memoryBytes: z.int(),
    virtual: z.boolean(),
    node: z.string(),
    tcpCongestionControl: z.string(),
    /** For the minute before the run. */
    loadAverage: z.number(),
  }),
  generator: z.object({ name: z.string(), version: z.string() }),
  rounds: z.int().min(1),
  /** Length of each throughput measurement. */
  seconds: z.int().min(1),
  underlays: z.array(
    z.object({
      name: z.string(),
      title: z.string(),
      mtuBytes: z.int(),
      /** With the names of `ethtool -k`. */
      offloadsOn: z.array(z.string()),
      /** In tc's form; null if the rate of the underlay is not limited. */
      rate: z.string().nullable(),
    }),
  ),
  peers: z.array(
    z.object({ name: z.string(), title: z.string(), encrypts: z.boolean(), version: z.string() }),
  ),
  /** Peers that were requested but were not available. */
  skipped: z.array(z.object({ name: z.string(), title: z.string(), reason: z.string() })),
  loads: z.array(z.object({ name: z.string(), title: z.string(), metric: z.enum(METRIC_NAMES) })),
  samples: z.array(z.object({ ...where, load: z.string(), metric: z.enum(METRIC_NAMES), value: z.number() })),
  /** Throughput over time. Each point is the seconds at the end of an interval and the bit/s in it. */
  timelines: z.array(
    z.object({ ...where, load: z.string(), points: z.array(z.tuple([z.number(), z.number()])) }),
  ),
  /** What failed. `load` is null if the tunnel itself did not come up. */
  failures: z.array(z.object({ ...where, load: z.string().nullable(), message: z.string() })),
})

export type Results = z.infer<typeof resultsSchema>
export type Sample = Results['samples'][number]
export type Failure = Results['failures'][number]
export type MachineDescription = Results['machine']

/** @throws UserError that says what is wrong with the file */
export function readResults(path: string): Results {
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UserError(`cannot read results from "${path}": ${(error as Error).message}`, 2)
  }
  const parsed = resultsSchema.safeParse(json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new UserError(
      `"${path}" is not a results.json of version ${RESULTS_VERSION}: ${issue.path.join('.') || 'the file'}: ${issue.message}`,
      2,
    )
  }
  return parsed.data
}

/** Identifies a series of values: one peer, one load, one metric, on one underlay. */
export interface Series {
  readonly underlay: string
  readonly peer: string
  readonly load: string
  readonly metric: MetricName
}

/** The values of a series by round. A failed round has none. */
export function valuesByRound(results: Results, series: Series): Map<number, number> {
  return new Map(
    results.samples
      .filter(
        ({ underlay, peer, load, metric }) =>
          underlay === series.underlay &&
          peer === series.peer &&
          load === series.load &&
          metric === series.metric,
      )
      .map(({ round, value }) => [round, value]),
  )
}

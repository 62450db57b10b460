import type { Generator, Point, Route } from '../generators/generator.js'
import type { MetricName, Values } from '../metrics.js'

export interface LoadContext {
  readonly route: Route
  readonly generator: Generator
  /** Length of a throughput measurement. */
  readonly seconds: number
  /** From the start of the tunnel to the first ping; undefined if there was nothing to start. */
  readonly startMs: number | undefined
}

export interface LoadResult {
  readonly values: Values
  /** Delivered payload, to relate processor time to; undefined if that would mean little. */
  readonly deliveredBytes?: number
  readonly timeline?: Point[]
}

/** A measurement on a running tunnel. */
export interface Load {
  readonly name: string
  readonly title: string
  /** The main metric, which its chart shows. */
  readonly metric: MetricName
  /** Approximate time that it takes. */
  estimateSeconds(seconds: number): number
  run(context: LoadContext): Promise<LoadResult>
}

/** Time to start and end a generator. */
export const GENERATOR_SECONDS = 0.35

import type { Generator, Point, Route } from '../generators/generator.js'
import type { MetricName, Values } from '../metrics.js'

export interface LoadContext {
  readonly route: Route
  readonly generator: Generator
  /** How long to measure throughput. */
  readonly seconds: number
  /** From the start of the tunnel to the first ping; undefined where there was nothing to start. */
  readonly startMs: number | undefined
}

export interface LoadResult {
  readonly values: Values
  /** Payload that came through, to relate processor time to; undefined where that would mean little. */
  readonly deliveredBytes?: number
  readonly timeline?: Point[]
}

/** What is done to a running tunnel, and measured. */
export interface Load {
  readonly name: string
  readonly title: string
  /** What it is judged by and its chart shows. */
  readonly metric: MetricName
  /** About how long it takes. */
  estimateSeconds(seconds: number): number
  run(context: LoadContext): Promise<LoadResult>
}

/** Starting and ending a generator. */
export const GENERATOR_SECONDS = 0.35

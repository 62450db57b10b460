/** A part of the hot path. It is so short that many executions are timed together. */
export interface Micro {
  readonly group: string
  readonly name: string
  /** Executes it `times` times. */
  run(times: number): void
  /** Bytes that one execution processes. Set this if a speed in GB/s is of interest. */
  readonly bytes?: number
}

/** Nanoseconds for one execution, over all batches. */
export interface Timing {
  readonly group: string
  readonly name: string
  readonly medianNs: number
  readonly p75Ns: number
  readonly p99Ns: number
  readonly batches: number
  readonly gigabytesPerSecond: number | null
}

/** A part of the hot path. It is so short that many executions are timed together. */
export interface Micro {
  readonly group: string
  readonly name: string
  /** Executes it `times` times. */
  run(times: number): void
  /** Bytes that one execution processes. Set this if a speed in GB/s is of interest. */
  readonly bytes?: number
}

/** Something of the hot path, small enough that it is timed many at a time. */
export interface Micro {
  readonly group: string
  readonly name: string
  /** Does it `times` times. */
  run(times: number): void
  /** Bytes that doing it once goes over, where a speed says more. */
  readonly bytes?: number
}

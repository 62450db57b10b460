/** How long a member may have been silent and still use that time at once, so that bursts of TCP pass. */
const BURST_MS = 50

/** A share is never less than this at once: two super-frames. */
const LEAST_BURST_BYTES = 128 * 1024

/**
 * Limits how many bytes are relayed for each of several rows. As in `rates.ts` each has one number: when its bucket
 * will be full again.
 */
export class ShareLimit {
  readonly #fullMs: Float64Array

  constructor(rows: number) {
    this.#fullMs = new Float64Array(rows)
  }

  /**
   * Whether `bytes` more may be relayed for `row` now. If so, they are counted.
   * @param limit in bytes in a millisecond, at least 1
   * @param nowMs of a clock that never runs backward
   */
  allows(row: number, bytes: number, limit: number, nowMs: number): boolean {
    const fullMs = Math.max(this.#fullMs[row], nowMs)
    if (fullMs - nowMs > Math.max(BURST_MS, LEAST_BURST_BYTES / limit)) return false
    this.#fullMs[row] = fullMs + bytes / limit
    return true
  }
}

/**
 * Limits how often each of several slots may do something. Each slot has a token bucket, kept as one number:
 * the time at which the bucket will be full again (the generic cell rate algorithm, ITU-T I.371).
 */
export class Rates {
  readonly #fullMs: Float64Array
  readonly #costMs: number
  readonly #slackMs: number

  /** @param burst how many are allowed at once after a pause */
  constructor(slots: number, perSecond: number, burst: number) {
    this.#fullMs = new Float64Array(slots)
    this.#costMs = 1000 / perSecond
    this.#slackMs = (burst - 1) * this.#costMs
  }

  /**
   * Whether `slot` may do it now. If so, one token is used up. @param nowMs of a clock that never runs backward
   */
  allows(slot: number, nowMs: number): boolean {
    const fullMs = Math.max(this.#fullMs[slot], nowMs)
    if (fullMs - nowMs > this.#slackMs) return false
    this.#fullMs[slot] = fullMs + this.#costMs
    return true
  }

  /** `slot` is used for something else from now on. */
  renew(slot: number): void {
    this.#fullMs[slot] = 0
  }
}

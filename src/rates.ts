/**
 * How often each of so many may do something: a token bucket a slot, kept as one number (the generic cell rate
 * algorithm, ITU-T I.371), the time at which the bucket will be full again.
 */
export class Rates {
  readonly #fullMs: Float64Array
  readonly #costMs: number
  readonly #slackMs: number

  /** @param burst how many at once after a pause */
  constructor(slots: number, perSecond: number, burst: number) {
    this.#fullMs = new Float64Array(slots)
    this.#costMs = 1000 / perSecond
    this.#slackMs = (burst - 1) * this.#costMs
  }

  /** Whether `slot` may now; that is then used up. @param nowMs of a clock that only runs forward */
  allows(slot: number, nowMs: number): boolean {
    const fullMs = Math.max(this.#fullMs[slot], nowMs)
    if (fullMs - nowMs > this.#slackMs) return false
    this.#fullMs[slot] = fullMs + this.#costMs
    return true
  }

  /** `slot` is somebody else's now. */
  renew(slot: number): void {
    this.#fullMs[slot] = 0
  }
}

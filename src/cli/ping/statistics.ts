/** Round trips in milliseconds, as ping(8) sums them up. `mdev` is their standard deviation. */
export interface RoundTripFigures {
  readonly min: number
  readonly avg: number
  readonly max: number
  readonly mdev: number
}

/** What all pings so far have shown. */
export class PingStatistics {
  sent = 0
  answered = 0
  #min = Number.POSITIVE_INFINITY
  #max = 0
  #mean = 0
  /** The sum of squared distances from the mean (Welford's algorithm). */
  #squares = 0

  /** A ping has come to its end. @param ms its round trip; undefined if there was no answer */
  add(ms: number | undefined): void {
    this.sent++
    if (ms === undefined) return
    this.answered++
    this.#min = Math.min(this.#min, ms)
    this.#max = Math.max(this.#max, ms)
    const distance = ms - this.#mean
    this.#mean += distance / this.answered
    this.#squares += distance * (ms - this.#mean)
  }

  /** From 0 to 1. */
  get loss(): number {
    return this.sent === 0 ? 0 : 1 - this.answered / this.sent
  }

  /** Null if nothing was answered. */
  get roundTrips(): RoundTripFigures | null {
    if (this.answered === 0) return null
    const mdev = Math.sqrt(Math.max(0, this.#squares) / this.answered)
    return { min: this.#min, avg: this.#mean, max: this.#max, mdev }
  }
}

/**
 * The calendar's time for the timestamps of handshakes. The other end takes only an initiation that is later than all
 * before (the white paper, 5.1). So if somebody sets the clock back, this goes on from where it was, as long as the process
 * runs. Otherwise no initiation would be taken until the clock has caught up. If somebody sets the clock on, this follows.
 */
export class SteadyCalendar {
  readonly #unixMs: () => number
  readonly #steadyMs: () => number
  /** By how much this is ahead of the steady clock. It only grows. */
  #aheadMs = Number.NEGATIVE_INFINITY

  /**
   * @param unixMs the calendar's time since 1970. Somebody may set it
   * @param steadyMs a clock that never jumps, and goes on while the host is suspended
   */
  constructor(unixMs: () => number, steadyMs: () => number) {
    this.#unixMs = unixMs
    this.#steadyMs = steadyMs
  }

  /** Milliseconds since 1970; never less than before. */
  nowMs(): number {
    const steadyMs = this.#steadyMs()
    this.#aheadMs = Math.max(this.#aheadMs, this.#unixMs() - steadyMs)
    return steadyMs + this.#aheadMs
  }
}

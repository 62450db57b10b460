/**
 * Limits how often something frequent is logged. The first time is logged at once; later lines give a count.
 */
export class Seldom {
  readonly #intervalMs: number
  #count = 0
  #nextMs = Number.NEGATIVE_INFINITY

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /** It has happened. @returns as {@link due} */
  happened(nowMs: number): number | undefined {
    this.#count++
    return this.due(nowMs)
  }

  /**
   * If a log line is due now: how often it has happened since the last line. It counts as logged then.
   * Otherwise undefined.
   */
  due(nowMs: number): number | undefined {
    if (this.#count === 0 || nowMs < this.#nextMs) return undefined
    this.#nextMs = nowMs + this.#intervalMs
    const count = this.#count
    this.#count = 0
    return count
  }
}

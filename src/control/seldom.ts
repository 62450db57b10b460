/** Keeps what may happen very often from being said as often: the first time at once, and then the count. */
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

  /** How often it has happened since that was last said, if it is to be said now; then it is taken for said. */
  due(nowMs: number): number | undefined {
    if (this.#count === 0 || nowMs < this.#nextMs) return undefined
    this.#nextMs = nowMs + this.#intervalMs
    const count = this.#count
    this.#count = 0
    return count
  }
}

/** An answer younger than this is given again. */
const FRESH_MS = 1_000

/**
 * Remembers the answer to a question for a second. So it does not matter how many ask, and how often. Whoever asks
 * while the answer is made gets the same one.
 */
export class Lately<T> {
  readonly #ask: () => Promise<T>
  readonly #nowMs: () => number
  #answer: Promise<T> | undefined
  #madeMs = 0

  constructor(ask: () => Promise<T>, nowMs: () => number = () => performance.now()) {
    this.#ask = ask
    this.#nowMs = nowMs
  }

  /** @throws what the question throws; the next call asks again then */
  async get(): Promise<T> {
    if (this.#answer !== undefined && this.#nowMs() - this.#madeMs < FRESH_MS) return this.#answer
    this.#madeMs = Number.POSITIVE_INFINITY
    const answer = this.#ask()
    this.#answer = answer
    try {
      return await answer
    } catch (error) {
      this.#answer = undefined
      throw error
    } finally {
      this.#madeMs = this.#nowMs()
    }
  }
}

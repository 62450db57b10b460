/** The least time between two hints that we follow. Anybody may forge hints. */
const HINT_MS = 500
/**
 * The path from the far end may be wider than the path to it. So its longer packets start a new search only
 * this often.
 */
const LARGER_MS = 60_000

/** What may make a search look again before its time: hints that less passes, and longer packets that came. */
export class Hints {
  #smaller: number | undefined
  #smallerMs = Number.NEGATIVE_INFINITY
  /**
   * The longest packet from the far end that has not started a new search yet, and when such a packet last
   * started one.
   */
  #larger = 0
  #largerMs = Number.NEGATIVE_INFINITY

  /** Something says that packets longer than `sizeBytes` do not pass. */
  smaller(sizeBytes: number): void {
    this.#smaller = sizeBytes
  }

  /** A packet of `sizeBytes` has come from the far end. */
  larger(sizeBytes: number): void {
    this.#larger = Math.max(this.#larger, sizeBytes)
  }

  /** When the last hint of {@link smaller} may be followed. */
  get smallerDueMs(): number {
    return this.#smaller === undefined ? Number.POSITIVE_INFINITY : this.#smallerMs + HINT_MS
  }

  /** When a longer packet than `mtuBytes` may start a search. */
  largerDueMs(mtuBytes: number): number {
    return this.#larger > mtuBytes ? this.#largerMs + LARGER_MS : Number.POSITIVE_INFINITY
  }

  /** The hint of {@link smaller} to follow now; undefined if there is none. It counts as followed. */
  takeSmaller(nowMs: number): number | undefined {
    if (nowMs < this.smallerDueMs) return undefined
    const sizeBytes = this.#smaller
    this.#smaller = undefined
    this.#smallerMs = nowMs
    return sizeBytes
  }

  /** A longer packet starts a search now. */
  takeLarger(nowMs: number): void {
    this.#largerMs = nowMs
    this.#larger = 0
  }

  /** The path has become narrower. Packets that came before tell nothing about what comes after. */
  forgetLarger(): void {
    this.#larger = 0
    this.#largerMs = Number.NEGATIVE_INFINITY
  }
}

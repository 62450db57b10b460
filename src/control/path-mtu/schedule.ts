import { Hints } from './hints.js'

const REFRESH_JITTER = 0.2
const ERROR_RETRY_MS = 30_000

/**
 * Why a search looks again: it is time to (`refresh`), a longer packet has come (`larger`), or something says that no
 * more than a number of bytes pass.
 */
export type Occasion = 'refresh' | 'larger' | number

/** When a search looks again, while nothing else is being done: by its timer, or before, because of {@link Hints}. */
export class Schedule {
  /** When the next search begins. */
  refreshAtMs: number
  readonly hints = new Hints()
  readonly #refreshMs: number
  readonly #random: () => number

  /** @param random gives numbers from 0 to 1 */
  constructor(refreshMs: number, random: () => number, nowMs: number) {
    this.#refreshMs = refreshMs
    this.#random = random
    this.refreshAtMs = nowMs + refreshMs
  }

  /** A search has ended. Ends that began together do not stay together. */
  refreshLater(nowMs: number): void {
    this.refreshAtMs = nowMs + this.#refreshMs * (1 + REFRESH_JITTER * (2 * this.#random() - 1))
  }

  /** A search has found that nothing passes. */
  retryLater(nowMs: number): void {
    this.refreshAtMs = nowMs + ERROR_RETRY_MS
  }

  /**
   * When the next {@link Occasion} comes.
   * @param mtuBytes only longer packets than this are one; undefined if none are
   */
  dueMs(mtuBytes: number | undefined): number {
    const { hints } = this
    const largerMs = mtuBytes === undefined ? Number.POSITIVE_INFINITY : hints.largerDueMs(mtuBytes)
    return Math.min(this.refreshAtMs, hints.smallerDueMs, largerMs)
  }

  /** The occasion that has come, undefined if none has. The hints in it count as followed. */
  take(mtuBytes: number | undefined, nowMs: number): Occasion | undefined {
    if (nowMs < this.dueMs(mtuBytes)) return undefined
    const sizeBytes = this.hints.takeSmaller(nowMs)
    if (sizeBytes !== undefined) return sizeBytes
    if (nowMs >= this.refreshAtMs) return 'refresh'
    this.hints.takeLarger(nowMs)
    return 'larger'
  }
}

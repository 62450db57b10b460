/** Sources remembered; beyond that the whole memory is given up, which lets each begin anew. */
const MAX_SOURCES = 8_192

/** A token bucket for each source. */
export class RateLimit {
  readonly #costMs: number
  readonly #fullMs: number
  readonly #buckets = new Map<string, { leftMs: number; atMs: number }>()

  /** @param burst how many at once after a pause */
  constructor(perSecond: number, burst: number) {
    this.#costMs = 1000 / perSecond
    this.#fullMs = this.#costMs * burst
  }

  allows(source: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(source)
    if (bucket === undefined) {
      if (this.#buckets.size >= MAX_SOURCES) this.#buckets.clear()
      this.#buckets.set(source, { leftMs: this.#fullMs - this.#costMs, atMs: nowMs })
      return true
    }
    bucket.leftMs = Math.min(this.#fullMs, bucket.leftMs + nowMs - bucket.atMs)
    bucket.atMs = nowMs
    if (bucket.leftMs < this.#costMs) return false
    bucket.leftMs -= this.#costMs
    return true
  }
}

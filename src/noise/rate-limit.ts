/** Tokens a second, and at once, of each source while under load (as wireguard-go and Linux have it). */
const PER_SECOND = 20
const BURST = 5

const COST_MS = 1000 / PER_SECOND
const FULL_MS = COST_MS * BURST

/** Sources remembered; beyond that the whole memory is given up, which lets each begin anew. */
const MAX_SOURCES = 8_192

/** A token bucket for each source of handshake messages that has proved where it is. */
export class RateLimit {
  readonly #buckets = new Map<string, { leftMs: number; atMs: number }>()

  /** @param source an address without port: what one host has many of must not help it */
  allows(source: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(source)
    if (bucket === undefined) {
      if (this.#buckets.size >= MAX_SOURCES) this.#buckets.clear()
      this.#buckets.set(source, { leftMs: FULL_MS - COST_MS, atMs: nowMs })
      return true
    }
    bucket.leftMs = Math.min(FULL_MS, bucket.leftMs + nowMs - bucket.atMs)
    bucket.atMs = nowMs
    if (bucket.leftMs < COST_MS) return false
    bucket.leftMs -= COST_MS
    return true
  }
}

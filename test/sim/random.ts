/** Random numbers that are the same for the same seed, so that a failure can be replayed (mulberry32). */
export class SimRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, and without, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `least` up to, and without, `end`. */
  between(least: number, end: number): number {
    return least + Math.floor(this.next() * (end - least))
  }

  /** Whether something happens that happens with this probability. */
  happens(probability: number): boolean {
    return probability > 0 && this.next() < probability
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count)
    for (let i = 0; i < count; i++) bytes[i] = this.between(0, 256)
    return bytes
  }

  pick<T>(all: readonly T[]): T {
    return all[this.between(0, all.length)]
  }
}

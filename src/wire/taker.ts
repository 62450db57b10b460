/** Takes bytes one after the other. What is not there is `undefined`. */
export class Taker {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** How many bytes are left. */
  get left(): number {
    return Math.max(0, this.#bytes.length - this.#at)
  }

  byte(): number | undefined {
    return this.#bytes[this.#at++]
  }

  /** A copy of the next bytes. */
  take(count: number): Uint8Array | undefined {
    const found = Uint8Array.from(this.#bytes.subarray(this.#at, this.#at + count))
    this.#at += count
    return found.length === count ? found : undefined
  }

  /** As many items as the next byte says. */
  list<T>(item: () => T | undefined): T[] | undefined {
    const count = this.byte()
    if (count === undefined) return undefined
    const found: T[] = []
    for (let number = 0; number < count; number++) {
      const next = item()
      if (next === undefined) return undefined
      found.push(next)
    }
    return found
  }
}

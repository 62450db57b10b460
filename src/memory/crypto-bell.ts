import type { NativeMemory } from '../linux/memory.js'

/**
 * What wakes the crypto workers: a word that counts batches, and a word that counts those who sleep. They have no fd to
 * poll, so they sleep on the first word (futex(2), by `Atomics.wait`). A batch that is published between their last look
 * and their sleep has changed the word, so the sleep ends at once.
 */
export const CRYPTO_BELL_BYTES = 128

export class CryptoBell {
  readonly #i32: Int32Array
  readonly #rings: number
  readonly #sleepers: number

  /** @param at offset of {@link CRYPTO_BELL_BYTES} bytes, a multiple of 64 */
  constructor(memory: NativeMemory, at: number) {
    this.#i32 = memory.i32
    this.#rings = at >>> 2
    this.#sleepers = (at + 64) >>> 2
  }

  /** Wakes all who sleep. */
  ring(): void {
    Atomics.add(this.#i32, this.#rings, 1)
    if (Atomics.load(this.#i32, this.#sleepers) !== 0) Atomics.notify(this.#i32, this.#rings)
  }

  /** The number of rings. Read it before the last look, and give it to {@link sleep}. */
  get rings(): number {
    return Atomics.load(this.#i32, this.#rings)
  }

  /** Sleeps until somebody rings. Returns at once if somebody has rung since `rings` was read. */
  sleep(rings: number): void {
    Atomics.add(this.#i32, this.#sleepers, 1)
    Atomics.wait(this.#i32, this.#rings, rings)
    Atomics.sub(this.#i32, this.#sleepers, 1)
  }
}

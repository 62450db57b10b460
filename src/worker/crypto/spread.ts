import { C } from '../../memory/counters.js'
import type { CryptoBatch } from '../../memory/crypto-batch.js'
import type { CryptoBell } from '../../memory/crypto-bell.js'
import type { StateWords } from '../../memory/state-words.js'
import type { CryptoHand } from './crypto-hand.js'

/** Fewer messages are not worth telling others of. */
const LEAST_MESSAGES = 8

/**
 * Batches that follow each other within this time, in ms, show that this worker is busy. The first batch of a burst is
 * done by its owner, because a thread that sleeps would come too late for it.
 */
const BUSY_MS = 0.25

/** How often the owner looks whether all is done before it sleeps: some 20 µs, in which the others finish what they have. */
const SPINS = 2_000

export interface SpreadOptions {
  readonly batch: CryptoBatch
  readonly hand: CryptoHand
  readonly bell: CryptoBell
  readonly words: StateWords
  readonly counters: Float64Array
}

/** The owner's side of a batch: collects messages, and has them sealed or opened by all who have time. */
export class Spread {
  readonly batch: CryptoBatch
  readonly #hand: CryptoHand
  readonly #bell: CryptoBell
  readonly #words: StateWords
  readonly #counters: Float64Array
  /** When the last batch that was worth it was done: one number, in ms. */
  readonly #lastMs = new Float64Array(1)

  constructor({ batch, hand, bell, words, counters }: SpreadOptions) {
    this.batch = batch
    this.#hand = hand
    this.#bell = bell
    this.#words = words
    this.#counters = counters
  }

  /**
   * All messages of the batch are done when this returns. Their entries stay until {@link CryptoBatch.count} is set to 0.
   * @throws Error if the worker must stop and another thread has not done its part
   */
  run(): void {
    const { count } = this.batch
    if (count < LEAST_MESSAGES) {
      this.#hand.doAll()
      return
    }
    const nowMs = performance.now()
    const busy = nowMs - this.#lastMs[0] < BUSY_MS
    if (busy) this.#share(count)
    else this.#hand.doAll()
    this.#lastMs[0] = performance.now()
  }

  #share(count: number): void {
    const { batch } = this
    batch.publish()
    this.#bell.ring()
    this.#counters[C.spreadMessages] += count
    while (this.#hand.help());
    for (let i = 0; i < SPINS; i++) if (batch.isDone) return
    while (!batch.sleep()) if (this.#words.stopped) throw new Error('a crypto worker has not answered')
  }
}

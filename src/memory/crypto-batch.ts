import type { NativeMemory } from '../linux/memory.js'

/**
 * A batch of messages that several threads seal or open. One thread, the owner, puts the messages in, publishes the
 * batch, works at it like everybody else, and goes on when all are done. So the order of the messages never changes.
 *
 * Layout: two cache lines of words, then an entry of {@link ENTRY_WORDS} words for each message.
 * - The first line: how many messages nobody has taken yet.
 * - The second line: how many are done, and whether the owner sleeps until they are.
 *
 * A thread takes messages from the end: it lowers the first word by compare and exchange. Whoever succeeds has the
 * messages between the new value and the old one. That is right even if the word was read long before, because the owner
 * publishes nothing new until all messages that were taken are done.
 *
 * All of these accesses are sequentially consistent, so what the owner has written before it publishes is seen by those
 * who take it, and what they write is seen by the owner.
 */
const LINE_WORDS = 16
const HEADER_BYTES = 2 * LINE_WORDS * 4
const ENTRY_WORDS = 8

/** The most messages of a batch: as many as one sendmmsg(2) takes frames (send-batch.ts). */
export const CRYPTO_BATCH_MESSAGES = 512

export const CRYPTO_BATCH_BYTES = HEADER_BYTES + CRYPTO_BATCH_MESSAGES * ENTRY_WORDS * 4

/**
 * The words of an entry.
 * - `at`: to seal, the slot; to open, the offset of the sealed bytes.
 * - `bytes`: of the padded content; to open, with the tag.
 * - `keySlot`, `low`, `high`: the owner's key slot, and the number of the message.
 * - `header`: the offset of the message's header. It is written after sealing, because sealing overwrites it.
 * - `mark`: to seal, the index that the header names; to open, the generation of the keys.
 * - `opened`: whether it was authentic.
 */
export const CryptoWord = {
  at: 0,
  bytes: 1,
  keySlot: 2,
  low: 3,
  high: 4,
  header: 5,
  mark: 6,
  opened: 7,
} as const

/** How long the owner sleeps before it looks whether the worker must stop, in ms. */
const LOOK_MS = 500

export class CryptoBatch {
  /** Messages that the owner has put in. */
  count = 0
  readonly #i32: Int32Array
  readonly #u32: Uint32Array
  readonly #left: number
  readonly #done: number
  readonly #ownerSleeps: number
  readonly #entries: number

  /** @param at offset of {@link CRYPTO_BATCH_BYTES} bytes, a multiple of 64 */
  constructor(memory: NativeMemory, at: number) {
    this.#i32 = memory.i32
    this.#u32 = memory.u32
    this.#left = at >>> 2
    this.#done = this.#left + LINE_WORDS
    this.#ownerSleeps = this.#done + 1
    this.#entries = (at + HEADER_BYTES) >>> 2
  }

  get full(): boolean {
    return this.count === CRYPTO_BATCH_MESSAGES
  }

  /** Owner: the index of the first word of the next entry, which is then in the batch. */
  add(): number {
    return this.entry(this.count++)
  }

  /** The index of the first word of an entry. */
  entry(index: number): number {
    return this.#entries + index * ENTRY_WORDS
  }

  word(index: number, word: number): number {
    return this.#u32[this.#entries + index * ENTRY_WORDS + word]
  }

  /** Owner: lets others take messages of this batch. */
  publish(): void {
    this.#i32[this.#done] = 0
    Atomics.store(this.#i32, this.#left, this.count)
  }

  /** Anybody: whether there are messages that nobody has taken. It may be out of date. */
  get isLeft(): boolean {
    return Atomics.load(this.#i32, this.#left) !== 0
  }

  /**
   * Anybody: takes up to `most` messages.
   * @returns the index of the first one times 1,024, plus their number; 0 if there are none
   */
  take(most: number): number {
    for (;;) {
      const left = Atomics.load(this.#i32, this.#left)
      if (left === 0) return 0
      const rest = left > most ? left - most : 0
      if (Atomics.compareExchange(this.#i32, this.#left, left, rest) === left)
        return rest * 1_024 + left - rest
    }
  }

  /** Whoever has taken messages: they are done. */
  finish(messages: number): void {
    Atomics.add(this.#i32, this.#done, messages)
    if (Atomics.load(this.#i32, this.#ownerSleeps) !== 0) Atomics.notify(this.#i32, this.#done)
  }

  /** Owner: whether all messages are done. */
  get isDone(): boolean {
    return Atomics.load(this.#i32, this.#done) === this.count
  }

  /**
   * Owner: sleeps until all messages are done, or for {@link LOOK_MS}.
   * @returns whether they are done
   */
  sleep(): boolean {
    Atomics.store(this.#i32, this.#ownerSleeps, 1)
    for (;;) {
      const done = Atomics.load(this.#i32, this.#done)
      if (done === this.count) break
      if (Atomics.wait(this.#i32, this.#done, done, LOOK_MS) === 'timed-out') break
    }
    Atomics.store(this.#i32, this.#ownerSleeps, 0)
    return this.isDone
  }
}

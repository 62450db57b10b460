import type { NativeMemory } from '../linux/memory.js'
import { RECORD_ALIGN, Ring } from './ring.js'

/**
 * A mailbox: messages from the workers to main. It is a bounded queue in shared memory, and a word that says
 * whether main has been told since it last emptied the queue. The queue is a {@link Ring}. Its producer is the
 * thread that holds the inbound ring's lock or, for handshakes, the udp worker.
 *
 * A record's words, after the ring's own two: the peer's row; bytes of the whole message. At byte 64 the first
 * bytes of the message follow, at most {@link HEAD_BYTES}.
 */
const ROW_WORD = 2
const BYTES_WORD = 3
const HEAD_AT = RECORD_ALIGN

/** Main sees at most this many bytes of a message. The longest introduction fits in (wire/introduction.ts). */
export const HEAD_BYTES = 512

export const MAILBOX_DATA_BYTES = 64 * 1024

export class Mailbox {
  readonly #memory: NativeMemory
  readonly #ring: Ring
  /** Index of the word that is 1 while main has been told. */
  readonly #told: number

  /**
   * @param at offset of the ring, which has {@link MAILBOX_DATA_BYTES} of data
   * @param told offset of the word
   */
  constructor(memory: NativeMemory, at: number, told: number) {
    this.#memory = memory
    this.#ring = new Ring(memory, at, MAILBOX_DATA_BYTES)
    this.#told = told >>> 2
  }

  /**
   * Worker: puts a message in.
   * @param frame offset of the message
   * @param share how much of the queue may be in use before this message; 1 is all
   * @returns false if the queue is too full
   */
  put(frame: number, bytes: number, row: number, share = 1): boolean {
    if (share < 1 && this.#ring.usedBytes > share * MAILBOX_DATA_BYTES) return false
    const head = Math.min(bytes, HEAD_BYTES)
    const record = this.#ring.reserve((HEAD_AT + head + RECORD_ALIGN - 1) & -RECORD_ALIGN)
    if (record < 0) return false
    const { u32, u8 } = this.#memory
    u32[(record >>> 2) + ROW_WORD] = row
    u32[(record >>> 2) + BYTES_WORD] = bytes
    u8.copyWithin(record + HEAD_AT, frame, frame + head)
    this.#ring.commit(HEAD_AT + head)
    return true
  }

  /** Worker: whether main must be woken. True only once until main looks. */
  mustTell(): boolean {
    return Atomics.exchange(this.#memory.i32, this.#told, 1) === 0
  }

  /** As in {@link Ring}. */
  get position(): number {
    return this.#ring.position
  }

  hasPassed(position: number): boolean {
    return this.#ring.hasPassed(position)
  }

  /**
   * Main: takes up to `limit` messages. `head` is valid only during the call. If `each` throws, its message
   * counts as taken.
   * @returns whether there are more; main must then come back, because it is not told again before that
   */
  take(limit: number, each: (row: number, head: Uint8Array, bytes: number) => void): boolean {
    Atomics.store(this.#memory.i32, this.#told, 0)
    for (let taken = 0; taken < limit; taken++) {
      const record = this.#ring.peek()
      if (record < 0) return false
      const { u32, u8 } = this.#memory
      const bytes = u32[(record >>> 2) + BYTES_WORD]
      const head = u8.subarray(record + HEAD_AT, record + HEAD_AT + Math.min(bytes, HEAD_BYTES))
      try {
        each(u32[(record >>> 2) + ROW_WORD], head, bytes)
      } finally {
        this.#ring.release()
      }
    }
    if (this.#ring.peek() < 0) return false
    Atomics.store(this.#memory.i32, this.#told, 1)
    return true
  }
}

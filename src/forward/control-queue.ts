import type { NativeMemory } from '../linux/memory.js'
import { KIND_CONTROL } from './record.js'
import { RECORD_ALIGN, Ring } from './ring.js'

/**
 * What workers pass on to main: frames that are addressed to the program itself. A bounded queue in shared
 * memory, a {@link Ring} whose producer is whoever holds the inbound ring's lock, and a word that says whether
 * main has been told since it last emptied it.
 *
 * A record's words, behind the ring's own two: peer index, bytes of the whole frame; 64 bytes in, the frame's
 * first bytes, {@link HEAD_BYTES} at the most.
 */
const PEER_WORD = 2
const BYTES_WORD = 3
const HEAD_AT = RECORD_ALIGN

/** As much of a frame as main is shown. */
export const HEAD_BYTES = 256

export const CONTROL_DATA_BYTES = 64 * 1024

export class ControlQueue {
  readonly #memory: NativeMemory
  readonly #ring: Ring
  /** Index of the word that is 1 while main has been told. */
  readonly #told: number

  /**
   * @param at offset of the ring, of {@link CONTROL_DATA_BYTES}
   * @param told offset of the word
   */
  constructor(memory: NativeMemory, at: number, told: number) {
    this.#memory = memory
    this.#ring = new Ring(memory, at, CONTROL_DATA_BYTES)
    this.#told = told >>> 2
  }

  /**
   * Worker: puts a frame in.
   * @param share how much of the queue may be in use for that, 1 being all
   * @returns false when the queue is full
   */
  put(frame: number, bytes: number, peer: number, share = 1): boolean {
    if (share < 1 && this.#ring.usedBytes > share * CONTROL_DATA_BYTES) return false
    const head = Math.min(bytes, HEAD_BYTES)
    const record = this.#ring.reserve((HEAD_AT + head + RECORD_ALIGN - 1) & -RECORD_ALIGN)
    if (record < 0) return false
    const { u32, u8 } = this.#memory
    u32[(record >>> 2) + PEER_WORD] = peer
    u32[(record >>> 2) + BYTES_WORD] = bytes
    u8.copyWithin(record + HEAD_AT, frame, frame + head)
    this.#ring.commit(HEAD_AT + head, KIND_CONTROL)
    return true
  }

  /** Worker: whether main is to be woken for what was put in; true once until main looks. */
  mustTell(): boolean {
    return Atomics.exchange(this.#memory.i32, this.#told, 1) === 0
  }

  /** As {@link Ring} has them. */
  get position(): number {
    return this.#ring.position
  }

  hasPassed(position: number): boolean {
    return this.#ring.hasPassed(position)
  }

  /**
   * Main: takes what is there, up to `limit` frames. `head` is good during the call alone.
   * @returns whether there is more: main must come back for it, and is not told again before it has
   */
  take(limit: number, each: (peer: number, head: Uint8Array, bytes: number) => void): boolean {
    Atomics.store(this.#memory.i32, this.#told, 0)
    for (let taken = 0; taken < limit; taken++) {
      const record = this.#ring.peek()
      if (record < 0) return false
      const { u32, u8 } = this.#memory
      const bytes = u32[(record >>> 2) + BYTES_WORD]
      const head = u8.subarray(record + HEAD_AT, record + HEAD_AT + Math.min(bytes, HEAD_BYTES))
      each(u32[(record >>> 2) + PEER_WORD], head, bytes)
      this.#ring.release()
    }
    if (this.#ring.peek() < 0) return false
    Atomics.store(this.#memory.i32, this.#told, 1)
    return true
  }
}

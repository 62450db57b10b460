import type { NativeMemory } from '../linux/memory.js'

/**
 * The flows that are remembered while there are access rules, in shared memory. The thread that forwards what the device
 * sends, and the one that forwards what peers send, both read and write.
 *
 * An entry is a cache line of words:
 * - state: in the low two bits who has begun the flow, 0 if the entry is free; then a bit that is set while it is
 *   written; then a version that each change raises;
 * - the second when it was last seen;
 * - for a flow that a peer has begun: what has allowed it, any number that is another one for other rules or peers;
 * - the key, {@link KEY_WORDS} words: see worker/switching/flow-key.ts.
 *
 * Before the entries there is a cache line with the seed of the hash. Nobody else knows it, so no peer can choose flows that
 * push a certain one out.
 *
 * A bucket has eight entries: four for flows that this side has begun, and four for flows of peers. So no peer can push
 * out what this side has begun, however many flows it begins. If all four are taken, the one that was seen least
 * recently goes. Nobody waits: who finds an entry that another thread is writing does without it.
 */

/** Words of a key: what it is and its time-out; two words of ports; the near address, and the far one. */
export const KEY_WORDS = 11

/** Who has begun a flow. */
export const HERE = 1
export const THERE = 2

const ENTRY_WORDS = 16
const STATE = 0
const SEEN = 1
const ALLOWED_BY = 2
const KEY = 3

const BEGUN_MASK = 3
const WRITING = 4
const VERSION_ONE = 8

const WAYS = 4
const BUCKET_WORDS = 2 * WAYS * ENTRY_WORDS

/** Buckets for each row of the peer table: 32 flows of each kind for a peer, on average. */
const BUCKETS_PER_PEER = 8

/** The line with the seed. */
const HEADER_WORDS = 16

const MULTIPLIER = 0x9e3779b1 | 0

/** A hash of what is behind `hash`, and of one word more. It has no secret: whoever chooses the words can choose its value. */
export function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, MULTIPLIER)
  return product ^ (product >>> 15)
}

/** @param peers a power of two */
export function flowsBytes(peers: number): number {
  return 4 * (HEADER_WORDS + peers * BUCKETS_PER_PEER * BUCKET_WORDS)
}

export class Flows {
  readonly #i32: Int32Array
  readonly #at: number
  readonly #mask: number
  readonly #seed: number

  /** @param at offset of {@link flowsBytes} in `memory`, a multiple of 64; all zero, or with a seed already */
  constructor({ i32 }: NativeMemory, at: number, peers: number) {
    this.#i32 = i32
    this.#at = (at >>> 2) + HEADER_WORDS
    this.#mask = peers * BUCKETS_PER_PEER - 1
    this.#seed = i32[at >>> 2]
  }

  /** Main, before any other thread has a Flows. @param seed 32 bits that nobody can guess */
  static initialise({ i32 }: NativeMemory, at: number, seed: number): void {
    i32[at >>> 2] = seed
  }

  /**
   * The entry of a flow, -1 if there is none, or if it was not seen for `timeoutS` seconds.
   * @param key {@link KEY_WORDS} words
   */
  find(key: Int32Array, second: number, timeoutS: number): number {
    const bucket = this.#bucket(key)
    const i32 = this.#i32
    for (let entry = bucket; entry < bucket + BUCKET_WORDS; entry += ENTRY_WORDS) {
      const state = Atomics.load(i32, entry + STATE)
      if ((state & BEGUN_MASK) === 0 || (state & WRITING) !== 0 || !this.#has(entry, key)) continue
      if (second - i32[entry + SEEN] > timeoutS) continue
      if (Atomics.load(i32, entry + STATE) === state) return entry
    }
    return -1
  }

  /** Who has begun the flow in an entry: {@link HERE} or {@link THERE}; 0 if the entry is free by now. */
  begun(entry: number): number {
    return Atomics.load(this.#i32, entry + STATE) & BEGUN_MASK
  }

  /** What has allowed a peer's flow. */
  allowedBy(entry: number): number {
    return this.#i32[entry + ALLOWED_BY]
  }

  /** The flow was seen. If the entry has become another's meanwhile, that one stays a little longer. */
  touch(entry: number, second: number, allowedBy: number): void {
    this.#i32[entry + SEEN] = second
    this.#i32[entry + ALLOWED_BY] = allowedBy
  }

  /** Remembers a flow that has no entry. */
  note(key: Int32Array, begun: typeof HERE | typeof THERE, second: number, allowedBy: number): void {
    const i32 = this.#i32
    const first = this.#bucket(key) + (begun === HERE ? 0 : WAYS * ENTRY_WORDS)
    let chosen = first
    for (let entry = first; entry < first + WAYS * ENTRY_WORDS; entry += ENTRY_WORDS) {
      if ((i32[entry + STATE] & BEGUN_MASK) === 0) {
        chosen = entry
        break
      }
      if (i32[entry + SEEN] < i32[chosen + SEEN]) chosen = entry
    }
    const state = Atomics.load(i32, chosen + STATE)
    if ((state & WRITING) !== 0) return
    if (Atomics.compareExchange(i32, chosen + STATE, state, state | WRITING) !== state) return
    i32[chosen + SEEN] = second
    i32[chosen + ALLOWED_BY] = allowedBy
    for (let word = 0; word < KEY_WORDS; word++) i32[chosen + KEY + word] = key[word]
    Atomics.store(i32, chosen + STATE, ((state & ~(WRITING | BEGUN_MASK)) + VERSION_ONE) | begun)
  }

  #has(entry: number, key: Int32Array): boolean {
    for (let word = 0; word < KEY_WORDS; word++) if (this.#i32[entry + KEY + word] !== key[word]) return false
    return true
  }

  #bucket(key: Int32Array): number {
    let hash = this.#seed
    for (let word = 0; word < KEY_WORDS; word++) hash = mixed(hash, key[word])
    return this.#at + (hash & this.#mask) * BUCKET_WORDS
  }
}

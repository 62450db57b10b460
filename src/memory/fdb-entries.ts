import type { NativeMemory } from '../linux/memory.js'
import {
  BEYOND,
  BLOCK_ENTRIES,
  BUCKET_WORDS,
  blocksOf,
  blockWords,
  bucketsFor,
  CHANGES,
  ENTRY_WORDS,
  HEADER_WORDS,
  HELD,
  HIGH,
  LOCK,
  LOW,
  MOVES_BITS,
  MOVES_MASK,
  MULTIPLIERS,
  PINNED,
  POOL,
  PORT,
  PORT_LIMIT,
  PORT_MASK,
  portWords,
  SEEN,
  SINCE_MASK,
  shareOf,
  TAGGED,
  VERSION_ONE,
} from './fdb-layout.js'
import { FLOOD } from './target.js'

/**
 * A MAC that moves more than {@link MOVES} times in {@link MOVES_WITHIN_S} seconds stays where it is for
 * {@link HOLD_S} seconds. Either two hosts share it, or there is a loop.
 */
export const MOVES = 5
export const MOVES_WITHIN_S = 5
export const HOLD_S = 10

/**
 * How often a thread looks at the lock before it sleeps. A holder needs the lock for less time, unless it is
 * descheduled.
 */
const SPINS = 1000

/** The entries of the forwarding database (fdb.ts): where each is, and how a thread changes one. */
export abstract class FdbEntries {
  protected readonly i32: Int32Array
  /** The first word of the header. */
  protected readonly header: number
  protected readonly blockCount: number
  /** The count word of port {@link FLOOD}, which is nobody. */
  readonly #counts: number
  readonly #blocks: number
  readonly #buckets: number
  readonly #moves: number
  /** A product is shifted right by this many bits, to give a bucket's number. */
  readonly #shift: number
  readonly #share: number
  #multipliers: readonly [number, number, number, number]

  /** @param at offset of {@link fdbBytes} in `memory`, a multiple of 64; all zero, or initialised already */
  constructor(memory: NativeMemory, at: number, peers: number) {
    const buckets = bucketsFor(peers)
    this.i32 = memory.i32
    this.header = at >>> 2
    this.blockCount = blocksOf(buckets)
    this.#counts = this.header + HEADER_WORDS
    this.#blocks = this.#counts + portWords(peers)
    this.#buckets = this.#blocks + blockWords(buckets)
    this.#moves = this.#buckets + buckets * BUCKET_WORDS
    this.#shift = 32 - Math.log2(buckets)
    this.#share = shareOf(peers)
    this.#multipliers = this.#readMultipliers()
  }

  /**
   * Main, before any other thread has the entries: chooses the hash.
   * @param random gives 32 bits at a time
   */
  initialise(random: () => number): void {
    const words = this.header + MULTIPLIERS
    for (let i = 0; i < 4; i++) this.i32[words + i] = random() | 1
    this.#multipliers = this.#readMultipliers()
  }

  #readMultipliers(): [number, number, number, number] {
    const words = this.header + MULTIPLIERS
    return [this.i32[words], this.i32[words + 1], this.i32[words + 2], this.i32[words + 3]]
  }

  /** The first word of one of the address's buckets: the first bucket (`which` 0) or the second one (2). */
  protected bucket(which: 0 | 2, high: number, low: number): number {
    const product =
      (Math.imul(low, this.#multipliers[which]) + Math.imul(high, this.#multipliers[which + 1])) | 0
    const mixed = Math.imul(product ^ (product >>> 15), this.#multipliers[which ^ 2])
    return this.#buckets + (mixed >>> this.#shift) * BUCKET_WORDS
  }

  protected portOf(word: number): number {
    return (word & PORT_MASK) + FLOOD
  }

  protected portIn(bucket: number, high: number, low: number): number {
    const i32 = this.i32
    for (let entry = bucket; entry < bucket + BUCKET_WORDS; entry += ENTRY_WORDS) {
      // This plain read quickly skips most entries. It may also skip an entry that is being written at the
      // moment.
      if (i32[entry + LOW] !== low) continue
      let word = Atomics.load(i32, entry + PORT)
      while (Atomics.load(i32, entry + LOW) === low && Atomics.load(i32, entry + HIGH) === high) {
        const again = Atomics.load(i32, entry + PORT)
        if (again === word) {
          if ((word & PORT_MASK) !== 0) return (word & PORT_MASK) + FLOOD
          break
        }
        word = again
      }
    }
    return FLOOD
  }

  /**
   * The entry of this address, or -1. Under the lock it stays so. Without the lock it may become another's at
   * any time.
   */
  protected entryOf(high: number, low: number): number {
    const entry = this.#entryIn(this.bucket(0, high, low), high, low)
    return entry >= 0 ? entry : this.#entryIn(this.bucket(2, high, low), high, low)
  }

  #entryIn(bucket: number, high: number, low: number): number {
    const i32 = this.i32
    for (let entry = bucket; entry < bucket + BUCKET_WORDS; entry += ENTRY_WORDS) {
      if (
        i32[entry + LOW] === low &&
        i32[entry + HIGH] === high &&
        (Atomics.load(i32, entry + PORT) & PORT_MASK) !== 0
      ) {
        return entry
      }
    }
    return -1
  }

  /** The number of a port's entries, without pinned ones. */
  countOf(port: number): number {
    return Atomics.load(this.i32, this.#counts + port - FLOOD)
  }

  /** Whether a port may have one more entry. */
  protected hasRoom(port: number): boolean {
    const count = this.countOf(port)
    if (count < this.#share) return true
    return count < PORT_LIMIT && Atomics.load(this.i32, this.header + BEYOND) < POOL
  }

  /** Under the lock: a port, relative to {@link FLOOD}, has one more entry. */
  protected gained(port: number): void {
    if (++this.i32[this.#counts + port] > this.#share) this.i32[this.header + BEYOND]++
  }

  protected lost(port: number): void {
    if (this.i32[this.#counts + port]-- > this.#share) this.i32[this.header + BEYOND]--
  }

  /** Counts a move. Returns whether the move may be made. */
  protected mayMove(entry: number, now: number): boolean {
    const at = this.#moves + (entry - this.#buckets) / ENTRY_WORDS
    const word = this.i32[at]
    const elapsed = (now - (word >>> MOVES_BITS)) & SINCE_MASK
    const moves = word & MOVES_MASK
    const over = elapsed >= (moves === HELD ? HOLD_S : MOVES_WITHIN_S)
    if (moves === HELD && !over) return false
    const since = over || moves === MOVES ? now : word >>> MOVES_BITS
    const counted = over ? 1 : moves === MOVES ? HELD : moves + 1
    this.i32[at] = (since << MOVES_BITS) | counted
    return counted !== HELD
  }

  /** The entries of each block that has taken ones. */
  protected *taken(): Generator<number> {
    for (let block = 0; block < this.blockCount; block++) {
      if (Atomics.load(this.i32, this.#blocks + block) === 0) continue
      const first = this.#buckets + block * BLOCK_ENTRIES * ENTRY_WORDS
      for (let index = 0; index < BLOCK_ENTRIES; index++) yield first + index * ENTRY_WORDS
    }
  }

  /** Under the lock: a free entry in the emptier of the address's buckets, or -1. */
  protected free(high: number, low: number): number {
    const first = this.bucket(0, high, low)
    const second = this.bucket(2, high, low)
    return this.#usedIn(first) <= this.#usedIn(second) ? this.#freeIn(first) : this.#freeIn(second)
  }

  #usedIn(bucket: number): number {
    let used = 0
    for (let entry = bucket; entry < bucket + BUCKET_WORDS; entry += ENTRY_WORDS) {
      if ((this.i32[entry + PORT] & PORT_MASK) !== 0) used++
    }
    return used
  }

  #freeIn(bucket: number): number {
    for (let entry = bucket; entry < bucket + BUCKET_WORDS; entry += ENTRY_WORDS) {
      if ((this.i32[entry + PORT] & PORT_MASK) === 0) return entry
    }
    return -1
  }

  /** Under the lock: fills a free entry. The port is written last. */
  protected write(entry: number, high: number, low: number, port: number, seen: number): void {
    const i32 = this.i32
    const word = Atomics.load(i32, entry + PORT)
    Atomics.store(i32, entry + LOW, low)
    Atomics.store(i32, entry + HIGH, high)
    Atomics.store(i32, entry + SEEN, seen)
    const index = (entry - this.#buckets) / ENTRY_WORDS
    i32[this.#moves + index] = 0
    i32[this.#blocks + Math.floor(index / BLOCK_ENTRIES)]++
    Atomics.store(i32, entry + PORT, (word + VERSION_ONE) | (port - FLOOD))
    if (seen !== PINNED) this.gained(port - FLOOD)
    if (high > 0xffff) i32[this.header + TAGGED]++
  }

  /** Under the lock: frees an entry. */
  protected remove(entry: number): void {
    const i32 = this.i32
    const word = Atomics.load(i32, entry + PORT)
    if (i32[entry + SEEN] !== PINNED) this.lost(word & PORT_MASK)
    if (i32[entry + HIGH] > 0xffff) i32[this.header + TAGGED]--
    i32[this.#blocks + Math.floor((entry - this.#buckets) / ENTRY_WORDS / BLOCK_ENTRIES)]--
    Atomics.store(i32, entry + PORT, (word + VERSION_ONE) & ~PORT_MASK)
  }

  /**
   * Removes the entries of these blocks for which `which` is true. It holds the lock for one block at a time.
   */
  protected removeWhere(
    which: (entry: number, seen: number) => boolean,
    from = 0,
    to = this.blockCount,
  ): void {
    const i32 = this.i32
    for (let block = from; block < to; block++) {
      if (Atomics.load(i32, this.#blocks + block) === 0) continue
      const first = this.#buckets + block * BLOCK_ENTRIES * ENTRY_WORDS
      this.lock()
      for (let entry = first; entry < first + BLOCK_ENTRIES * ENTRY_WORDS; entry += ENTRY_WORDS) {
        if ((i32[entry + PORT] & PORT_MASK) !== 0 && which(entry, i32[entry + SEEN])) this.remove(entry)
      }
      this.unlock()
    }
  }

  /** The lock is held for microseconds. If its holder is descheduled, the others wait asleep. */
  protected lock(): void {
    const at = this.header + LOCK
    for (let spins = 0; Atomics.compareExchange(this.i32, at, 0, 1) !== 0; spins++) {
      if (spins >= SPINS) Atomics.wait(this.i32, at, 1, 1)
    }
  }

  protected unlock(): void {
    Atomics.add(this.i32, this.header + CHANGES, 1)
    Atomics.store(this.i32, this.header + LOCK, 0)
  }
}

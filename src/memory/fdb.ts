import type { NativeMemory } from '../linux/memory.js'
import {
  BEYOND,
  BLOCK_ENTRIES,
  BUCKET_WORDS,
  blocksOf,
  blockWords,
  bucketsFor,
  CHANGES,
  COUNTED,
  ENTRY_WORDS,
  fdbBytes,
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
  SECOND,
  SEEN,
  SINCE_MASK,
  shareOf,
  TAGGED,
  TWIN,
  VERSION_ONE,
} from './fdb-layout.js'
import { DEVICE, FLOOD } from './target.js'

/**
 * The forwarding database of a learning switch (IEEE 802.1D, 7.8 and 7.9) in shared memory. For each VLAN it
 * stores the port where a MAC was last seen. A port is a peer, by its row, or {@link DEVICE}. Its layout is that of
 * fdb-layout.ts.
 *
 * Threads. A thread holds the lock while it changes an entry's place or port. Three threads do so: the one that
 * learns from the network, the one that learns from the device, and main, which removes old entries. Readers
 * never wait for the lock. An entry's key is written only while its port is 0 (nobody). Every change of the
 * port raises the version, which is in the same word. A reader takes that word, then the key, then the word
 * again. If the word is the same both times, the key did not change in between, so the port belongs to the key.
 * The version has 18 bits. It could only mislead a reader that sleeps while the entry is given to others a hundred
 * thousand times.
 *
 * A reader that finds the word changed looks again. A reader that finds port 0 takes the address as unknown,
 * which it was at that moment. When an address moves, only that one word changes. A reader finds either the old
 * port or the new one.
 */

/** Seconds after which an address that is not seen any more is forgotten (IEEE 802.1D, table 7-5). */
export const AGEING_S = 300

/**
 * A MAC that moves more than {@link MOVES} times in {@link MOVES_WITHIN_S} seconds stays where it is for
 * {@link HOLD_S} seconds. Either two hosts share it, or there is a loop.
 */
export const MOVES = 5
export const MOVES_WITHIN_S = 5
export const HOLD_S = 10

/** Results of learning. */
export const LEARN = { known: 0, learnt: 1, moved: 2, damped: 3, full: 4, pinned: 5, ignored: 6 } as const
export type Learning = (typeof LEARN)[keyof typeof LEARN]

/** Counts since the start. */
export interface FdbCounts {
  readonly learnt: number
  readonly moved: number
  /** Moves that were not made, because there had been too many. */
  readonly damped: number
  /** Addresses that were not learnt, because the port had reached its limit. */
  readonly full: number
}

export interface FdbEntry {
  /** The MAC's first two bytes, and its last four. */
  readonly macHigh: number
  readonly macLow: number
  /** 0 if frames are not tagged. */
  readonly vlan: number
  readonly port: number
  /** Seconds since a frame came from it; undefined for a pinned address. */
  readonly ageS: number | undefined
}

/** A MAC that the configuration puts behind this port only, in every VLAN. */
export interface Pin {
  readonly macHigh: number
  readonly macLow: number
  readonly port: number
}

/** Main looks through all blocks once in this many ticks. */
const TICKS_A_ROUND = 8

/**
 * How often a thread looks at the lock before it sleeps. A holder needs the lock for less time, unless it is
 * descheduled.
 */
const SPINS = 1000

export class Fdb {
  readonly #i32: Int32Array
  readonly #header: number
  /** The count word of port {@link FLOOD}, which is nobody. */
  readonly #counts: number
  readonly #blocks: number
  readonly #blockCount: number
  readonly #buckets: number
  readonly #moves: number
  /** A product is shifted right by this many bits, to give a bucket's number. */
  readonly #shift: number
  readonly #share: number
  #multipliers: readonly [number, number, number, number]
  /** Main: what it has pinned, by MAC. */
  readonly #pinned = new Map<number, Pin>()
  /** Main: the block at which the next tick continues. */
  #next = 0

  /** @param at offset of {@link fdbBytes} in `memory`, a multiple of 64; all zero, or initialised already */
  constructor(memory: NativeMemory, at: number, peers: number) {
    const buckets = bucketsFor(peers)
    this.#i32 = memory.i32
    this.#header = at >>> 2
    this.#counts = this.#header + HEADER_WORDS
    this.#blocks = this.#counts + portWords(peers)
    this.#blockCount = blocksOf(buckets)
    this.#buckets = this.#blocks + blockWords(buckets)
    this.#moves = this.#buckets + buckets * BUCKET_WORDS
    this.#shift = 32 - Math.log2(buckets)
    this.#share = shareOf(peers)
    const words = this.#header + MULTIPLIERS
    this.#multipliers = [this.#i32[words], this.#i32[words + 1], this.#i32[words + 2], this.#i32[words + 3]]
  }

  /**
   * Main, before any other thread has an Fdb: chooses the hash.
   * @param random gives 32 bits at a time
   */
  initialise(random: () => number): void {
    const words = this.#header + MULTIPLIERS
    for (let i = 0; i < 4; i++) this.#i32[words + i] = random() | 1
    this.#multipliers = [this.#i32[words], this.#i32[words + 1], this.#i32[words + 2], this.#i32[words + 3]]
  }

  /**
   * The port of this address, {@link FLOOD} if it is unknown.
   * @param high the MAC's first two bytes, and the VLAN above them (bits 16 to 27)
   * @param low its last four
   */
  find(high: number, low: number): number {
    let port = this.#portIn(this.#bucket(0, high, low), high, low)
    if (port === FLOOD) port = this.#portIn(this.#bucket(2, high, low), high, low)
    return port === FLOOD ? this.#untaggedPin(high, low) : port
  }

  /** Learns that a frame from this address came from `port`. */
  learn(high: number, low: number, port: number): Learning {
    if ((high & 0x0100) !== 0 || ((high & 0xffff) | low) === 0) return LEARN.ignored
    const i32 = this.#i32
    const entry = this.#entryOf(high, low)
    if (entry >= 0 && this.#portOf(Atomics.load(i32, entry + PORT)) === port) {
      const now = Atomics.load(i32, this.#header + SECOND)
      const seen = Atomics.load(i32, entry + SEEN)
      // Compare-and-exchange, because the entry may belong to another address by now. That address keeps its
      // own second.
      if (seen !== now && seen !== PINNED) Atomics.compareExchange(i32, entry + SEEN, seen, now)
      return LEARN.known
    }
    if (entry < 0 && !this.#hasRoom(port)) {
      const pinned = this.#untaggedPin(high, low)
      const learning = pinned !== FLOOD && pinned !== port ? this.#refuse(pinned, port) : LEARN.full
      Atomics.add(i32, this.#header + COUNTED + learning, 1)
      return learning
    }
    this.#lock()
    const learning = this.#place(high, low, port)
    this.#unlock()
    Atomics.add(i32, this.#header + COUNTED + learning, 1)
    return learning
  }

  /**
   * While this number stays the same, {@link find} gives the same results. In that time, learning something again
   * changes only counts. The number is raised after each change, and at least once a second.
   */
  get changes(): number {
    return Atomics.load(this.#i32, this.#header + CHANGES)
  }

  /** Main: a peer that has sent with a MAC pinned to the device since the last call; undefined if none has. */
  takeTwin(): number | undefined {
    const word = Atomics.exchange(this.#i32, this.#header + TWIN, 0)
    return word === 0 ? undefined : word - 1
  }

  /** The number of a port's entries, without pinned ones. */
  countOf(port: number): number {
    return Atomics.load(this.#i32, this.#counts + port - FLOOD)
  }

  get counts(): FdbCounts {
    const count = (what: Learning) => Atomics.load(this.#i32, this.#header + COUNTED + what) >>> 0
    return {
      learnt: count(LEARN.learnt),
      moved: count(LEARN.moved),
      damped: count(LEARN.damped),
      full: count(LEARN.full),
    }
  }

  /** How many addresses are known, pinned ones among them. */
  get size(): number {
    let size = 0
    for (const entry of this.#taken())
      if (this.#portOf(Atomics.load(this.#i32, entry + PORT)) !== FLOOD) size++
    return size
  }

  /**
   * Main, once a second: sets the time, in whole seconds since the start, and forgets entries that are too old.
   */
  tick(second: number): void {
    Atomics.store(this.#i32, this.#header + SECOND, second)
    Atomics.add(this.#i32, this.#header + CHANGES, 1)
    const end = Math.min(this.#blockCount, this.#next + Math.ceil(this.#blockCount / TICKS_A_ROUND))
    this.#removeWhere((_, seen) => seen !== PINNED && second - seen > AGEING_S, this.#next, end)
    this.#next = end === this.#blockCount ? 0 : end
  }

  /**
   * Main: forgets what was learnt from a port, except pinned addresses. Forwarding decisions are then made
   * anew.
   */
  forget(port: number): void {
    this.forgetAll([port])
  }

  /** The same for several ports, in one look at all entries. */
  forgetAll(ports: Iterable<number>): void {
    const some = new Set([...ports].filter((port) => this.countOf(port) > 0))
    if (some.size > 0)
      this.#removeWhere((entry, seen) => seen !== PINNED && some.has(this.#portOf(this.#i32[entry + PORT])))
    Atomics.add(this.#i32, this.#header + CHANGES, 1)
  }

  /**
   * Main: pins these addresses and no others. Of two pins of one address, the first one counts.
   * @throws RangeError if there is no room for so many
   */
  pin(pins: readonly Pin[]): void {
    const wanted = new Map<number, Pin>()
    for (const pin of pins) {
      const key = pin.macHigh * 2 ** 32 + pin.macLow
      if (!wanted.has(key)) wanted.set(key, pin)
    }
    for (const [key, { macHigh, macLow, port }] of this.#pinned) {
      if (wanted.get(key)?.port === port) continue
      this.#pinned.delete(key)
      this.#unpin(macHigh, macLow | 0)
    }
    const added = [...wanted].filter(([key]) => !this.#pinned.has(key))
    for (const [key, pin] of added) {
      this.#pin(pin.macHigh, pin.macLow | 0, pin.port)
      this.#pinned.set(key, pin)
    }
    // What was learnt of them in VLANs.
    if (added.length === 0 || this.#i32[this.#header + TAGGED] === 0) return
    const keys = new Set(added.map(([key]) => key))
    const keyAt = (entry: number) =>
      (this.#i32[entry + HIGH] & 0xffff) * 2 ** 32 + (this.#i32[entry + LOW] >>> 0)
    this.#removeWhere((entry, seen) => seen !== PINNED && keys.has(keyAt(entry)))
  }

  #unpin(high: number, low: number): void {
    this.#lock()
    const entry = this.#entryOf(high, low)
    if (entry >= 0) this.#remove(entry)
    this.#unlock()
  }

  #pin(high: number, low: number, port: number): void {
    this.#lock()
    try {
      const present = this.#entryOf(high, low)
      if (present >= 0 && this.#i32[present + SEEN] === PINNED) return
      if (present >= 0) this.#remove(present)
      const entry = present >= 0 ? present : this.#free(high, low)
      if (entry < 0) throw new RangeError('there are too many pinned addresses')
      this.#write(entry, high, low, port, PINNED)
    } finally {
      this.#unlock()
    }
  }

  /** Main: all present entries, in no particular order. */
  *list(): Generator<FdbEntry> {
    const i32 = this.#i32
    const now = Atomics.load(i32, this.#header + SECOND)
    for (const entry of this.#taken()) {
      const word = Atomics.load(i32, entry + PORT)
      const port = this.#portOf(word)
      if (port === FLOOD) continue
      const [low, high, seen] = [LOW, HIGH, SEEN].map((at) => Atomics.load(i32, entry + at))
      if (Atomics.load(i32, entry + PORT) !== word) continue
      yield {
        macHigh: high & 0xffff,
        macLow: low >>> 0,
        vlan: high >>> 16,
        port,
        ageS: seen === PINNED ? undefined : Math.max(0, now - seen),
      }
    }
  }

  /** The entries of each block that has taken ones. */
  *#taken(): Generator<number> {
    for (let block = 0; block < this.#blockCount; block++) {
      if (Atomics.load(this.#i32, this.#blocks + block) === 0) continue
      const first = this.#buckets + block * BLOCK_ENTRIES * ENTRY_WORDS
      for (let index = 0; index < BLOCK_ENTRIES; index++) yield first + index * ENTRY_WORDS
    }
  }

  /** The first word of one of the address's buckets: the first bucket (`which` 0) or the second one (2). */
  #bucket(which: 0 | 2, high: number, low: number): number {
    const product =
      (Math.imul(low, this.#multipliers[which]) + Math.imul(high, this.#multipliers[which + 1])) | 0
    const mixed = Math.imul(product ^ (product >>> 15), this.#multipliers[which ^ 2])
    return this.#buckets + (mixed >>> this.#shift) * BUCKET_WORDS
  }

  #portOf(word: number): number {
    return (word & PORT_MASK) + FLOOD
  }

  #portIn(bucket: number, high: number, low: number): number {
    const i32 = this.#i32
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
  #entryOf(high: number, low: number): number {
    const entry = this.#entryIn(this.#bucket(0, high, low), high, low)
    return entry >= 0 ? entry : this.#entryIn(this.#bucket(2, high, low), high, low)
  }

  #entryIn(bucket: number, high: number, low: number): number {
    const i32 = this.#i32
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

  /**
   * The pinned port of a tagged frame's address, because a pin holds for every VLAN. {@link FLOOD} if there is
   * none.
   */
  #untaggedPin(high: number, low: number): number {
    if (high <= 0xffff) return FLOOD
    const untagged = high & 0xffff
    const entry = this.#entryOf(untagged, low)
    if (entry < 0 || Atomics.load(this.#i32, entry + SEEN) !== PINNED) return FLOOD
    return this.find(untagged, low)
  }

  /** Under the lock: puts an address at a port, in its own entry or in a new one, unless a rule forbids it. */
  #place(high: number, low: number, port: number): Learning {
    const i32 = this.#i32
    const now = i32[this.#header + SECOND]
    const entry = this.#entryOf(high, low)
    if (entry < 0) {
      const pinned = this.#untaggedPin(high, low)
      if (pinned !== FLOOD) return pinned === port ? LEARN.known : this.#refuse(pinned, port)
      const free = this.#free(high, low)
      if (free < 0) return LEARN.full
      this.#write(free, high, low, port, now)
      return LEARN.learnt
    }
    const word = i32[entry + PORT]
    if (i32[entry + SEEN] === PINNED) return this.#refuse(this.#portOf(word), port)
    if (this.#portOf(word) === port) return LEARN.known
    if (!this.#hasRoom(port)) {
      // The address has left its old port. Its frames are better flooded than sent there.
      this.#remove(entry)
      return LEARN.full
    }
    if (!this.#mayMove(entry, now)) return LEARN.damped
    this.#lost(word & PORT_MASK)
    this.#gained(port - FLOOD)
    Atomics.store(i32, entry + SEEN, now)
    Atomics.store(i32, entry + PORT, ((word + VERSION_ONE) & ~PORT_MASK) | (port - FLOOD))
    return LEARN.moved
  }

  /** An address that is pinned to the port `pinned` came from another one. */
  #refuse(pinned: number, port: number): Learning {
    if (pinned === DEVICE) Atomics.store(this.#i32, this.#header + TWIN, port + 1)
    return LEARN.pinned
  }

  /** Whether a port may have one more entry. */
  #hasRoom(port: number): boolean {
    const count = this.countOf(port)
    if (count < this.#share) return true
    return count < PORT_LIMIT && Atomics.load(this.#i32, this.#header + BEYOND) < POOL
  }

  /** Under the lock: a port, relative to {@link FLOOD}, has one more entry. */
  #gained(port: number): void {
    if (++this.#i32[this.#counts + port] > this.#share) this.#i32[this.#header + BEYOND]++
  }

  #lost(port: number): void {
    if (this.#i32[this.#counts + port]-- > this.#share) this.#i32[this.#header + BEYOND]--
  }

  /** Counts a move. Returns whether the move may be made. */
  #mayMove(entry: number, now: number): boolean {
    const at = this.#moves + (entry - this.#buckets) / ENTRY_WORDS
    const word = this.#i32[at]
    const elapsed = (now - (word >>> MOVES_BITS)) & SINCE_MASK
    const moves = word & MOVES_MASK
    const over = elapsed >= (moves === HELD ? HOLD_S : MOVES_WITHIN_S)
    if (moves === HELD && !over) return false
    const since = over || moves === MOVES ? now : word >>> MOVES_BITS
    const counted = over ? 1 : moves === MOVES ? HELD : moves + 1
    this.#i32[at] = (since << MOVES_BITS) | counted
    return counted !== HELD
  }

  /** Under the lock: a free entry in the emptier of the address's buckets, or -1. */
  #free(high: number, low: number): number {
    const first = this.#bucket(0, high, low)
    const second = this.#bucket(2, high, low)
    return this.#usedIn(first) <= this.#usedIn(second) ? this.#freeIn(first) : this.#freeIn(second)
  }

  #usedIn(bucket: number): number {
    let used = 0
    for (let entry = bucket; entry < bucket + BUCKET_WORDS; entry += ENTRY_WORDS) {
      if ((this.#i32[entry + PORT] & PORT_MASK) !== 0) used++
    }
    return used
  }

  #freeIn(bucket: number): number {
    for (let entry = bucket; entry < bucket + BUCKET_WORDS; entry += ENTRY_WORDS) {
      if ((this.#i32[entry + PORT] & PORT_MASK) === 0) return entry
    }
    return -1
  }

  /** Under the lock: fills a free entry. The port is written last. */
  #write(entry: number, high: number, low: number, port: number, seen: number): void {
    const i32 = this.#i32
    const word = Atomics.load(i32, entry + PORT)
    Atomics.store(i32, entry + LOW, low)
    Atomics.store(i32, entry + HIGH, high)
    Atomics.store(i32, entry + SEEN, seen)
    const index = (entry - this.#buckets) / ENTRY_WORDS
    i32[this.#moves + index] = 0
    i32[this.#blocks + Math.floor(index / BLOCK_ENTRIES)]++
    Atomics.store(i32, entry + PORT, (word + VERSION_ONE) | (port - FLOOD))
    if (seen !== PINNED) this.#gained(port - FLOOD)
    if (high > 0xffff) i32[this.#header + TAGGED]++
  }

  /** Under the lock: frees an entry. */
  #remove(entry: number): void {
    const i32 = this.#i32
    const word = Atomics.load(i32, entry + PORT)
    if (i32[entry + SEEN] !== PINNED) this.#lost(word & PORT_MASK)
    if (i32[entry + HIGH] > 0xffff) i32[this.#header + TAGGED]--
    i32[this.#blocks + Math.floor((entry - this.#buckets) / ENTRY_WORDS / BLOCK_ENTRIES)]--
    Atomics.store(i32, entry + PORT, (word + VERSION_ONE) & ~PORT_MASK)
  }

  /**
   * Removes the entries of these blocks for which `which` is true. It holds the lock for one block at a time.
   */
  #removeWhere(which: (entry: number, seen: number) => boolean, from = 0, to = this.#blockCount): void {
    const i32 = this.#i32
    for (let block = from; block < to; block++) {
      if (Atomics.load(i32, this.#blocks + block) === 0) continue
      const first = this.#buckets + block * BLOCK_ENTRIES * ENTRY_WORDS
      this.#lock()
      for (let entry = first; entry < first + BLOCK_ENTRIES * ENTRY_WORDS; entry += ENTRY_WORDS) {
        if ((i32[entry + PORT] & PORT_MASK) !== 0 && which(entry, i32[entry + SEEN])) this.#remove(entry)
      }
      this.#unlock()
    }
  }

  /** The lock is held for microseconds. If its holder is descheduled, the others wait asleep. */
  #lock(): void {
    const at = this.#header + LOCK
    for (let spins = 0; Atomics.compareExchange(this.#i32, at, 0, 1) !== 0; spins++) {
      if (spins >= SPINS) Atomics.wait(this.#i32, at, 1, 1)
    }
  }

  #unlock(): void {
    Atomics.add(this.#i32, this.#header + CHANGES, 1)
    Atomics.store(this.#i32, this.#header + LOCK, 0)
  }
}

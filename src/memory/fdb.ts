import type { NativeMemory } from '../linux/memory.js'
import {
  CHANGES,
  COUNTED,
  fdbBytes,
  HELD,
  HIGH,
  LOW,
  MOVES_BITS,
  MOVES_MASK,
  PINNED,
  PORT,
  PORT_MASK,
  SECOND,
  SEEN,
  SINCE_MASK,
  TAGGED,
  TWIN,
} from './fdb-layout.js'
import { FdbTable } from './fdb-table.js'
import { DEVICE, FLOOD } from './target.js'

/**
 * The forwarding database of a learning switch (IEEE 802.1D, 7.8 and 7.9) in shared memory. For each VLAN it
 * stores the port where a MAC was last seen. A port is a peer, by its row, or {@link DEVICE}. This file has the
 * rules; fdb-table.ts has the entries, and says which thread may do what; fdb-layout.ts has the layout.
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

export class Fdb {
  readonly #i32: Int32Array
  readonly #header: number
  readonly #table: FdbTable
  /** Main: what it has pinned, by MAC. */
  readonly #pinned = new Map<number, Pin>()
  /** Main: the block at which the next tick continues. */
  #next = 0

  /** @param at offset of {@link fdbBytes} in `memory`, a multiple of 64; all zero, or initialised already */
  constructor(memory: NativeMemory, at: number, peers: number) {
    this.#i32 = memory.i32
    this.#header = at >>> 2
    this.#table = new FdbTable(memory, at, peers)
  }

  /**
   * Main, before any other thread has an Fdb: chooses the hash.
   * @param random gives 32 bits at a time
   */
  initialise(random: () => number): void {
    this.#table.initialise(random)
  }

  /**
   * The port of this address, {@link FLOOD} if it is unknown.
   * @param high the MAC's first two bytes, and the VLAN above them (bits 16 to 27)
   * @param low its last four
   */
  find(high: number, low: number): number {
    const port = this.#table.portOf(high, low)
    return port === FLOOD ? this.#untaggedPin(high, low) : port
  }

  /** Learns that a frame from this address came from `port`. */
  learn(high: number, low: number, port: number): Learning {
    if ((high & 0x0100) !== 0 || ((high & 0xffff) | low) === 0) return LEARN.ignored
    const table = this.#table
    const entry = table.entryOf(high, low)
    if (entry >= 0 && table.portAt(entry) === port) {
      const now = Atomics.load(this.#i32, this.#header + SECOND)
      const seen = table.seenAt(entry)
      if (seen !== now && seen !== PINNED) table.seen(entry, seen, now)
      return LEARN.known
    }
    if (entry < 0 && !table.hasRoom(port)) {
      const pinned = this.#untaggedPin(high, low)
      const learning = pinned !== FLOOD && pinned !== port ? this.#refuse(pinned, port) : LEARN.full
      Atomics.add(this.#i32, this.#header + COUNTED + learning, 1)
      return learning
    }
    table.lock()
    const learning = this.#place(high, low, port)
    table.unlock()
    Atomics.add(this.#i32, this.#header + COUNTED + learning, 1)
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
    return this.#table.countOf(port)
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
    for (const entry of this.#table.taken()) if (this.#table.portAt(entry) !== FLOOD) size++
    return size
  }

  /**
   * Main, once a second: sets the time, in whole seconds since the start, and forgets entries that are too old.
   */
  tick(second: number): void {
    Atomics.store(this.#i32, this.#header + SECOND, second)
    Atomics.add(this.#i32, this.#header + CHANGES, 1)
    const { blockCount } = this.#table
    const end = Math.min(blockCount, this.#next + Math.ceil(blockCount / TICKS_A_ROUND))
    this.#table.removeWhere((_, seen) => seen !== PINNED && second - seen > AGEING_S, this.#next, end)
    this.#next = end === blockCount ? 0 : end
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
      this.#table.removeWhere((entry, seen) => seen !== PINNED && some.has(this.#table.portAt(entry)))
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
    this.#table.removeWhere((entry, seen) => seen !== PINNED && keys.has(keyAt(entry)))
  }

  #unpin(high: number, low: number): void {
    const table = this.#table
    table.lock()
    const entry = table.entryOf(high, low)
    if (entry >= 0) table.remove(entry)
    table.unlock()
  }

  #pin(high: number, low: number, port: number): void {
    const table = this.#table
    table.lock()
    try {
      const present = table.entryOf(high, low)
      if (present >= 0 && table.seenAt(present) === PINNED) return
      if (present >= 0) table.remove(present)
      const entry = present >= 0 ? present : table.free(high, low)
      if (entry < 0) throw new RangeError('there are too many pinned addresses')
      table.write(entry, high, low, port, PINNED)
    } finally {
      table.unlock()
    }
  }

  /** Main: all present entries, in no particular order. */
  *list(): Generator<FdbEntry> {
    const i32 = this.#i32
    const now = Atomics.load(i32, this.#header + SECOND)
    for (const entry of this.#table.taken()) {
      const word = Atomics.load(i32, entry + PORT)
      const port = (word & PORT_MASK) + FLOOD
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

  /**
   * The pinned port of a tagged frame's address, because a pin holds for every VLAN. {@link FLOOD} if there is
   * none.
   */
  #untaggedPin(high: number, low: number): number {
    if (high <= 0xffff) return FLOOD
    const untagged = high & 0xffff
    const entry = this.#table.entryOf(untagged, low)
    if (entry < 0 || this.#table.seenAt(entry) !== PINNED) return FLOOD
    return this.find(untagged, low)
  }

  /** Under the lock: puts an address at a port, in its own entry or in a new one, unless a rule forbids it. */
  #place(high: number, low: number, port: number): Learning {
    const table = this.#table
    const now = this.#i32[this.#header + SECOND]
    const entry = table.entryOf(high, low)
    if (entry < 0) {
      const pinned = this.#untaggedPin(high, low)
      if (pinned !== FLOOD) return pinned === port ? LEARN.known : this.#refuse(pinned, port)
      const free = table.free(high, low)
      if (free < 0) return LEARN.full
      table.write(free, high, low, port, now)
      return LEARN.learnt
    }
    const before = table.portAt(entry)
    if (table.seenAt(entry) === PINNED) return this.#refuse(before, port)
    if (before === port) return LEARN.known
    if (!table.hasRoom(port)) {
      // The address has left its old port. Its frames are better flooded than sent there.
      table.remove(entry)
      return LEARN.full
    }
    if (!this.#mayMove(entry, now)) return LEARN.damped
    table.move(entry, port, now)
    return LEARN.moved
  }

  /** An address that is pinned to the port `pinned` came from another one. */
  #refuse(pinned: number, port: number): Learning {
    if (pinned === DEVICE) Atomics.store(this.#i32, this.#header + TWIN, port + 1)
    return LEARN.pinned
  }

  /** Counts a move. Returns whether the move may be made. */
  #mayMove(entry: number, now: number): boolean {
    const at = this.#table.movesOf(entry)
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
}

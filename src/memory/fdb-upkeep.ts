import { Fdb, LEARN, type Learning } from './fdb.js'
import { CHANGES, COUNTED, HIGH, LOW, PINNED, PORT, SECOND, SEEN, TAGGED, TWIN } from './fdb-layout.js'
import { FLOOD } from './target.js'

/** Seconds after which an address that is not seen any more is forgotten (IEEE 802.1D, table 7-5). */
export const AGEING_S = 300

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

/** It looks through all blocks once in this many ticks. */
const TICKS_A_ROUND = 8

/** The forwarding database as main has it: with all that only main does. */
export class FdbUpkeep extends Fdb {
  /** What it has pinned, by MAC. */
  readonly #pinned = new Map<number, Pin>()
  /** The block at which the next tick continues. */
  #next = 0

  /** A peer that has sent with a MAC pinned to the device since the last call; undefined if none has. */
  takeTwin(): number | undefined {
    const word = Atomics.exchange(this.i32, this.header + TWIN, 0)
    return word === 0 ? undefined : word - 1
  }

  get counts(): FdbCounts {
    const count = (what: Learning) => Atomics.load(this.i32, this.header + COUNTED + what) >>> 0
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
    for (const entry of this.taken()) if (this.portOf(Atomics.load(this.i32, entry + PORT)) !== FLOOD) size++
    return size
  }

  /**
   * Once a second: sets the time, in whole seconds since the start, and forgets entries that are too old.
   */
  tick(second: number): void {
    Atomics.store(this.i32, this.header + SECOND, second)
    Atomics.add(this.i32, this.header + CHANGES, 1)
    const end = Math.min(this.blockCount, this.#next + Math.ceil(this.blockCount / TICKS_A_ROUND))
    this.removeWhere((_, seen) => seen !== PINNED && second - seen > AGEING_S, this.#next, end)
    this.#next = end === this.blockCount ? 0 : end
  }

  /**
   * Forgets what was learnt from a port, except pinned addresses. Forwarding decisions are then made
   * anew.
   */
  forget(port: number): void {
    this.forgetAll([port])
  }

  /** The same for several ports, in one look at all entries. */
  forgetAll(ports: Iterable<number>): void {
    const some = new Set([...ports].filter((port) => this.countOf(port) > 0))
    if (some.size > 0)
      this.removeWhere((entry, seen) => seen !== PINNED && some.has(this.portOf(this.i32[entry + PORT])))
    Atomics.add(this.i32, this.header + CHANGES, 1)
  }

  /**
   * Pins these addresses and no others. Of two pins of one address, the first one counts.
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
    if (added.length === 0 || this.i32[this.header + TAGGED] === 0) return
    const keys = new Set(added.map(([key]) => key))
    const keyAt = (entry: number) =>
      (this.i32[entry + HIGH] & 0xffff) * 2 ** 32 + (this.i32[entry + LOW] >>> 0)
    this.removeWhere((entry, seen) => seen !== PINNED && keys.has(keyAt(entry)))
  }

  /** All present entries, in no particular order. */
  *list(): Generator<FdbEntry> {
    const i32 = this.i32
    const now = Atomics.load(i32, this.header + SECOND)
    for (const entry of this.taken()) {
      const word = Atomics.load(i32, entry + PORT)
      const port = this.portOf(word)
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

  #unpin(high: number, low: number): void {
    this.lock()
    const entry = this.entryOf(high, low)
    if (entry >= 0) this.remove(entry)
    this.unlock()
  }

  #pin(high: number, low: number, port: number): void {
    this.lock()
    try {
      const present = this.entryOf(high, low)
      if (present >= 0 && this.i32[present + SEEN] === PINNED) return
      if (present >= 0) this.remove(present)
      const entry = present >= 0 ? present : this.free(high, low)
      if (entry < 0) throw new RangeError('there are too many pinned addresses')
      this.write(entry, high, low, port, PINNED)
    } finally {
      this.unlock()
    }
  }
}

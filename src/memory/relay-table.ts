import type { NativeMemory } from '../linux/memory.js'
import type { RelayName } from '../wire/relay.js'

/**
 * Whom relayed messages name (wire/relay.ts), in shared memory. Main writes; workers read. The rows are those of the
 * peer table. A row has four words: the name's two, what the peer is in a relay ({@link PART}), and one that is unused.
 *
 * Before the rows there is an index from names to rows, as in the peer table: two hash tables, a word of the header that
 * says which is valid, and one that says how many places of it are taken. A row that has gone, or has another name,
 * leaves its old entry there, and a reader compares the name in the row. When half of the places are taken, main makes
 * the index anew in the other table. So a reader may miss a row during two changes, but it never takes one row for
 * another.
 */
const HEADER_BYTES = 64
const ROW_WORDS = 4
const LOW = 0
const HIGH = 1
const PARTS = 2

/** Words of the header. */
const WHICH_INDEX = 0
const TAKEN = 1

/** Places of an index for each row: at most half of them are taken, and a new index takes a quarter of them. */
const PLACES_PER_ROW = 4

/**
 * What a peer may be in a relay, as bits. `member`: this host relays for it, if it relays at all. `introducer`: it may
 * relay for this host. `far`: it may be at the other end.
 */
export const PART = { member: 1, introducer: 2, far: 4 } as const

export function relayTableBytes(rows: number): number {
  return HEADER_BYTES + rows * 4 * (2 * PLACES_PER_ROW + ROW_WORDS)
}

export class RelayTable {
  readonly #i32: Int32Array
  readonly #rows: number
  readonly #header: number
  readonly #indexes: number
  readonly #places: number
  readonly #at: number
  #last = 0

  /**
   * @param at offset of the table in `memory`, a multiple of 64
   * @param rows a power of two
   */
  constructor(memory: NativeMemory, at: number, rows: number) {
    this.#i32 = memory.i32
    this.#rows = rows
    this.#header = at >>> 2
    this.#indexes = (at + HEADER_BYTES) >>> 2
    this.#places = rows * PLACES_PER_ROW
    this.#at = this.#indexes + 2 * this.#places
  }

  /** Main: the peer in this row has this name, and may be these {@link PART}s. */
  set(row: number, { low, high }: RelayName, parts: number): void {
    const at = this.#at + row * ROW_WORDS
    Atomics.store(this.#i32, at + LOW, low | 0)
    Atomics.store(this.#i32, at + HIGH, high | 0)
    Atomics.store(this.#i32, at + PARTS, parts)
    const index = this.#indexes + Atomics.load(this.#i32, this.#header + WHICH_INDEX) * this.#places
    const place = this.#placeOf(index, row)
    if (this.#i32[place] !== 0) return
    const taken = this.#i32[this.#header + TAKEN] + 1
    if (taken > this.#places / 2) {
      this.#reindex()
      return
    }
    this.#i32[this.#header + TAKEN] = taken
    Atomics.store(this.#i32, place, row + 1)
  }

  /** Main: the peer in this row is gone. */
  clear(row: number): void {
    Atomics.store(this.#i32, this.#at + row * ROW_WORDS + PARTS, 0)
  }

  /** Whether the peer in this row may be this {@link PART}. */
  is(row: number, part: number): boolean {
    return (this.#i32[this.#at + row * ROW_WORDS + PARTS] & part) !== 0
  }

  low(row: number): number {
    return this.#i32[this.#at + row * ROW_WORDS + LOW]
  }

  high(row: number): number {
    return this.#i32[this.#at + row * ROW_WORDS + HIGH]
  }

  /** The row of the peer with this name, -1 if there is none. @param low of any sign */
  find(low: number, high: number): number {
    if (this.#isNamed(this.#last, low, high)) return this.#last
    const i32 = this.#i32
    const index = this.#indexes + Atomics.load(i32, this.#header + WHICH_INDEX) * this.#places
    const mask = this.#places - 1
    // The name is a hash already.
    let place = low & mask
    for (let tries = 0; tries <= mask; tries++) {
      const row = Atomics.load(i32, index + place) - 1
      if (row < 0) return -1
      if (this.#isNamed(row, low, high)) {
        this.#last = row
        return row
      }
      place = (place + 1) & mask
    }
    return -1
  }

  #isNamed(row: number, low: number, high: number): boolean {
    const at = this.#at + row * ROW_WORDS
    const i32 = this.#i32
    return i32[at + LOW] === (low | 0) && i32[at + HIGH] === (high | 0) && i32[at + PARTS] !== 0
  }

  /** The word of an index in which a row is, or the empty one where it would be. */
  #placeOf(index: number, row: number): number {
    const i32 = this.#i32
    const mask = this.#places - 1
    let place = this.low(row) & mask
    while (i32[index + place] !== 0 && i32[index + place] !== row + 1) place = (place + 1) & mask
    return index + place
  }

  #reindex(): void {
    const i32 = this.#i32
    const which = 1 - Atomics.load(i32, this.#header + WHICH_INDEX)
    const index = this.#indexes + which * this.#places
    i32.fill(0, index, index + this.#places)
    let taken = 0
    for (let row = 0; row < this.#rows; row++) {
      if (i32[this.#at + row * ROW_WORDS + PARTS] === 0) continue
      i32[this.#placeOf(index, row)] = row + 1
      taken++
    }
    Atomics.store(i32, this.#header + WHICH_INDEX, which)
    i32[this.#header + TAKEN] = taken
  }
}

import type { NativeMemory } from '../linux/memory.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'

/**
 * The peers' socket addresses in shared memory. Main writes; workers read, and pass the addresses to the
 * kernel.
 *
 * A row has a cache line for each of two addresses, and a line of words. The first word says which address is
 * valid. A change is written to the other address, and then the word switches to it. So no reader ever sees
 * half of a change. The second word says whether the row belongs to a peer that can be sent to. An address is
 * all zero, with its family, until it is set.
 *
 * A row that a peer has left still has its address, because a worker may have passed it to the kernel. The row
 * goes to another peer only when no worker holds anything of it any more (control/peer/rows.ts).
 *
 * Before the rows there is an index from addresses to rows: two hash tables. A word of the header says which is
 * valid. If two changes overtake a reader, it may miss a row, but it never takes one row for another.
 */
const SLOT_BYTES = 64
const ROW_BYTES = 3 * SLOT_BYTES
const SOCKADDR_WORDS = SOCKADDR_BYTES / 4

const HEADER_BYTES = 64
/**
 * Words of the header: which index is valid; the number of rows up to the last one in use; how many are in use;
 * and the only row in use, plus one.
 */
const WHICH_INDEX = 0
const ROWS_IN_USE = 1
const COUNT_IN_USE = 2
const ONLY_IN_USE = 3
/** Words of a row's last line. */
const WHICH_ADDRESS = 0
const IN_USE = 1

/** Places of an index for each row. At most half of them are taken. */
const PLACES_PER_ROW = 4

export function peerTableBytes(rows: number): number {
  return HEADER_BYTES + 2 * indexBytes(rows) + rows * ROW_BYTES
}

function indexBytes(rows: number): number {
  return Math.max(SLOT_BYTES, rows * PLACES_PER_ROW * 4)
}

export class PeerTable {
  /** Rows there are room for: a power of two. */
  readonly rows: number
  readonly #memory: NativeMemory
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
    this.rows = rows
    this.#memory = memory
    this.#header = at >>> 2
    this.#indexes = (at + HEADER_BYTES) >>> 2
    this.#places = indexBytes(rows) >>> 2
    this.#at = at + HEADER_BYTES + 2 * indexBytes(rows)
  }

  /** Main: gives peer `index` this address, in the form of `encodeSockaddr`. */
  setAddress(index: number, sockaddr: Uint8Array): void {
    const { i32, u8 } = this.#memory
    const row = this.#at + index * ROW_BYTES
    const words = (row + 2 * SLOT_BYTES) >>> 2
    const next = 1 - Atomics.load(i32, words + WHICH_ADDRESS)
    u8.set(sockaddr, row + next * SLOT_BYTES)
    Atomics.store(i32, words + WHICH_ADDRESS, next)
    Atomics.store(i32, words + IN_USE, 1)
    this.#reindex()
  }

  /** Main: peer `index` has been removed, or has no address. */
  clear(index: number): void {
    Atomics.store(this.#memory.i32, this.#words(index) + IN_USE, 0)
    this.#reindex()
  }

  /** Main, while no worker holds anything of row `index`: the row belongs to another peer from now on. */
  forget(index: number): void {
    const row = this.#at + index * ROW_BYTES
    this.#memory.u8.fill(0, row, row + 2 * SLOT_BYTES)
  }

  /** Whether row `index` belongs to a peer that has an address. */
  inUse(index: number): boolean {
    return Atomics.load(this.#memory.i32, this.#words(index) + IN_USE) === 1
  }

  /** All rows in use are below this number. */
  get rowsInUse(): number {
    return Atomics.load(this.#memory.i32, this.#header + ROWS_IN_USE)
  }

  /** How many rows are in use. */
  get countInUse(): number {
    return Atomics.load(this.#memory.i32, this.#header + COUNT_IN_USE)
  }

  /** The only row in use, or -1 if there are more or none. */
  get onlyInUse(): number {
    return Atomics.load(this.#memory.i32, this.#header + ONLY_IN_USE) - 1
  }

  /** Offset in the memory of peer `index`'s present address. */
  address(index: number): number {
    const row = this.#at + index * ROW_BYTES
    return row + Atomics.load(this.#memory.i32, this.#words(index) + WHICH_ADDRESS) * SLOT_BYTES
  }

  /** Whether the socket address at offset `name` is peer `index`'s. Zeros must follow a short address. */
  isFrom(index: number, name: number): boolean {
    const u32 = this.#memory.u32
    const a = this.address(index) >>> 2
    const b = name >>> 2
    for (let word = 0; word < SOCKADDR_WORDS; word++) if (u32[a + word] !== u32[b + word]) return false
    return true
  }

  /** The peer with the socket address at offset `name`, -1 if there is none. */
  find(name: number): number {
    if (this.isFrom(this.#last, name) && this.inUse(this.#last)) return this.#last
    const { i32 } = this.#memory
    const index = this.#indexes + Atomics.load(i32, this.#header + WHICH_INDEX) * this.#places
    const mask = this.#places - 1
    let place = this.#hash(name) & mask
    for (let tries = 0; tries <= mask; tries++) {
      const row = Atomics.load(i32, index + place) - 1
      if (row < 0) return -1
      if (this.isFrom(row, name)) {
        this.#last = row
        return row
      }
      place = (place + 1) & mask
    }
    return -1
  }

  /** Main: the peer with the address `sockaddr`, in the form of `encodeSockaddr`; -1 if there is none. */
  rowOf(sockaddr: Uint8Array): number {
    const { u8 } = this.#memory
    const { rowsInUse } = this
    for (let row = 0; row < rowsInUse; row++) {
      const at = this.address(row)
      if (this.inUse(row) && sockaddr.every((byte, index) => u8[at + index] === byte)) return row
    }
    return -1
  }

  #words(index: number): number {
    return (this.#at + index * ROW_BYTES + 2 * SLOT_BYTES) >>> 2
  }

  #hash(name: number): number {
    const u32 = this.#memory.u32
    const at = name >>> 2
    let hash = 0
    for (let word = 0; word < SOCKADDR_WORDS; word++) {
      hash = Math.imul(hash ^ u32[at + word], 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash
  }

  /** Builds the index anew in the table that is not in use, and switches to it. */
  #reindex(): void {
    const { i32 } = this.#memory
    const which = 1 - Atomics.load(i32, this.#header + WHICH_INDEX)
    const index = this.#indexes + which * this.#places
    const mask = this.#places - 1
    i32.fill(0, index, index + this.#places)
    let rowsInUse = 0
    let countInUse = 0
    for (let row = 0; row < this.rows; row++) {
      if (!this.inUse(row)) continue
      rowsInUse = row + 1
      countInUse++
      let place = this.#hash(this.address(row)) & mask
      while (i32[index + place] !== 0) place = (place + 1) & mask
      i32[index + place] = row + 1
    }
    Atomics.store(i32, this.#header + WHICH_INDEX, which)
    Atomics.store(i32, this.#header + ROWS_IN_USE, rowsInUse)
    Atomics.store(i32, this.#header + COUNT_IN_USE, countInUse)
    Atomics.store(i32, this.#header + ONLY_IN_USE, countInUse === 1 ? rowsInUse : 0)
  }
}

import type { NativeMemory } from '../linux/memory.js'
import { LOCAL_BYTES, SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { encodeName, encodeRelayed, NAME } from './name.js'

/**
 * The peers' names (name.ts) in shared memory: their socket addresses, and at which address of this host each of
 * them speaks to it. Main writes; workers read, and pass the addresses to the kernel.
 *
 * A row has a cache line for each of two names, and a line of words. The first word says which name is
 * valid. A change is written to the other name, and then the word switches to it. So no reader ever sees
 * half of a change. The second word says whether the row belongs to a peer that can be sent to. A name is
 * all zero until it is set.
 *
 * The udp worker writes into the line of words, too: a local address that main does not know yet, and a word that
 * says so. Main clears that word. One more word says whether the peer's datagrams may lack checksums.
 *
 * A row that a peer has left still has its address, because a worker may have passed it to the kernel. The row
 * goes to another peer only when no worker holds anything of it any more (control/peer/rows.ts).
 *
 * Before the rows there is an index from addresses to rows: two hash tables. A word of the header says which is
 * valid. A row that has moved or gone leaves its old entry there, and a reader looks whether the row still has the
 * address. When half of the places are taken, main makes the index anew in the other table. If two changes overtake a
 * reader, it may miss a row, but it never takes one row for another. A relayed peer has no address, and no entry.
 */
const SLOT_BYTES = 64
const ROW_BYTES = 3 * SLOT_BYTES
const SOCKADDR_WORDS = SOCKADDR_BYTES / 4
const LOCAL_WORDS = LOCAL_BYTES / 4

const UNKNOWN = new Uint8Array(LOCAL_BYTES)

const HEADER_BYTES = 64
/**
 * Words of the header: which index is valid; the number of rows up to the last one in use; how many are in use;
 * the only row in use, plus one; and how many places of the valid index are taken.
 */
const WHICH_INDEX = 0
const ROWS_IN_USE = 1
const COUNT_IN_USE = 2
const ONLY_IN_USE = 3
const TAKEN = 4
/** Words of a row's last line. */
const WHICH_ADDRESS = 0
const IN_USE = 1
const HAS_NEWS = 2
const LACKS_SUMS = 3
const NEWS = 4

/** Places of an index for each row: at most half of them are taken, and a new index takes a quarter of them. */
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
  /** The socket address that {@link rowOf} looks for. */
  readonly #wanted = new Uint8Array(SOCKADDR_BYTES)
  readonly #wantedWords = new Uint32Array(this.#wanted.buffer)

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

  /**
   * Main: gives the peer in this row this address, in the form of `encodeSockaddr`.
   * @param local the address of this host that it speaks to
   * @param bearsLocal whether what is sent to it must bear that address as its source
   */
  setAddress(row: number, sockaddr: Uint8Array, local: Uint8Array = UNKNOWN, bearsLocal = false): void {
    this.#setName(row, encodeName(sockaddr, local, bearsLocal))
  }

  /** Main: the peer in this row is reached by way of the introducer in the row `via`. */
  setRelayed(row: number, via: number): void {
    this.#setName(row, encodeRelayed({ via, far: row }))
  }

  #setName(row: number, name: Uint8Array): void {
    const { i32, u8 } = this.#memory
    const at = this.#at + row * ROW_BYTES
    const words = (at + 2 * SLOT_BYTES) >>> 2
    const next = 1 - Atomics.load(i32, words + WHICH_ADDRESS)
    u8.set(name, at + next * SLOT_BYTES)
    Atomics.store(i32, words + WHICH_ADDRESS, next)
    const isNew = Atomics.exchange(i32, words + IN_USE, 1) === 0
    this.#index(row)
    if (isNew) this.#counted(this.countInUse + 1, Math.max(this.rowsInUse, row + 1), row)
  }

  /** Main: the peer in this row has been removed, or has no address. */
  clear(row: number): void {
    if (Atomics.exchange(this.#memory.i32, this.#words(row) + IN_USE, 0) === 0) return
    let rows = this.rowsInUse
    while (rows > 0 && !this.inUse(rows - 1)) rows--
    this.#counted(this.countInUse - 1, rows, rows - 1)
  }

  /** @param last a row in use; if only one is, that one */
  #counted(count: number, rowsInUse: number, last: number): void {
    const { i32 } = this.#memory
    Atomics.store(i32, this.#header + ROWS_IN_USE, rowsInUse)
    Atomics.store(i32, this.#header + COUNT_IN_USE, count)
    Atomics.store(i32, this.#header + ONLY_IN_USE, count === 1 ? last + 1 : 0)
  }

  /** Main, while no worker holds anything of this row: it belongs to another peer from now on. */
  forget(row: number): void {
    const at = this.#at + row * ROW_BYTES
    this.#memory.u8.fill(0, at, at + 2 * SLOT_BYTES)
    Atomics.store(this.#memory.i32, this.#words(row) + HAS_NEWS, 0)
    this.setLacksSums(row, false)
  }

  /** Whether this row belongs to a peer that has an address. */
  inUse(row: number): boolean {
    return Atomics.load(this.#memory.i32, this.#words(row) + IN_USE) === 1
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

  /** Offset in the memory of the present name of the peer in this row. */
  address(row: number): number {
    const at = this.#at + row * ROW_BYTES
    return at + Atomics.load(this.#memory.i32, this.#words(row) + WHICH_ADDRESS) * SLOT_BYTES
  }

  /**
   * Whether the socket address at offset `name` is that of the peer in this row. Zeros must follow a short
   * address.
   */
  isFrom(row: number, name: number): boolean {
    const u32 = this.#memory.u32
    const a = this.address(row) >>> 2
    const b = name >>> 2
    for (let word = 0; word < SOCKADDR_WORDS; word++) if (u32[a + word] !== u32[b + word]) return false
    return true
  }

  /** Whether the peer in this row is known to speak to the local address of the name at offset `name`. */
  speaksTo(row: number, name: number): boolean {
    const u32 = this.#memory.u32
    const a = (this.address(row) + NAME.local) >>> 2
    const b = (name + NAME.local) >>> 2
    for (let word = 0; word < LOCAL_WORDS; word++) if (u32[a + word] !== u32[b + word]) return false
    return true
  }

  /**
   * The udp worker: the peer in this row speaks to the local address of the name at offset `name`. False if main
   * has not taken what was noted before.
   */
  noteLocal(row: number, name: number): boolean {
    const { i32, u8 } = this.#memory
    const words = this.#words(row)
    if (Atomics.load(i32, words + HAS_NEWS) === 1) return false
    const local = name + NAME.local
    u8.copyWithin((words + NEWS) * 4, local, local + LOCAL_BYTES)
    Atomics.store(i32, words + HAS_NEWS, 1)
    return true
  }

  /** Main: whether frames of the peer in this row may come with checksums that nobody has filled in. */
  setLacksSums(row: number, lacks: boolean): void {
    Atomics.store(this.#memory.i32, this.#words(row) + LACKS_SUMS, lacks ? 1 : 0)
  }

  lacksSums(row: number): boolean {
    return Atomics.load(this.#memory.i32, this.#words(row) + LACKS_SUMS) === 1
  }

  /** Main: whether a worker has noted something for this row that was not taken yet. */
  hasNews(row: number): boolean {
    return Atomics.load(this.#memory.i32, this.#words(row) + HAS_NEWS) === 1
  }

  /** Main: the local address that a worker has noted. Until it is taken, nothing further is noted. */
  takeNews(row: number): Uint8Array {
    const { i32, u8 } = this.#memory
    const words = this.#words(row)
    const at = (words + NEWS) * 4
    const local = u8.slice(at, at + LOCAL_BYTES)
    Atomics.store(i32, words + HAS_NEWS, 0)
    return local
  }

  /** The row of the peer with the socket address at offset `name`, -1 if there is none. */
  find(name: number): number {
    if (this.isFrom(this.#last, name) && this.inUse(this.#last)) return this.#last
    const { i32 } = this.#memory
    const index = this.#indexes + Atomics.load(i32, this.#header + WHICH_INDEX) * this.#places
    const mask = this.#places - 1
    let place = hashOf(this.#memory.u32, name >>> 2) & mask
    for (let tries = 0; tries <= mask; tries++) {
      const row = Atomics.load(i32, index + place) - 1
      if (row < 0) return -1
      if (this.isFrom(row, name) && this.inUse(row)) {
        this.#last = row
        return row
      }
      place = (place + 1) & mask
    }
    return -1
  }

  /**
   * Main: the row of the peer with the address `sockaddr`, in the form of `encodeSockaddr`; -1 if there is
   * none. Anybody can have main ask for any address, so it goes by the index.
   */
  rowOf(sockaddr: Uint8Array): number {
    const { i32 } = this.#memory
    this.#wanted.set(sockaddr)
    const index = this.#indexes + Atomics.load(i32, this.#header + WHICH_INDEX) * this.#places
    const mask = this.#places - 1
    let place = hashOf(this.#wantedWords, 0) & mask
    for (let tries = 0; tries <= mask; tries++) {
      const row = i32[index + place] - 1
      if (row < 0) return -1
      if (this.inUse(row) && this.#isWanted(row)) return row
      place = (place + 1) & mask
    }
    return -1
  }

  /** Whether the peer in this row has the address that is looked for. */
  #isWanted(row: number): boolean {
    const { u32 } = this.#memory
    const at = this.address(row) >>> 2
    for (let word = 0; word < SOCKADDR_WORDS; word++)
      if (u32[at + word] !== this.#wantedWords[word]) return false
    return true
  }

  #words(row: number): number {
    return (this.#at + row * ROW_BYTES + 2 * SLOT_BYTES) >>> 2
  }

  /** Puts a row into the index, unless it is there already. */
  #index(row: number): void {
    const { i32, u32 } = this.#memory
    const address = this.address(row)
    if (u32[address >>> 2] === 0) return
    const index = this.#indexes + Atomics.load(i32, this.#header + WHICH_INDEX) * this.#places
    const place = this.#placeOf(index, row, address)
    if (i32[place] !== 0) return
    const taken = i32[this.#header + TAKEN] + 1
    if (taken > this.#places / 2) {
      this.#reindex()
      return
    }
    i32[this.#header + TAKEN] = taken
    Atomics.store(i32, place, row + 1)
  }

  /** The word of an index in which a row is, or the empty one where it would be. */
  #placeOf(index: number, row: number, address: number): number {
    const { i32, u32 } = this.#memory
    const mask = this.#places - 1
    let place = hashOf(u32, address >>> 2) & mask
    while (i32[index + place] !== 0 && i32[index + place] !== row + 1) place = (place + 1) & mask
    return index + place
  }

  /** Builds the index anew in the table that is not in use, and switches to it. */
  #reindex(): void {
    const { i32, u32 } = this.#memory
    const which = 1 - Atomics.load(i32, this.#header + WHICH_INDEX)
    const index = this.#indexes + which * this.#places
    i32.fill(0, index, index + this.#places)
    let taken = 0
    for (let row = 0; row < this.rows; row++) {
      const address = this.address(row)
      if (!this.inUse(row) || u32[address >>> 2] === 0) continue
      i32[this.#placeOf(index, row, address)] = row + 1
      taken++
    }
    Atomics.store(i32, this.#header + WHICH_INDEX, which)
    i32[this.#header + TAKEN] = taken
  }
}

/** The hash of the socket address at the word `at`. */
function hashOf(words: Uint32Array, at: number): number {
  let hash = 0
  for (let word = 0; word < SOCKADDR_WORDS; word++) {
    hash = Math.imul(hash ^ words[at + word], 0x9e3779b1)
    hash ^= hash >>> 15
  }
  return hash
}

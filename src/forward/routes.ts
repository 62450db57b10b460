import type { NativeMemory } from '../linux/memory.js'
import { FLOOD } from './target.js'

/**
 * Whose an overlay address is: longest-prefix match over the peers' prefixes, IPv4 and IPv6, in shared memory.
 * Main writes, workers read.
 *
 * Prefixes nest or are disjoint, so they cut the address space into ranges, each wholly one peer's or
 * nobody's: at most two for each prefix, and one. A table holds where the ranges begin, ascending, and whose
 * each is; to find an address is a binary search for the last range that begins at or before it.
 *
 * Layout: a cache line with the number of changes; then two copies of both families' tables (the numbers of
 * ranges, IPv4 beginnings and owners, IPv6 beginnings and owners). The words of addresses have their highest
 * bit flipped, so that they compare as signed numbers. A change is written to the copy that is not in use and
 * then counted, which switches to it. A reader that finds a different count after its search than before looks
 * again, for its copy may have been written to. All words are read and written by Atomics, in one order for all.
 */
export interface Route {
  /** 4 bytes or 16; what is behind the prefix does not matter. */
  readonly address: ArrayLike<number>
  readonly prefixLength: number
  readonly peer: number
}

const LINE_WORDS = 16
const SIGN = 0x80000000 | 0
const IPV6_WORDS = 4

const rangesFor = (routes: number) => 2 * routes + 1
const copyWords = (routes: number) => (2 + rangesFor(routes) * (1 + 1 + IPV6_WORDS + 1) + 15) & -LINE_WORDS

/** Bytes of tables for up to `routes` routes of each family. */
export function routesBytes(routes: number): number {
  return 4 * (LINE_WORDS + 2 * copyWords(routes))
}

export class Routes {
  readonly #view: DataView
  readonly #i32: Int32Array
  readonly #changes: number
  readonly #copies: number
  readonly #copyWords: number
  readonly #limit: number
  /** From a copy's first word. */
  readonly #begins4 = 2
  readonly #owners4: number
  readonly #begins6: number
  readonly #owners6: number

  /**
   * @param at offset of {@link routesBytes} in `memory`, a multiple of 64
   * @param routes how many of each family there may be
   */
  constructor(memory: NativeMemory, at: number, routes: number) {
    this.#view = memory.view
    this.#i32 = memory.i32
    this.#limit = routes
    this.#changes = at >>> 2
    this.#copies = this.#changes + LINE_WORDS
    this.#copyWords = copyWords(routes)
    this.#owners4 = this.#begins4 + rangesFor(routes)
    this.#begins6 = this.#owners4 + rangesFor(routes)
    this.#owners6 = this.#begins6 + rangesFor(routes) * IPV6_WORDS
  }

  /**
   * Main: these routes and no others. Of two with the same prefix, the later one counts.
   * @throws RangeError where there are more of a family than there is room for
   */
  set(routes: readonly Route[]): void {
    const changes = Atomics.load(this.#i32, this.#changes)
    const copy = this.#copies + ((changes + 1) & 1) * this.#copyWords
    this.#write(routes, 4, copy, copy + this.#begins4, copy + this.#owners4)
    this.#write(routes, 16, copy + 1, copy + this.#begins6, copy + this.#owners6)
    Atomics.store(this.#i32, this.#changes, changes + 1)
  }

  /** The peer with the longest prefix of the IPv4 address at offset `at`, or {@link FLOOD} where there is none. */
  find4(at: number): number {
    const i32 = this.#i32
    const key = this.#view.getInt32(at) ^ SIGN
    for (;;) {
      const changes = Atomics.load(i32, this.#changes)
      const copy = this.#copies + (changes & 1) * this.#copyWords
      const begins = copy + this.#begins4
      let low = 0
      let high = Atomics.load(i32, copy)
      while (low < high) {
        const middle = (low + high) >>> 1
        if (Atomics.load(i32, begins + middle) <= key) low = middle + 1
        else high = middle
      }
      const owner = low === 0 ? FLOOD : Atomics.load(i32, copy + this.#owners4 + low - 1)
      if (Atomics.load(i32, this.#changes) === changes) return owner
    }
  }

  /** The same for the IPv6 address at offset `at`. */
  find6(at: number): number {
    const i32 = this.#i32
    const first = this.#view.getInt32(at) ^ SIGN
    for (;;) {
      const changes = Atomics.load(i32, this.#changes)
      const copy = this.#copies + (changes & 1) * this.#copyWords
      const begins = copy + this.#begins6
      let low = 0
      let high = Atomics.load(i32, copy + 1)
      while (low < high) {
        const middle = (low + high) >>> 1
        const begin = begins + middle * IPV6_WORDS
        const word = Atomics.load(i32, begin)
        if (word < first || (word === first && this.#restBegins(begin, at))) low = middle + 1
        else high = middle
      }
      const owner = low === 0 ? FLOOD : Atomics.load(i32, copy + this.#owners6 + low - 1)
      if (Atomics.load(i32, this.#changes) === changes) return owner
    }
  }

  /** Whether a range that agrees in the first word begins at or before the address. */
  #restBegins(begin: number, at: number): boolean {
    for (let word = 1; word < IPV6_WORDS; word++) {
      const key = this.#view.getInt32(at + 4 * word) ^ SIGN
      const own = Atomics.load(this.#i32, begin + word)
      if (own !== key) return own < key
    }
    return true
  }

  #write(routes: readonly Route[], bytes: 4 | 16, count: number, begins: number, owners: number): void {
    const ranges = rangesOf(
      routes.filter(({ address }) => address.length === bytes),
      bytes * 8,
    )
    if (ranges.length > rangesFor(this.#limit)) {
      throw new RangeError(`there are more than ${this.#limit} prefixes of one family`)
    }
    const words = bytes / 4
    for (const [index, { begin, owner }] of ranges.entries()) {
      for (let word = 0; word < words; word++) {
        const shift = BigInt(32 * (words - 1 - word))
        const key = Number(BigInt.asIntN(32, begin >> shift)) ^ SIGN
        Atomics.store(this.#i32, begins + index * words + word, key)
      }
      Atomics.store(this.#i32, owners + index, owner)
    }
    Atomics.store(this.#i32, count, ranges.length)
  }
}

interface Range {
  readonly begin: bigint
  readonly owner: number
}

/** The ranges, ascending, that routes of one family cut its addresses of `bits` bits into. */
function rangesOf(routes: readonly Route[], bits: number): readonly Range[] {
  const prefixes = new Map<string, Prefix>()
  for (const route of routes) {
    const prefix = toPrefix(route, bits)
    prefixes.set(`${prefix.begin}/${prefix.length}`, prefix)
  }
  const sorted = [...prefixes.values()].sort((a, b) =>
    a.begin === b.begin ? a.length - b.length : a.begin < b.begin ? -1 : 1,
  )
  const ranges: Range[] = []
  const emit = (begin: bigint, owner: number) => {
    if (ranges.at(-1)?.begin === begin) ranges.pop()
    if ((ranges.at(-1)?.owner ?? FLOOD) !== owner) ranges.push({ begin, owner })
  }
  const open: Prefix[] = []
  const closeBefore = (begin: bigint) => {
    for (let top = open.at(-1); top !== undefined && top.end <= begin; top = open.at(-1)) {
      open.pop()
      emit(top.end, open.at(-1)?.peer ?? FLOOD)
    }
  }
  for (const prefix of sorted) {
    closeBefore(prefix.begin)
    emit(prefix.begin, prefix.peer)
    open.push(prefix)
  }
  const all = 1n << BigInt(bits)
  closeBefore(all)
  return ranges.filter(({ begin }) => begin < all)
}

interface Prefix {
  readonly begin: bigint
  /** The first address behind it. */
  readonly end: bigint
  readonly length: number
  readonly peer: number
}

function toPrefix({ address, prefixLength, peer }: Route, bits: number): Prefix {
  const size = 1n << BigInt(bits - prefixLength)
  let begin = 0n
  for (let index = 0; index < address.length; index++) begin = (begin << 8n) | BigInt(address[index])
  begin -= begin % size
  return { begin, end: begin + size, length: prefixLength, peer }
}

import type { NativeMemory } from '../linux/memory.js'
import { hashOf, maskOf, mix, type Prefix, prefixesOf, type Route } from './prefixes.js'
import { FLOOD } from './target.js'
import { TwoCopies } from './two-copies.js'

/**
 * Which peer an overlay address belongs to: longest-prefix match over the peers' prefixes, IPv4 and IPv6, in
 * shared memory. Main writes, workers read.
 *
 * Each family has a hash table of its prefixes, and a list of their lengths, longest first, with the masks. A
 * look-up applies each mask in turn and looks for the result in the table. Configured prefixes have only a few
 * lengths. So a look-up is a few probes, however many peers there are.
 *
 * Layout: a cache line with the number of changes, then two copies of both families' tables. A table is:
 * - the number of lengths;
 * - for each length: the length, and the mask in words;
 * - the places of the hash table.
 *
 * A place is the prefix in words, then a word with the owner and the prefix length. The owner is in bits 8 and
 * up, relative to {@link FLOOD}, so that 0 is no owner. At least half of the places are empty. A prefix that
 * collides goes into the next place.
 *
 * See {@link TwoCopies}. The number of changes and the hash table's words are read and written with Atomics, in one order for all
 * threads. A mask need not be, because the place that is probed depends on it.
 */
const LINE_WORDS = 16
const LENGTH_BITS = 8
const LENGTH_MASK = (1 << LENGTH_BITS) - 1

/** A family's part of a copy. Sizes and offsets in words, offsets from the copy's start. */
interface Family {
  /** Words of an address. */
  readonly words: number
  readonly lengths: number
  readonly masks: number
  readonly places: number
  /** Words from one place to the next. */
  readonly stride: number
  readonly end: number
}

function family(words: 1 | 4, at: number, places: number): Family {
  const masks = at + 1
  const table = masks + (words * 32 + 1) * (words + 1)
  const stride = words + 1
  return { words, lengths: at, masks, places: table, stride, end: table + places * stride }
}

function layout(routes: number): { places: number; ipv4: Family; ipv6: Family; copyWords: number } {
  const places = 2 ** Math.ceil(Math.log2(2 * routes))
  const ipv4 = family(1, 0, places)
  const ipv6 = family(4, ipv4.end, places)
  return { places, ipv4, ipv6, copyWords: (ipv6.end + LINE_WORDS - 1) & -LINE_WORDS }
}

/** Bytes of tables for up to `routes` routes of each family. */
export function routesBytes(routes: number): number {
  return 4 * (LINE_WORDS + 2 * layout(routes).copyWords)
}

export class Routes {
  readonly #view: DataView
  readonly #i32: Int32Array
  readonly #copies: TwoCopies
  readonly #limit: number
  readonly #ipv4: Family
  readonly #ipv6: Family
  /** The mask for the place numbers of both hash tables. */
  readonly #placeMask: number
  /** Main: what both copies have, of each family, by the prefixes as text. */
  #written: readonly (readonly [Map<string, Prefix>, Map<string, Prefix>])[] | undefined

  /**
   * @param at offset of {@link routesBytes} in `memory`, a multiple of 64
   * @param routes the most routes of each family
   */
  constructor(memory: NativeMemory, at: number, routes: number) {
    const { places, ipv4, ipv6, copyWords } = layout(routes)
    this.#view = memory.view
    this.#i32 = memory.i32
    this.#limit = routes
    this.#copies = new TwoCopies(memory.i32, at >>> 2, (at >>> 2) + LINE_WORDS, copyWords)
    this.#ipv4 = ipv4
    this.#ipv6 = ipv6
    this.#placeMask = places - 1
  }

  /**
   * Main: sets these routes and no others. Of two with the same prefix, the later one counts.
   * @throws RangeError if there are more of a family than there is room for
   */
  set(routes: readonly Route[]): void {
    const prefixes = [this.#ipv4, this.#ipv6].map((it) => prefixesOf(routes, it.words))
    if (prefixes.some(({ size }) => size > this.#limit))
      throw new RangeError(`there are more than ${this.#limit} prefixes of one family`)
    const next = this.#copies.changes + 1
    const copy = this.#copies.at(next)
    this.#written ??= [
      [new Map(), new Map()],
      [new Map(), new Map()],
    ]
    for (const [index, to] of [this.#ipv4, this.#ipv6].entries())
      this.#write(copy, to, this.#written[next & 1][index], prefixes[index])
    this.#copies.change()
  }

  /** While this number stays the same, {@link find4} and {@link find6} give the same results. */
  get changes(): number {
    return this.#copies.changes
  }

  /**
   * The row of the peer with the longest prefix of the IPv4 address at offset `at`, or {@link FLOOD} if there
   * is none.
   */
  find4(at: number): number {
    const i32 = this.#i32
    const copies = this.#copies
    const { masks, lengths, places } = this.#ipv4
    const key = this.#view.getInt32(at)
    for (;;) {
      const { changes } = copies
      const copy = copies.at(changes)
      const end = copy + masks + Atomics.load(i32, copy + lengths) * 2
      let found: number = FLOOD
      for (let mask = copy + masks; mask < end && found === FLOOD; mask += 2) {
        found = this.#probe4(copy + places, key & i32[mask + 1], i32[mask] & LENGTH_MASK)
      }
      if (copies.changes === changes) return found
    }
  }

  /** The same for the IPv6 address at offset `at`. */
  find6(at: number): number {
    const i32 = this.#i32
    const copies = this.#copies
    const { masks, lengths, places } = this.#ipv6
    const a = this.#view.getInt32(at)
    const b = this.#view.getInt32(at + 4)
    const c = this.#view.getInt32(at + 8)
    const d = this.#view.getInt32(at + 12)
    for (;;) {
      const { changes } = copies
      const copy = copies.at(changes)
      const end = copy + masks + Atomics.load(i32, copy + lengths) * 5
      let found: number = FLOOD
      for (let mask = copy + masks; mask < end && found === FLOOD; mask += 5) {
        found = this.#probe6(
          copy + places,
          a & i32[mask + 1],
          b & i32[mask + 2],
          c & i32[mask + 3],
          d & i32[mask + 4],
          i32[mask] & LENGTH_MASK,
        )
      }
      if (copies.changes === changes) return found
    }
  }

  #probe4(table: number, word: number, length: number): number {
    const i32 = this.#i32
    let place = mix(length, word)
    for (let tries = 0; tries <= this.#placeMask; tries++) {
      const at = table + (place++ & this.#placeMask) * 2
      const owner = Atomics.load(i32, at + 1)
      if (owner === 0) return FLOOD
      if ((owner & LENGTH_MASK) === length && Atomics.load(i32, at) === word)
        return (owner >>> LENGTH_BITS) + FLOOD
    }
    return FLOOD
  }

  #probe6(table: number, a: number, b: number, c: number, d: number, length: number): number {
    const i32 = this.#i32
    let place = mix(mix(mix(mix(length, a), b), c), d)
    for (let tries = 0; tries <= this.#placeMask; tries++) {
      const at = table + (place++ & this.#placeMask) * 5
      const owner = Atomics.load(i32, at + 4)
      if (owner === 0) return FLOOD
      if (
        (owner & LENGTH_MASK) === length &&
        Atomics.load(i32, at + 1) === b &&
        Atomics.load(i32, at + 2) === c &&
        Atomics.load(i32, at + 3) === d &&
        Atomics.load(i32, at) === a
      ) {
        return (owner >>> LENGTH_BITS) + FLOOD
      }
    }
    return FLOOD
  }

  /** Changes what is in a table to what is wanted. Nothing else of it is touched, because it may be very long. */
  #write(copy: number, to: Family, written: Map<string, Prefix>, wanted: ReadonlyMap<string, Prefix>): void {
    for (const [text, prefix] of written) {
      const now = wanted.get(text)
      if (now === prefix) continue
      if (now === undefined) this.#remove(copy, to, prefix)
      else this.#own(copy, to, now, this.#placeOf(copy, to, prefix))
      if (now === undefined) written.delete(text)
      else written.set(text, now)
    }
    for (const [text, prefix] of wanted) {
      if (written.has(text)) continue
      const place = this.#placeOf(copy, to, prefix)
      const at = this.#at(copy, to, place)
      for (let word = 0; word < to.words; word++) Atomics.store(this.#i32, at + word, prefix.key[word])
      this.#own(copy, to, prefix, place)
      written.set(text, prefix)
    }
    this.#writeLengths(copy, to, wanted)
  }

  #at(copy: number, to: Family, place: number): number {
    return copy + to.places + (place & this.#placeMask) * to.stride
  }

  /** The place of a prefix, or the empty one where it would be. */
  #placeOf(copy: number, to: Family, { key, length, hash }: Prefix): number {
    const i32 = this.#i32
    for (let place = hash; ; place++) {
      const at = this.#at(copy, to, place)
      const owner = i32[at + to.words]
      if (owner === 0) return place
      if ((owner & LENGTH_MASK) === length && key.every((word, index) => i32[at + index] === word))
        return place
    }
  }

  #own(copy: number, to: Family, { row, length }: Prefix, place: number): void {
    const owner = ((row - FLOOD) << LENGTH_BITS) | length
    Atomics.store(this.#i32, this.#at(copy, to, place) + to.words, owner)
  }

  /** Empties a place, and moves back what has collided with it (Knuth, The Art of Computer Programming, 6.4, R). */
  #remove(copy: number, to: Family, prefix: Prefix): void {
    const i32 = this.#i32
    const mask = this.#placeMask
    let empty = this.#placeOf(copy, to, prefix) & mask
    Atomics.store(i32, this.#at(copy, to, empty) + to.words, 0)
    for (let place = (empty + 1) & mask; ; place = (place + 1) & mask) {
      const at = this.#at(copy, to, place)
      const owner = i32[at + to.words]
      if (owner === 0) return
      const home = hashOf(i32.subarray(at, at + to.words), owner & LENGTH_MASK) & mask
      if (((place - home) & mask) < ((place - empty) & mask)) continue
      const target = this.#at(copy, to, empty)
      for (let word = 0; word < to.stride; word++) Atomics.store(i32, target + word, i32[at + word])
      Atomics.store(i32, at + to.words, 0)
      empty = place
    }
  }

  #writeLengths(
    copy: number,
    { words, stride, masks, lengths: count }: Family,
    wanted: ReadonlyMap<string, Prefix>,
  ): void {
    const i32 = this.#i32
    const used = new Set<number>()
    for (const { length } of wanted.values()) used.add(length)
    const lengths = [...used].sort((a, b) => b - a)
    for (const [index, length] of lengths.entries()) {
      const mask = copy + masks + index * stride
      Atomics.store(i32, mask, length)
      for (const [at, word] of maskOf(length, words).entries()) Atomics.store(i32, mask + 1 + at, word)
    }
    Atomics.store(i32, copy + count, lengths.length)
  }
}

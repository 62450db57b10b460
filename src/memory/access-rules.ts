import type { NativeMemory } from '../linux/memory.js'
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../wire/icmp.js'
import { TwoCopies } from './two-copies.js'

/**
 * Who may send to this host, in shared memory. Main writes, workers read.
 *
 * Layout: a cache line with the number of changes and the present second, then two copies. A copy is a cache line with
 * the number of entries, or {@link OFF}, and then the entries. An entry is:
 * - {@link ROW_WORDS} words: a bit for each row of a peer that it is about;
 * - the IP version, 0 for both; the destination's prefix and its mask, four words each;
 * - the protocol, {@link ANY}, or {@link ICMP_OF_VERSION};
 * - the first port and the last one; {@link ANY} as the first one: ports do not matter.
 *
 * See {@link TwoCopies}.
 */
export interface AccessEntry {
  readonly rows: Iterable<number>
  /** 0 for both. */
  readonly version: 0 | 4 | 6
  /** Four words; of IPv4, the first one counts. */
  readonly prefix: readonly number[]
  readonly mask: readonly number[]
  readonly protocol: number
  readonly firstPort: number
  readonly lastPort: number
}

export const ANY = -1

/** ICMP in a packet of IPv4, and ICMPv6 in one of IPv6. */
export const ICMP_OF_VERSION = 256

/** A row is less than this. */
export const MAX_ROWS = 32 * 128

/** So many entries fit. */
export const MAX_ENTRIES = 1_024

/** Instead of the number of entries: everybody may send everything. */
const OFF = -1

const LINE_WORDS = 16
/** Bits for {@link MAX_ROWS}. */
const ROW_WORDS = 128
const VERSION = ROW_WORDS
const PREFIX = VERSION + 1
const MASK = PREFIX + 4
const PROTOCOL = MASK + 4
const FIRST_PORT = PROTOCOL + 1
const LAST_PORT = FIRST_PORT + 1
const ENTRY_WORDS = LAST_PORT + 1
const COPY_WORDS = LINE_WORDS + ((MAX_ENTRIES * ENTRY_WORDS + LINE_WORDS - 1) & -LINE_WORDS)

const CHANGES = 0
const SECOND = 1

export const ACCESS_RULES_BYTES = 4 * (LINE_WORDS + 2 * COPY_WORDS)

/** What the rules look at in a packet. */
export interface Asked {
  /** 4 or 6. */
  readonly version: number
  readonly protocol: number
  /** The destination port, {@link ANY} if there is none. */
  readonly port: number
  /** The destination in words; of IPv4, the first one counts. */
  readonly destination: Int32Array
}

export class AccessRules {
  readonly #i32: Int32Array
  readonly #at: number
  readonly #copies: TwoCopies

  /** @param at offset of {@link ACCESS_RULES_BYTES} in `memory`, a multiple of 64 */
  constructor({ i32 }: NativeMemory, at: number) {
    this.#i32 = i32
    this.#at = at >>> 2
    this.#copies = new TwoCopies(i32, this.#at + CHANGES, this.#at + LINE_WORDS, COPY_WORDS)
  }

  /**
   * Main: these entries count from now on; undefined: everybody may send everything.
   * @throws RangeError if there are more than {@link MAX_ENTRIES}
   */
  set(entries: readonly AccessEntry[] | undefined): void {
    const count = entries?.length ?? OFF
    if (count > MAX_ENTRIES) throw new RangeError(`there are more than ${MAX_ENTRIES} entries`)
    const copy = this.#copies.at(this.changes + 1)
    for (const [index, entry] of (entries ?? []).entries())
      this.#write(copy + LINE_WORDS + index * ENTRY_WORDS, entry)
    // 0 entries and "off" must differ in memory that is all zero: nobody has said anything then.
    Atomics.store(this.#i32, copy, count - OFF)
    this.#copies.change()
  }

  /** Main, once a second: whole seconds since the start. */
  tick(second: number): void {
    Atomics.store(this.#i32, this.#at + SECOND, second)
  }

  get second(): number {
    return Atomics.load(this.#i32, this.#at + SECOND)
  }

  /** While this number stays the same, all answers do. */
  get changes(): number {
    return this.#copies.changes
  }

  get isOff(): boolean {
    return Atomics.load(this.#i32, this.#copies.at(this.changes)) + OFF === OFF
  }

  /** Whether the peer in `row` may send anything. */
  allowsSome(row: number): boolean {
    return this.#find(row, undefined)
  }

  /** Whether the peer in `row` may send such a packet. */
  allows(row: number, asked: Asked): boolean {
    return this.#find(row, asked)
  }

  #find(row: number, asked: Asked | undefined): boolean {
    const i32 = this.#i32
    for (;;) {
      const changes = this.changes
      const copy = this.#copies.at(changes)
      const count = Atomics.load(i32, copy) + OFF
      let found = count === OFF
      for (let index = 0; index < count && !found; index++) {
        const entry = copy + LINE_WORDS + index * ENTRY_WORDS
        found =
          (i32[entry + (row >>> 5)] & (1 << (row & 31))) !== 0 &&
          (asked === undefined || this.#matches(entry, asked))
      }
      if (this.changes === changes) return found
    }
  }

  #matches(entry: number, { version, protocol, port, destination }: Asked): boolean {
    const i32 = this.#i32
    const wanted = i32[entry + PROTOCOL]
    if (wanted === ICMP_OF_VERSION) {
      if (protocol !== (version === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) return false
    } else if (wanted !== ANY && wanted !== protocol) return false
    const first = i32[entry + FIRST_PORT]
    if (first !== ANY && (port < first || port > i32[entry + LAST_PORT])) return false
    const family = i32[entry + VERSION]
    if (family === 0) return true
    if (family !== version) return false
    const words = version === 4 ? 1 : 4
    for (let word = 0; word < words; word++)
      if ((destination[word] & i32[entry + MASK + word]) !== i32[entry + PREFIX + word]) return false
    return true
  }

  #write(at: number, entry: AccessEntry): void {
    const i32 = this.#i32
    i32.fill(0, at, at + ENTRY_WORDS)
    for (const row of entry.rows) i32[at + (row >>> 5)] |= 1 << (row & 31)
    i32[at + VERSION] = entry.version
    for (const [word, value] of entry.prefix.entries()) i32[at + PREFIX + word] = value
    for (const [word, value] of entry.mask.entries()) i32[at + MASK + word] = value
    i32[at + PROTOCOL] = entry.protocol
    i32[at + FIRST_PORT] = entry.firstPort
    i32[at + LAST_PORT] = entry.lastPort
  }
}

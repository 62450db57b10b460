import type { NativeMemory } from '../linux/memory.js'

/**
 * What the way to each peer carries, in shared memory: main writes it, whichever worker sends looks at it; and
 * the other way, what ICMP said to a worker of a datagram to that peer, and whether the kernel refused a run of
 * datagrams there. Rows are those of the peer table, four words each.
 */
const ROW_BYTES = 16
const WHOLE = 0
const FRAGMENTED = 1
const HINT = 2
const RUNS_REFUSED = 3

/** Of a way that nothing is known of. */
const NO_LIMIT = 0x7fffffff

/** A hint that says only that there was one: what would pass was not said. */
const HINT_UNKNOWN = 1

export function pathLimitBytes(rows: number): number {
  return rows * ROW_BYTES
}

export class PathLimits {
  readonly #i32: Int32Array
  readonly #word: number

  /** @param at offset of the rows in `memory`, a multiple of 16 */
  constructor(memory: NativeMemory, at: number) {
    this.#i32 = memory.i32
    this.#word = at >>> 2
  }

  /**
   * Main: what may be sent to peer `index`.
   * @param wholeBytes the longest frame that the path carries in one datagram, 0 where that is not known
   * @param fragmentedBytes the longest that may be sent in fragments instead
   */
  set(index: number, wholeBytes: number, fragmentedBytes: number): void {
    Atomics.store(this.#i32, this.#at(index) + FRAGMENTED, fragmentedBytes)
    Atomics.store(this.#i32, this.#at(index) + WHOLE, wholeBytes)
  }

  /** The longest frame that goes in one datagram. */
  whole(index: number): number {
    const bytes = this.#i32[this.#at(index) + WHOLE]
    return bytes === 0 ? NO_LIMIT : bytes
  }

  /** The longest frame that goes at all. */
  fragmented(index: number): number {
    return this.#i32[this.#at(index) + FRAGMENTED]
  }

  /** Worker: an ICMP error says that packets to peer `index` beyond `mtuBytes` do not pass, 0 for unsaid. */
  hint(index: number, mtuBytes: number): void {
    Atomics.store(this.#i32, this.#at(index) + HINT, Math.max(mtuBytes, HINT_UNKNOWN))
  }

  /** Main: the last such hint that was not taken yet, 0 for one that does not say what passes. */
  takeHint(index: number): number | undefined {
    const at = this.#at(index) + HINT
    if (this.#i32[at] === 0) return undefined
    const hint = Atomics.exchange(this.#i32, at, 0)
    return hint === HINT_UNKNOWN ? 0 : hint
  }

  /** Worker: the kernel takes no runs of datagrams (`UDP_SEGMENT`) on the way to peer `index`. */
  refuseRuns(index: number): void {
    Atomics.store(this.#i32, this.#at(index) + RUNS_REFUSED, 1)
  }

  /** Whether it takes them, as far as is known. */
  takesRuns(index: number): boolean {
    return this.#i32[this.#at(index) + RUNS_REFUSED] === 0
  }

  /** Main: the way to peer `index` is another one, where runs may be taken. */
  allowRuns(index: number): void {
    Atomics.store(this.#i32, this.#at(index) + RUNS_REFUSED, 0)
  }

  /** Main: the row is another peer's from now on, of whose way nothing is known. */
  forget(index: number): void {
    this.set(index, 0, 0)
    this.takeHint(index)
    this.allowRuns(index)
  }

  #at(index: number): number {
    return this.#word + index * (ROW_BYTES >>> 2)
  }
}

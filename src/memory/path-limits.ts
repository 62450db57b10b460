import type { NativeMemory } from '../linux/memory.js'

/**
 * What the path to each peer carries, in shared memory. Main writes the limits, and the worker that sends reads
 * them. In the other direction, a worker writes whether the kernel refused a run of datagrams there. The rows
 * are those of the peer table. A row has four words, of which one is unused.
 */
const ROW_BYTES = 16
const WHOLE = 0
const FRAGMENTED = 1
const RUNS_REFUSED = 2

/** For a path that nothing is known of. */
const NO_LIMIT = 0x7fffffff

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
   * @param wholeBytes the longest frame that the path carries in one datagram, 0 if not known
   * @param fragmentedBytes the longest frame that may be sent in fragments instead
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

  /** The longest frame that may be sent at all. */
  fragmented(index: number): number {
    return this.#i32[this.#at(index) + FRAGMENTED]
  }

  /** Worker: the kernel takes no runs of datagrams (`UDP_SEGMENT`) on the path to peer `index`. */
  refuseRuns(index: number): void {
    Atomics.store(this.#i32, this.#at(index) + RUNS_REFUSED, 1)
  }

  /** Whether the kernel takes runs there, as far as is known. */
  takesRuns(index: number): boolean {
    return this.#i32[this.#at(index) + RUNS_REFUSED] === 0
  }

  /** Main: the path to peer `index` is a new one, on which runs may be taken. */
  allowRuns(index: number): void {
    Atomics.store(this.#i32, this.#at(index) + RUNS_REFUSED, 0)
  }

  /** Main: the row belongs to another peer from now on, and nothing is known of its path. */
  forget(index: number): void {
    this.set(index, 0, 0)
    this.allowRuns(index)
  }

  #at(index: number): number {
    return this.#word + index * (ROW_BYTES >>> 2)
  }
}

import type { NativeMemory } from '../linux/memory.js'

/**
 * What the path to each peer carries, in shared memory. Main writes the limits, and the worker that sends reads
 * them. In the other direction, a worker writes whether the kernel refused a run of datagrams there. The rows
 * are those of the peer table. A row has four words.
 */
const ROW_BYTES = 16
const WHOLE = 0
const FRAGMENTED = 1
const RUNS_REFUSED = 2
const UNANSWERED = 3

/** For a path that nothing is known of. */
const NO_LIMIT = 0x7fffffff

/** Less than any frame. */
export const BLOCKED = -1

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
   * Main: what may be sent to the peer in this row.
   * @param wholeBytes the longest frame that the path carries in one datagram, 0 if not known
   * @param fragmentedBytes the longest frame that is sent in fragments instead
   * @param unansweredBytes the longest frame that is sent in fragments if its sender cannot be told that it is too
   *   long
   */
  set(row: number, wholeBytes: number, fragmentedBytes: number, unansweredBytes = 0): void {
    Atomics.store(this.#i32, this.#at(row) + UNANSWERED, unansweredBytes)
    Atomics.store(this.#i32, this.#at(row) + FRAGMENTED, fragmentedBytes)
    Atomics.store(this.#i32, this.#at(row) + WHOLE, wholeBytes)
  }

  /** Main: nothing may be sent to the peer in this row. */
  block(row: number): void {
    this.set(row, BLOCKED, 0)
  }

  /** The longest frame that goes in one datagram; {@link BLOCKED} if none may go. */
  whole(row: number): number {
    const bytes = this.#i32[this.#at(row) + WHOLE]
    return bytes === 0 ? NO_LIMIT : bytes
  }

  /** The longest frame that is sent in fragments, if not whole. */
  fragmented(row: number): number {
    return this.#i32[this.#at(row) + FRAGMENTED]
  }

  /** The longest frame that is sent in fragments if its sender cannot be told that it is too long. */
  unanswered(row: number): number {
    return this.#i32[this.#at(row) + UNANSWERED]
  }

  /** Worker: the kernel takes no runs of datagrams (`UDP_SEGMENT`) on the path to the peer in this row. */
  refuseRuns(row: number): void {
    Atomics.store(this.#i32, this.#at(row) + RUNS_REFUSED, 1)
  }

  /** Whether the kernel takes runs there, as far as is known. */
  takesRuns(row: number): boolean {
    return this.#i32[this.#at(row) + RUNS_REFUSED] === 0
  }

  /** Main: the path to the peer in this row is a new one, on which runs may be taken. */
  allowRuns(row: number): void {
    Atomics.store(this.#i32, this.#at(row) + RUNS_REFUSED, 0)
  }

  /** Main: the row belongs to another peer from now on, and nothing is known of its path. */
  forget(row: number): void {
    this.set(row, 0, 0)
    this.allowRuns(row)
  }

  #at(row: number): number {
    return this.#word + row * (ROW_BYTES >>> 2)
  }
}

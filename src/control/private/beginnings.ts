import type { Clock, Timer } from '../clock.js'

/** How many handshakes begin in one turn of the event loop, each of which takes a millisecond. */
const TURN_HANDSHAKES = 8

const TURN_MS = 1

/**
 * Begins handshakes, a few in each turn of the event loop. Many peers may be set at once, and whoever has set them waits.
 */
export class Beginnings {
  readonly #clock: Pick<Clock, 'after'>
  readonly #begin: (row: number) => void
  readonly #apart: (row: number, work: () => void) => void
  /** How many have begun in this turn. */
  #begun = 0
  /** The rows of those whose turn comes later. */
  readonly #waiting = new Set<number>()
  /** Ends the turn. */
  #turn: Timer | undefined

  /**
   * @param begin begins the handshake with the peer in one row
   * @param apart does the work for the peer in one row, and keeps its errors from the others
   */
  constructor(
    clock: Pick<Clock, 'after'>,
    begin: (row: number) => void,
    apart: (row: number, work: () => void) => void,
  ) {
    this.#clock = clock
    this.#begin = begin
    this.#apart = apart
  }

  /** Begins now, or in a later turn. */
  add(row: number): void {
    if (this.#begun < TURN_HANDSHAKES) {
      this.#begun++
      this.#begin(row)
    } else this.#waiting.add(row)
    this.#turn ??= this.#clock.after(TURN_MS, () => this.#next())
  }

  #next(): void {
    this.#turn = undefined
    this.#begun = 0
    const rows = [...this.#waiting]
    this.#waiting.clear()
    for (const row of rows) this.#apart(row, () => this.add(row))
  }

  close(): void {
    this.#turn?.cancel()
    this.#waiting.clear()
  }
}

/**
 * Which rows of a table are free. A row that has become free is the last to be taken again. But a table may be long, and
 * what is never used of it costs nothing. So a row that was never used is taken only if few others are free.
 */
export class FreeRows {
  readonly #rows: number
  readonly #least: number
  /** Those that were used before. The one that has been free the longest is first. */
  readonly #used: number[] = []
  #next = 0

  /**
   * @param rows of the table
   * @param least so many rows that were used before are free before one of them is used again, if there are enough rows
   */
  constructor(rows: number, least: number) {
    this.#rows = rows
    this.#least = least
  }

  /** Undefined if no row is free. */
  take(): number | undefined {
    if (this.#next < this.#rows && this.#used.length < this.#least) return this.#next++
    return this.#used.shift()
  }

  give(rows: readonly number[]): void {
    for (const row of rows) this.#used.push(row)
  }
}

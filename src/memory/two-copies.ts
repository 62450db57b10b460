/**
 * A table in shared memory that main replaces while workers read it: two copies, and the number of changes, whose lowest
 * bit says which copy is in use. A change is written to the other copy. Then the number is raised, which switches to that
 * copy. A reader that finds another number after its search looks again, because main may have written into what it read.
 */
export class TwoCopies {
  readonly #i32: Int32Array
  readonly #changes: number
  readonly #copies: number
  readonly #copyWords: number

  /**
   * @param changes the index of the word with the number of changes
   * @param copies the index of the first copy; the second one comes behind it
   */
  constructor(i32: Int32Array, changes: number, copies: number, copyWords: number) {
    this.#i32 = i32
    this.#changes = changes
    this.#copies = copies
    this.#copyWords = copyWords
  }

  /** While this number stays the same, so does the copy in use. */
  get changes(): number {
    return Atomics.load(this.#i32, this.#changes)
  }

  /** The index of the copy that is in use after so many changes. */
  at(changes: number): number {
    return this.#copies + (changes & 1) * this.#copyWords
  }

  /** Main: switches to the copy that is not in use. */
  change(): void {
    Atomics.store(this.#i32, this.#changes, this.changes + 1)
  }
}

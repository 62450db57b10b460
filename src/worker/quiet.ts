/** After so many sleeps in a row between which little came, or after so long a silence, a worker is quiet. */
const SLEEPS = 32
export const SILENCE_MS = 5

/** In as many turns as this in a row, or as many bytes of a record, more than a little comes. */
const TURNS = 4
const RECORD_BYTES = 4096

/** Whether little comes to a worker. One thread then serves both fds sooner than two. */
export class Quiet {
  #sleeps = 0
  #much = false

  /** Little has come for a while. */
  get lasts(): boolean {
    return this.#sleeps >= SLEEPS
  }

  /**
   * After each turn that does not sleep.
   * @param turns those since the last sleep
   * @param recordBytes length of the last record
   * @returns whether this was more than a little
   */
  turned(turns: number, recordBytes: number): boolean {
    if (turns < TURNS && recordBytes < RECORD_BYTES) return false
    this.#much = true
    return true
  }

  /** Before each sleep. */
  sleeps(): void {
    this.#sleeps = this.#much ? 0 : this.#sleeps + 1
    this.#much = false
  }

  /**
   * A sleep brought nothing. There is no branch, because the warm-up could take only one way.
   * @param isSilence whether it took {@link SILENCE_MS}
   */
  slept(isSilence: boolean): void {
    this.#sleeps = isSilence ? SLEEPS : this.#sleeps
  }
}

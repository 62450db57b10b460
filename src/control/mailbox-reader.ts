import type { Mailbox } from '../memory/mailbox.js'
import type { Clock, Timer } from './clock.js'
import type { FaultPlace, Faults } from './faults.js'

/** The pause before the next turn while there are more frames. */
const PAUSE_MS = 2

/**
 * Takes what the workers have put into a queue for main, a little in each turn of the event loop. An error with
 * one frame does not stop the others.
 */
export class MailboxReader {
  readonly #turn: () => boolean | undefined
  readonly #clock: Clock
  #timer: Timer | undefined
  #closed = false

  /**
   * @param place the place of faults in `each`
   * @param frames the most that are taken in one turn
   * @param each gets what {@link Mailbox.take} gives
   * @param after is called after each turn
   */
  constructor(
    clock: Clock,
    queue: Mailbox,
    faults: Faults,
    place: FaultPlace,
    frames: number,
    each: (row: number, head: Uint8Array, bytes: number) => void,
    after: () => void = () => {},
  ) {
    this.#clock = clock
    const take = (row: number, head: Uint8Array, bytes: number) =>
      faults.run(place, () => each(row, head, bytes))
    this.#turn = () => {
      const more = faults.run('worker', () => queue.take(frames, take))
      faults.run('worker', after)
      return more
    }
  }

  /** Must be called when a worker says that there is something. */
  wake(): void {
    if (this.#timer === undefined && !this.#closed) this.#read()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #read(): void {
    this.#timer = undefined
    // After a fault we do not know whether there is more, so we look again.
    if (this.#turn() !== false && !this.#closed) this.#timer = this.#clock.after(PAUSE_MS, () => this.#read())
  }
}

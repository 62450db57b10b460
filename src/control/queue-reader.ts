import type { ControlQueue } from '../memory/mailbox.js'
import type { FaultPlace, Faults } from './faults.js'

/** How long the next turn is put off while there are more frames. */
const PAUSE_MS = 2

/**
 * Takes what the workers have put into a queue for main, a little in each turn of the event loop. One that makes
 * trouble keeps the others from nothing.
 */
export class QueueReader {
  readonly #turn: () => boolean | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /**
   * @param place of what is taken
   * @param frames taken in one turn at the most
   * @param each is given what {@link ControlQueue.take} gives
   * @param after is called after each turn
   */
  constructor(
    queue: ControlQueue,
    faults: Faults,
    place: FaultPlace,
    frames: number,
    each: (peer: number, head: Uint8Array, bytes: number) => void,
    after: () => void = () => {},
  ) {
    const take = (peer: number, head: Uint8Array, bytes: number) =>
      faults.run(place, () => each(peer, head, bytes))
    this.#turn = () => {
      const more = faults.run('worker', () => queue.take(frames, take))
      faults.run('worker', after)
      return more
    }
  }

  /** To be called when a worker says that there is something. */
  wake(): void {
    if (this.#timer === undefined && !this.#closed) this.#read()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #read(): void {
    this.#timer = undefined
    // Where it is not known whether there is more, there may be.
    if (this.#turn() !== false && !this.#closed) this.#timer = setTimeout(() => this.#read(), PAUSE_MS)
  }
}

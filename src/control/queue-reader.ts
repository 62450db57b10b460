import type { ControlQueue } from '../forward/control-queue.js'

/** How long the next turn is put off while there are more frames. */
const PAUSE_MS = 2

/** Takes what the workers have put into a queue for main, a little in each turn of the event loop. */
export class QueueReader {
  readonly #turn: () => boolean
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /**
   * @param frames taken in one turn at the most
   * @param each is given what {@link ControlQueue.take} gives
   * @param after is called after each turn
   */
  constructor(
    queue: ControlQueue,
    frames: number,
    each: (peer: number, head: Uint8Array, bytes: number) => void,
    after: () => void = () => {},
  ) {
    this.#turn = () => {
      const more = queue.take(frames, each)
      after()
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
    if (this.#turn()) this.#timer = setTimeout(() => this.#read(), PAUSE_MS)
  }
}

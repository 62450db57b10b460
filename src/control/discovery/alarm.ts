import type { Clock } from '../clock.js'
import { deferred } from '../deferred.js'

/** Waits for a time, or until somebody rings. */
export class Alarm {
  readonly #clock: Pick<Clock, 'after'>
  #wake: (() => void) | undefined
  #hasRung = false

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  /** Whoever waits goes on at once. If nobody does, the next one does not wait. */
  ring(): void {
    this.#hasRung = true
    this.#wake?.()
  }

  /** What has rung so far is being looked at. */
  reset(): void {
    this.#hasRung = false
  }

  /** @returns whether it has rung */
  async wait(ms: number): Promise<boolean> {
    if (this.#hasRung) return true
    const { promise, resolve } = deferred<boolean>()
    this.#wake = () => resolve(true)
    const timer = this.#clock.after(ms, () => resolve(false))
    try {
      return await promise
    } finally {
      this.#wake = undefined
      timer.cancel()
    }
  }
}

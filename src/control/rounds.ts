import { UserError } from '../errors.js'
import { Epoch } from '../memory/epoch.js'
import { pause } from './clock.js'
import type { Platform } from './platform.js'

/** The first pause before the workers are rung for again. It doubles up to the second value. */
const FIRST_LOOK_MS = 1
const LAST_LOOK_MS = 16

export type RoundsPlatform = Pick<Platform, 'memory' | 'plan' | 'clock'> & {
  readonly workers: Pick<Platform['workers'], 'ring'>
}

/** Waits for both workers after a change of the shared memory. */
export class Rounds {
  readonly #platform: RoundsPlatform
  readonly #epoch: Epoch
  readonly #end = new AbortController()

  constructor(platform: RoundsPlatform) {
    const { memory, plan } = platform
    this.#platform = platform
    this.#epoch = new Epoch(memory, plan.state)
  }

  /** The error of whatever waits when the tunnel stops. */
  get reason(): unknown {
    return this.#end.signal.reason
  }

  /** @throws UserError when the tunnel stops */
  throwIfClosed(): void {
    this.#end.signal.throwIfAborted()
  }

  /** The tunnel stops. Nothing waits any more. */
  close(): void {
    this.#end.abort(new UserError('the tunnel stops'))
  }

  /**
   * Waits until both workers have seen what was changed before. A worker that has something in hand may have to be rung
   * for again. @throws UserError when the tunnel stops
   */
  async round(): Promise<void> {
    const number = this.#epoch.advance()
    const { workers } = this.#platform
    workers.ring()
    await this.until(
      () => this.#epoch.hasPassed(number),
      () => workers.ring(),
    )
  }

  /** @throws UserError when the tunnel stops */
  async until(done: () => boolean, again: () => void = () => {}): Promise<void> {
    const { signal } = this.#end
    for (let lookMs = FIRST_LOOK_MS; !done(); lookMs = Math.min(2 * lookMs, LAST_LOOK_MS)) {
      await pause(this.#platform.clock, lookMs, signal)
      again()
    }
    this.throwIfClosed()
  }
}

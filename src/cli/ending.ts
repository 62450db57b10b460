import type { Commands, Say } from '../command/server.js'
import type { Tunnel } from '../control/tunnel.js'
import { UserError } from '../errors.js'
import type { Asker, QuickTunnel } from './quick-tunnel.js'
import { refusalToStop, type Started } from './refusal-to-stop.js'

/** Somebody who waits for the end by the command `stop`. */
interface Waiting extends Asker {
  readonly done: (failure: unknown) => void
}

export interface EndingOptions {
  /** What is done by a file for wg-quick(8); undefined if the tunnel is not of one. */
  readonly quick: QuickTunnel | undefined
  readonly started: Started
  /** Ends a hook that runs. */
  readonly rush: AbortSignal
  /** Ends the tunnel, which then calls {@link Ending.finish}. */
  readonly ask: () => void
}

/** How a tunnel is saved and ended by commands, and what is done around its end. */
export class Ending {
  readonly #quick: QuickTunnel | undefined
  readonly #startedAs: Started
  readonly #rush: AbortSignal
  readonly #ask: () => void
  readonly #waiting = new Set<Waiting>()
  #tunnel: Tunnel | undefined
  /** Undefined if nobody has asked for the end yet. */
  #prepared: Promise<void> | undefined

  constructor({ quick, started, rush, ask }: EndingOptions) {
    this.#quick = quick
    this.#startedAs = started
    this.#rush = rush
    this.#ask = ask
  }

  /** The start is complete. */
  begin(tunnel: Tunnel): void {
    this.#tunnel = tunnel
  }

  readonly commands: Commands = {
    save: async ({ path }) => {
      if (this.#quick === undefined)
        throw new UserError(
          'this tunnel was not started from a file for wg-quick, so there is none to save it in',
        )
      await this.#quick.save(this.#running(path))
    },
    stop: async ({ path, directory, process }, say) => {
      const refusal = refusalToStop(this.#startedAs, typeof process === 'number' ? process : undefined)
      if (refusal !== undefined) throw new UserError(refusal)
      this.#running(path)
      const failure = await new Promise((done) => {
        const waiting = { say, done, directory: typeof directory === 'string' ? directory : undefined }
        this.#waiting.add(waiting)
        this.prepare().then(this.#ask, (error: unknown) => {
          this.#waiting.delete(waiting)
          done(error)
        })
      })
      if (failure !== undefined) throw failure
    },
  }

  /**
   * Runs PreDown, and writes the file if it asks for that; once, whoever asks.
   * @throws UserError; it can be asked for again then
   */
  prepare(): Promise<void> {
    this.#prepared ??= this.#prepare().catch((error: unknown) => {
      this.#prepared = undefined
      throw error
    })
    return this.#prepared
  }

  async #prepare(): Promise<void> {
    await this.#quick?.run('PreDown', this.#rush, this.#asker)
    await this.#quick?.saveAtEnd(this.#running())
  }

  /** The tunnel is gone. Runs PostDown. @throws UserError */
  async afterwards(): Promise<void> {
    await this.#quick?.run('PostDown', this.#rush, this.#asker)
  }

  /** All is done. Whoever waits is told, whatever has ended the tunnel. */
  finish(failure: unknown): void {
    for (const { done } of this.#waiting) done(failure)
  }

  /** All who wait now. Commands are run where the first of them is. */
  get #asker(): Asker {
    const [first] = this.#waiting
    const say: Say = (text) => {
      for (const waiting of this.#waiting) waiting.say(text)
    }
    return { directory: first?.directory, say }
  }

  /** @param path the file that a person means; a name stands for the tunnel's own @throws UserError */
  #running(path?: unknown): Tunnel {
    if (path !== undefined && path !== this.#quick?.path)
      throw new UserError(
        `this tunnel was started from ${this.#quick?.path ?? 'other settings'}, not from ${path}`,
      )
    if (this.#tunnel === undefined) throw new UserError('this tunnel is still starting; try again')
    return this.#tunnel
  }
}

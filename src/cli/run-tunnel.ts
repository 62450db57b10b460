import { answersWritten, type Commands, type Say } from '../command/server.js'
import { startTunnel } from '../control/assembly.js'
import type { Tunnel, TunnelOptions } from '../control/tunnel.js'
import { UserError } from '../errors.js'
import { end } from './fail.js'
import type { QuickTunnel } from './quick-tunnel.js'
import { onStarterGone, tellStarter } from './starter.js'
import { explainLimits } from './surroundings.js'

interface RunOptions extends Omit<TunnelOptions, 'platform' | 'signal' | 'commands'> {
  /** What is done by a file for wg-quick(8) around the tunnel. */
  readonly quick?: QuickTunnel | undefined
}

/** Why a tunnel ends, and who is told how that went. */
interface Asked {
  readonly by: string
  readonly say?: Say
  readonly done?: (failure: unknown) => void
}

/**
 * Runs a tunnel until a signal or a command asks for its end, and ends the program. With settings that can be read
 * again, SIGHUP does that; without, it means that the terminal is gone.
 * @throws UserError if it cannot start; any error with which it cannot go on
 */
export async function runTunnel({ quick, ...options }: RunOptions): Promise<never> {
  const { log, faults, reread } = options
  /** Ends the start, and then, at the second signal, a hook of the end. */
  const [abort, rush] = [new AbortController(), new AbortController()]
  const ends = ['SIGTERM', 'SIGINT', ...(reread === undefined ? (['SIGHUP'] as const) : [])] as const
  let ask: (asked: Asked) => void = () => {}
  const asked = new Promise<Asked>((resolve) => {
    ask = resolve
  })
  const stop = (signal: NodeJS.Signals) => {
    if (abort.signal.aborted) rush.abort()
    abort.abort()
    ask({ by: signal })
  }
  for (const signal of ends) process.on(signal, stop)
  void onStarterGone(() => stop('SIGHUP'))
  let reload = async () => {}
  if (reread !== undefined) process.on('SIGHUP', () => void reload())

  /** At the start, an error after a signal is its consequence. */
  const orEnd = (error: unknown) => {
    if (abort.signal.aborted) return end(0)
    throw explainLimits(error)
  }
  await quick?.run('PreUp', abort.signal).catch(orEnd)
  const ending = quick === undefined ? undefined : new Ending(quick, rush.signal, ask)
  const commands = ending?.commands ?? NO_FILE
  const tunnel = await startTunnel({ ...options, commands, signal: abort.signal }).catch(orEnd)
  reload = async () => {
    try {
      await tunnel.reload()
    } catch (error) {
      if (error instanceof UserError) log.warn(`not reloaded: ${error.message}`)
      else faults.take('reload', error)
    }
  }
  await quick?.run('PostUp', abort.signal).catch(async (error: unknown) => {
    await tunnel.stop()
    return orEnd(error)
  })
  ending?.begin(tunnel)
  await tellStarter({ up: true })

  const reason = await Promise.race([asked, tunnel.ended])
  const { by = undefined, say = undefined, done = undefined } = Object(reason) as Partial<Asked>
  let failure: unknown
  const note = (error: unknown) => {
    failure ??= error
  }
  // Without the device, what comes before its end makes no sense.
  if (by !== undefined) await ending?.prepare().catch(note)
  await tunnel.stop()
  await quick?.run('PostDown', rush.signal, say).catch(note)
  done?.(failure)
  await answersWritten()
  if (reason instanceof Error) throw reason
  if (failure !== undefined) throw failure
  log.info(by === undefined ? `${reason}, so this ends` : `stopped by ${by}`)
  return end(0)
}

/** The commands for a tunnel of a file for wg-quick(8), and what is done before it ends. */
class Ending {
  readonly #quick: QuickTunnel
  readonly #rush: AbortSignal
  readonly #ask: (asked: Asked) => void
  #tunnel: Tunnel | undefined
  /** Undefined if nobody has asked for the end yet. */
  #prepared: Promise<void> | undefined

  constructor(quick: QuickTunnel, rush: AbortSignal, ask: (asked: Asked) => void) {
    this.#quick = quick
    this.#rush = rush
    this.#ask = ask
  }

  /** The start is complete. */
  begin(tunnel: Tunnel): void {
    this.#tunnel = tunnel
  }

  readonly commands: Commands = {
    save: async ({ path }) => {
      await this.#quick.save(this.#started(path))
    },
    stop: async ({ path }, say) => {
      this.#started(path)
      if (this.#prepared !== undefined) throw new UserError('this tunnel is ending already')
      await this.prepare(say)
      const failure = await new Promise((done) => this.#ask({ by: 'udptun-fast down', say, done }))
      if (failure !== undefined) throw failure
    },
  }

  /**
   * Runs PreDown, and writes the file if it asks for that; once, whoever asks.
   * @throws UserError; it can be asked for again then
   */
  prepare(say?: Say): Promise<void> {
    this.#prepared ??= this.#prepare(say).catch((error: unknown) => {
      this.#prepared = undefined
      throw error
    })
    return this.#prepared
  }

  async #prepare(say: Say | undefined): Promise<void> {
    await this.#quick.run('PreDown', this.#rush, say)
    await this.#quick.saveAtEnd(this.#started())
  }

  /** @param path the file that a person means; a name stands for the tunnel's own @throws UserError */
  #started(path?: unknown): Tunnel {
    if (path !== undefined && path !== this.#quick.path)
      throw new UserError(`this tunnel was started from ${this.#quick.path}, not from ${path}`)
    if (this.#tunnel === undefined) throw new UserError('this tunnel is still starting; try again')
    return this.#tunnel
  }
}

const refuse = () => {
  throw new UserError(
    'this tunnel was not started from a file for wg-quick; end it where it was started, such as with Ctrl-C',
  )
}

const NO_FILE: Commands = { save: refuse, stop: refuse }

import { answersWritten } from '../command/server.js'
import { startTunnel } from '../control/assembly.js'
import { deferred } from '../control/deferred.js'
import type { TunnelOptions } from '../control/tunnel.js'
import { UserError } from '../errors.js'
import type { Observer } from '../observe/observer.js'
import type { Supervision } from '../service/supervision.js'
import { Ending } from './ending.js'
import { end } from './fail.js'
import type { QuickTunnel } from './quick-tunnel.js'
import { startedHere } from './refusal-to-stop.js'
import { onStarterGone, tellStarter } from './starter.js'
import { explainLimits } from './surroundings.js'

interface RunOptions extends Omit<TunnelOptions, 'platform' | 'signal' | 'commands'> {
  /** What is done by a file for wg-quick(8) around the tunnel. */
  readonly quick?: QuickTunnel | undefined
}

/** Why a tunnel ends: a signal, or a command. */
type Asked = { readonly signal: NodeJS.Signals } | { readonly command: string }

/** Only a service is worth the time to load what speaks to its manager. */
async function superviseIfService(): Promise<Supervision | undefined> {
  if (process.env.NOTIFY_SOCKET === undefined) return undefined
  return (await import('../service/supervision.js')).Supervision.fromEnvironment()
}

/** Metrics, too, are loaded only if somebody wants them. @throws UserError if they cannot be served there */
async function observerFor({ settings, faults }: Omit<RunOptions, 'quick'>): Promise<Observer | undefined> {
  if (settings.metrics === undefined) return undefined
  return (await import('../observe/observer.js')).Observer.open(settings.metrics, faults)
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
  const { promise: asked, resolve: ask } = deferred<Asked>()
  const stop = (signal: NodeJS.Signals) => {
    if (abort.signal.aborted) rush.abort()
    abort.abort()
    ask({ signal })
  }
  for (const signal of ends) process.on(signal, stop)
  void onStarterGone(() => stop('SIGHUP'))
  let reload = async () => {}
  if (reread !== undefined) process.on('SIGHUP', () => void reload())
  const supervision = await superviseIfService()
  const observer = await observerFor(options)

  /** At the start, an error after a signal is its consequence. */
  const orEnd = (error: unknown) => {
    observer?.close()
    if (abort.signal.aborted) return end(0)
    throw explainLimits(error)
  }
  await quick?.run('PreUp', abort.signal).catch(orEnd)
  const { settings, wgDevice } = options
  const ending = new Ending({
    quick,
    started: startedHere(quick !== undefined, wgDevice && settings.dev),
    rush: rush.signal,
    ask: () => ask({ command: 'udptun-fast down' }),
  })
  const { commands } = ending
  const tunnel = await startTunnel({ ...options, commands, signal: abort.signal }).catch(orEnd)
  const readFileAgain = async () => {
    try {
      await tunnel.reload()
    } catch (error) {
      if (error instanceof UserError) log.warn(`not reloaded: ${error.message}`)
      else faults.take('reload', error)
    }
  }
  reload = async () => {
    if (supervision === undefined) await readFileAgain()
    else await supervision.reload(readFileAgain)
  }
  await quick?.run('PostUp', abort.signal).catch(async (error: unknown) => {
    await tunnel.stop()
    return orEnd(error)
  })
  supervision?.up(tunnel, faults)
  observer?.attach(tunnel)
  if (observer !== undefined)
    log.info({ metrics: observer.where }, `metrics and health are served at ${observer.where}`)
  ending.begin(tunnel)
  await tellStarter({ up: true })

  const reason = await Promise.race([asked, tunnel.ended])
  supervision?.stopping()
  const isAsked = typeof reason === 'object' && !(reason instanceof Error)
  let failure: unknown
  const note = (error: unknown) => {
    failure ??= error
  }
  // Without the device, what comes before its end makes no sense.
  if (isAsked) await ending.prepare().catch(note)
  observer?.detach()
  await tunnel.stop().catch(note)
  observer?.close()
  await ending.afterwards().catch(note)
  ending.finish(failure)
  await answersWritten()
  if (reason instanceof Error) throw reason
  if (failure !== undefined) throw failure
  if (!isAsked) log.info(`${reason}, so this ends`)
  else log.info(reason, `stopped by ${'signal' in reason ? reason.signal : reason.command}`)
  return end(0)
}

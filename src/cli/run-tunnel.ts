import { startTunnel } from '../control/assembly.js'
import type { TunnelOptions } from '../control/tunnel.js'
import { UserError } from '../errors.js'
import type { Observer } from '../observe/observer.js'
import type { Supervision } from '../service/supervision.js'
import { end } from './fail.js'
import { onStarterGone, tellStarter } from './starter.js'
import { explainLimits } from './surroundings.js'

type RunOptions = Omit<TunnelOptions, 'platform' | 'signal'>

/** Only a service is worth the time to load what speaks to its manager. */
async function superviseIfService(): Promise<Supervision | undefined> {
  if (process.env.NOTIFY_SOCKET === undefined) return undefined
  return (await import('../service/supervision.js')).Supervision.fromEnvironment()
}

/** Metrics, too, are loaded only if somebody wants them. @throws UserError if they cannot be served there */
async function observerFor({ settings, faults }: RunOptions): Promise<Observer | undefined> {
  if (settings.metrics === undefined) return undefined
  return (await import('../observe/observer.js')).Observer.open(settings.metrics, faults)
}

/**
 * Runs a tunnel until a signal asks for its end, and ends the program. With settings that can be read again, SIGHUP does
 * that; without, it means that the terminal is gone.
 * @throws UserError if it cannot start; any error with which it cannot go on
 */
export async function runTunnel(options: RunOptions): Promise<never> {
  const { log, faults, reread } = options
  const abort = new AbortController()
  const ends = ['SIGTERM', 'SIGINT', ...(reread === undefined ? (['SIGHUP'] as const) : [])] as const
  const asked = new Promise<{ readonly signal: NodeJS.Signals }>((resolve) => {
    const stop = (signal: NodeJS.Signals) => {
      abort.abort()
      resolve({ signal })
    }
    for (const signal of ends) process.on(signal, stop)
    void onStarterGone(() => stop('SIGHUP'))
  })
  let reload = async () => {}
  if (reread !== undefined) process.on('SIGHUP', () => void reload())
  const supervision = await superviseIfService()
  const observer = await observerFor(options)
  const starting = startTunnel({ ...options, signal: abort.signal })
  const tunnel = await starting.catch((error: unknown) => {
    observer?.close()
    if (abort.signal.aborted) return end(0)
    throw explainLimits(error)
  })
  supervision?.up(tunnel, faults)
  observer?.attach(tunnel)
  if (observer !== undefined)
    log.info({ metrics: observer.where }, `metrics and health are served at ${observer.where}`)
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
  await tellStarter({ up: true })
  const reason = await Promise.race([asked, tunnel.ended])
  supervision?.stopping()
  observer?.detach()
  await tunnel.stop()
  observer?.close()
  if (reason instanceof Error) throw reason
  if (typeof reason === 'string') log.info(`${reason}, so this ends`)
  else log.info(reason, `stopped by ${reason.signal}`)
  return end(0)
}

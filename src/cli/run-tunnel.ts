import { startTunnel } from '../control/assembly.js'
import type { TunnelOptions } from '../control/tunnel.js'
import { UserError } from '../errors.js'
import { end } from './fail.js'
import { onStarterGone, tellStarter } from './starter.js'
import { explainLimits } from './surroundings.js'

/**
 * Runs a tunnel until a signal asks for its end, and ends the program. With settings that can be read again, SIGHUP does
 * that; without, it means that the terminal is gone.
 * @throws UserError if it cannot start; any error with which it cannot go on
 */
export async function runTunnel(options: Omit<TunnelOptions, 'platform' | 'signal'>): Promise<never> {
  const { log, faults, reread } = options
  const abort = new AbortController()
  const ends = ['SIGTERM', 'SIGINT', ...(reread === undefined ? (['SIGHUP'] as const) : [])] as const
  const asked = new Promise<{ readonly signal: NodeJS.Signals }>((resolve) => {
    const stop = (signal: NodeJS.Signals) => {
      abort.abort()
      resolve({ signal })
    }
    for (const signal of ends) process.on(signal, stop)
    onStarterGone(() => stop('SIGHUP'))
  })
  let reload = async () => {}
  if (reread !== undefined) process.on('SIGHUP', () => void reload())
  const starting = startTunnel({ ...options, signal: abort.signal })
  const tunnel = await starting.catch((error: unknown) => {
    if (abort.signal.aborted) return end(0)
    throw explainLimits(error)
  })
  reload = async () => {
    try {
      await tunnel.reload()
    } catch (error) {
      if (error instanceof UserError) log.warn(`not reloaded: ${error.message}`)
      else faults.take('reload', error)
    }
  }
  await tellStarter({ up: true })
  const reason = await Promise.race([asked, tunnel.ended])
  await tunnel.stop()
  if (reason instanceof Error) throw reason
  if (typeof reason === 'string') log.info(`${reason}, so this ends`)
  else log.info(reason, `stopped by ${reason.signal}`)
  return end(0)
}

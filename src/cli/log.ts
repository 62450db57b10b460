import { type Logger, pino } from 'pino'
import type { Settings } from '../config/schema.js'

/** The log on standard output: short and coloured on a terminal, a JSON object a line when piped or asked. */
export async function createLog({ log_level, json }: Pick<Settings, 'log_level' | 'json'>): Promise<Logger> {
  const options = { level: log_level, base: null }
  if (json || !process.stdout.isTTY) {
    return pino(
      { ...options, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination({ dest: 1, sync: true }),
    )
  }
  const { default: pretty } = await import('pino-pretty')
  return pino(
    options,
    pretty({ destination: 1, sync: true, hideObject: true, translateTime: 'SYS:HH:MM:ss' }),
  )
}

import { type DestinationStream, type Logger, pino } from 'pino'
import type { Settings } from '../config/schema.js'
import { withoutKeyRuns } from '../noise/key-text.js'

/** The log on standard output: short and coloured on a terminal, a JSON object a line when piped or asked. */
export async function createLog({ log_level, json }: Pick<Settings, 'log_level' | 'json'>): Promise<Logger> {
  const options = { level: log_level, base: null }
  if (json || !process.stdout.isTTY)
    return pino(
      { ...options, timestamp: pino.stdTimeFunctions.isoTime },
      withoutKeysInLines(pino.destination({ dest: 1, sync: true })),
    )
  const { default: pretty } = await import('pino-pretty')
  const lines = pretty({ destination: 1, sync: true, hideObject: true, translateTime: 'SYS:HH:MM:ss' })
  return pino(options, withoutKeysInLines(lines))
}

/** What is read again while the tunnel runs may have a key in it where none belongs. */
function withoutKeysInLines(lines: DestinationStream): DestinationStream {
  return { write: (line) => lines.write(withoutKeyRuns(line)) }
}

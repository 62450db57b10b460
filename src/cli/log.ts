import { Writable } from 'node:stream'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { Settings } from '../config/schema.js'
import { withoutKeyRuns } from '../key-text.js'

/** Most bytes that wait while nothing can be written (for example on a full disk). Further lines are lost. */
const WAITING_BYTES = 64 * 1024

/**
 * The log on standard output: short and coloured on a terminal; one JSON object per line in a pipe or on
 * request.
 * @param onError called with each write error. Such an error must not go further, because a failing log must
 * not end the program.
 */
export async function createLog(
  { log_level, json }: Pick<Settings, 'log_level' | 'json'>,
  onError: (error: Error) => void = () => {},
): Promise<Logger> {
  const options = { level: log_level, base: null }
  const output = pino.destination({ dest: 1, sync: true, maxLength: WAITING_BYTES })
  output.on('error', onError)
  output.on('drop', () => onError(new Error('a line was lost, for none can be written')))
  if (json || !process.stdout.isTTY)
    return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, withoutKeysInLines(output))
  const { default: pretty } = await import('pino-pretty')
  // Separates the two streams. Otherwise an error of one would end the other.
  const between = new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      output.write(line)
      done()
    },
  })
  const lines = pretty({ destination: between, sync: true, hideObject: true, translateTime: 'SYS:HH:MM:ss' })
  return pino(options, withoutKeysInLines(lines))
}

/** A file that is read again while the tunnel runs may contain a key in the wrong place. */
function withoutKeysInLines(lines: DestinationStream): DestinationStream {
  return { write: (line) => lines.write(withoutKeyRuns(line)) }
}

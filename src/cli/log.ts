import { Writable } from 'node:stream'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { Settings } from '../config/schema.js'
import { withoutKeyRuns } from '../key-text.js'

/** What waits at the most to be written, where nothing can be (a full disk, say): what comes then is lost. */
const WAITING_BYTES = 64 * 1024

/**
 * The log on standard output: short and coloured on a terminal, a JSON object a line when piped or asked.
 * @param onError called with each error of a write, which must not go on: what is said must not end who says it
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
  // Between the two, or an error of the one would end the other.
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

/** What is read again while the tunnel runs may have a key in it where none belongs. */
function withoutKeysInLines(lines: DestinationStream): DestinationStream {
  return { write: (line) => lines.write(withoutKeyRuns(line)) }
}

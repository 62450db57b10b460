import { isatty } from 'node:tty'
import { type LogFn, type Logger, pino } from 'pino'
import type { Settings } from '../config/schema.js'
import { type LostLines, noLostLines } from '../control/faults.js'
import { withoutKeyRuns } from '../key-text.js'
import { isJournal, journalLine } from './journal.js'
import { LineWriter } from './line-writer.js'

const STDOUT = 1

/** pino's level of a warning. */
const WARN = 40

/**
 * The log on standard output: short and coloured on a terminal; sentences with priorities in systemd's journal; one
 * JSON object per line in a pipe or on request. It never blocks, and never fails: see {@link LineWriter}.
 * @param lost where lines that are lost are counted
 * @param onWarning gets each sentence of a line that is a warning or worse
 */
export async function createLog(
  { log_level, json }: Pick<Settings, 'log_level' | 'json'>,
  lost: LostLines = noLostLines(),
  onWarning?: (sentence: string) => void,
): Promise<Logger> {
  const plain = json || !isatty(STDOUT)
  const options = { base: null, ...(plain && { timestamp: pino.stdTimeFunctions.isoTime }) }
  const pretty = await lineFormat(plain, json)
  // A file that is read again while the tunnel runs may contain a key in the wrong place.
  const format = (line: string) => pretty(withoutKeyRuns(line))
  let told = ''
  const teller = pino(options, {
    write(line: string) {
      told = format(line)
    },
  })
  const tell = (lines: number) => {
    teller.warn({ lines_lost: lines }, `lines of this log lost here: ${lines}; udptun-fast status says why`)
    return told
  }
  const writer = new LineWriter(STDOUT, { lost, tell })
  const hooks = onWarning === undefined ? undefined : { logMethod: telling(onWarning) }
  return pino(
    { ...options, ...(hooks && { hooks }), level: log_level },
    { write: (line: string) => writer.write(format(line)) },
  )
}

function telling(onWarning: (sentence: string) => void) {
  return function (this: Logger, args: Parameters<LogFn>, method: LogFn, level: number): void {
    if (level >= WARN) onWarning(String(args.findLast((it: unknown) => typeof it === 'string')))
    method.apply(this, args)
  }
}

/** @param plain whether people do not read it on a terminal @param json whether the settings want JSON */
async function lineFormat(plain: boolean, json: boolean): Promise<(line: string) => string> {
  if (isJournal(STDOUT)) return (line) => journalLine(line, json)
  return plain ? (line) => line : prettyLines()
}

async function prettyLines(): Promise<(line: string) => string> {
  // The package is CommonJS: bundled, it has only a default export.
  const { default: pretty } = await import('pino-pretty')
  return pretty.prettyFactory({ hideObject: true, translateTime: 'SYS:HH:MM:ss' })
}

import { UserError } from '../errors.js'
import { withoutKeys } from '../key-text.js'
import { exitNow } from '../linux/process.js'
import { stderrColors } from './colors.js'
import { errorLines } from './journal.js'
import { LineWriter, linesWritten } from './line-writer.js'
import { tellStarter } from './starter.js'

const STDERR = 2

/**
 * Ends the program with one sentence on standard error, and with the stack if UDPTUN_TRACE is set. Whoever
 * reads it may stand still, so that waits no longer than {@link linesWritten}. If a program waits for this one in the
 * background, that program prints the sentence.
 */
export async function fail(error: unknown): Promise<never> {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  const exitCode = error instanceof UserError ? error.exitCode : 1
  const stderr = new LineWriter(STDERR)
  const isTold = await tellStarter({ error: withoutKeys(message), exitCode })
  if (!isTold) stderr.write(errorLines(`${stderrColors.red('udptun-fast:')} ${withoutKeys(message)}\n`))
  if (process.env.UDPTUN_TRACE !== undefined) stderr.write(errorLines(`${withoutKeys(stack ?? '')}\n`))
  return end(exitCode)
}

/** Ends the program when all lines are written. */
export async function end(code: number): Promise<never> {
  await linesWritten()
  return exitNow(code)
}

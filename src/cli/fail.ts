import pc from 'picocolors'
import { UserError } from '../errors.js'
import { withoutKeys } from '../key-text.js'
import { exitNow } from '../linux/process.js'

/** Ends the program with one sentence on standard error, and with the stack if UDPTUN_TRACE is set. */
export function fail(error: unknown): never {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  process.stderr.write(`${pc.red('udptun-fast:')} ${withoutKeys(message)}\n`)
  if (process.env.UDPTUN_TRACE !== undefined) process.stderr.write(`${withoutKeys(stack ?? '')}\n`)
  exitNow(error instanceof UserError ? error.exitCode : 1)
}

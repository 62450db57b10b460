import { UserError } from '../errors.js'
import { exitNow } from '../linux/process.js'
import { fail } from './fail.js'

/**
 * Ends the program if standard output takes nothing more. That the reader of a pipe has closed it is no mistake.
 * Anything else is one, because the answer is lost: a full disk, for example.
 */
export function endIfOutputFails(): void {
  let failed = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') exitNow(0)
    // Every further line fails, too.
    if (!failed) void fail(outputFailure(error))
    failed = true
  })
}

/** What to tell a person. */
export function outputFailure({ code }: NodeJS.ErrnoException): UserError {
  const what = code === 'ENOSPC' ? 'nothing more fits there' : 'check where it goes'
  return new UserError(`standard output cannot be written (${code}): ${what}, and the answer is lost`)
}

/** Resolves when all that was printed is written. It never resolves if that fails: see {@link endIfOutputFails}. */
export function outputWritten(): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write('', (error) => {
      if (!error) resolve()
    })
  })
}

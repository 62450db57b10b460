import { statSync } from 'node:fs'
import { UserError } from '../errors.js'
import { limitOf, tooFewAddresses } from './limits.js'

/** Undefined if it has been deleted. */
export function workingDirectory(): string | undefined {
  try {
    return process.cwd()
  } catch {
    return undefined
  }
}

/** Node.js starts no thread without a working directory. @throws UserError */
export function requireWorkingDirectory(): void {
  if (workingDirectory() === undefined)
    throw new UserError('the working directory has been deleted; go to another one, such as with: cd /')
}

/**
 * A pipe or a FIFO may stop whoever opens or reads it, and a tunnel that runs must not stand still.
 * @throws UserError
 */
export function requireRereadable(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isFile() === false)
    throw new UserError(
      `${path} is not a regular file, so it can be read only at the start; for a reload, use a regular file`,
    )
}

/**
 * An error because the process may have too little address space, or too few threads, in words for a person. Any other
 * error stays as it is. WebAssembly reserves far more addresses than it uses memory.
 */
export function explainLimits(error: unknown): unknown {
  const { name, code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : NO_ERROR
  const isWorkers = /^ERR_WORKER_/.test(code ?? '')
  if (isWorkers && message.includes('EAGAIN')) return new UserError(NO_THREADS)
  if (name !== 'RangeError' && code !== 'ENOMEM' && !isWorkers) return error
  const limit = limitOf('Max address space')
  return limit === undefined ? error : new UserError(tooFewAddresses(limit))
}

const NO_ERROR = { name: '', code: '', message: '' }

const NO_THREADS =
  'no more threads can be started (EAGAIN), because a limit on processes is too low; raise it with: ulimit -u unlimited (systemd: TasksMax=infinity)'

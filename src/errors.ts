import { withoutKeys } from './key-text.js'

/**
 * An error that a person can mend. Its message is one sentence: what is wrong, with which value, and what to
 * do. It is printed as it is, without a stack trace. If a key was written in a wrong place, the message leaves
 * it out.
 */
export class UserError extends Error {
  /** 2 for a mistake in how the program was called, 1 for anything else. */
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(withoutKeys(message))
    this.name = 'UserError'
    this.exitCode = exitCode
  }
}

/** A mistake in the command line or the configuration file. */
export function usageError(message: string): UserError {
  return new UserError(message, 2)
}

/**
 * What `parse` returns. A RangeError has the rest of a sentence, about what a person wrote: it becomes a usage error.
 * @param what how the sentence begins, if it is not whole
 */
export function usageOf<T>(parse: () => T, what = ''): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof RangeError) throw usageError(`${what}${error.message}`)
    throw error
  }
}

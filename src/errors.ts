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

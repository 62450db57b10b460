import { constants } from 'node:os'
import { signalOnParentDeath } from '../../src/linux/process.js'

/** A person or the system has ended the run. */
export class Stopped extends Error {
  /** The same as in shells: 128 plus the number of the signal. */
  readonly exitCode: number

  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`stopped by ${signal}; no report was written`)
    this.exitCode = 128 + constants.signals[signal]
  }
}

/** Aborts if a person or the system ends the run. A second signal ends the run at once. */
export function abortOnSignals(): AbortSignal {
  if (process.env.npm_lifecycle_event === 'bench') signalOnParentDeath(constants.signals.SIGTERM)
  const abort = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      const stopped = new Stopped(name)
      if (abort.signal.aborted) process.exit(stopped.exitCode)
      abort.abort(stopped)
    })
  }
  return abort.signal
}

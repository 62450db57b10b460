import { constants } from 'node:os'
import { signalOnParentDeath } from '../../src/linux/process.js'

/** The person or the system ended the run. */
export class Stopped extends Error {
  /** As shells have it: 128 and the signal's number. */
  readonly exitCode: number

  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`stopped by ${signal}; no report was written`)
    this.exitCode = 128 + constants.signals[signal]
  }
}

/** Aborts when the person or the system ends the run; a second signal ends it at once. */
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

import type { Faults } from '../control/faults.js'
import type { TunnelSummary } from '../control/summary.js'
import { withoutKeyRuns } from '../key-text.js'
import { Notifier } from './notifier.js'
import { statusText } from './status-text.js'
import { watchdogPeriodMs } from './watchdog.js'

/** How often the status is compared with what the service manager was told. */
const LOOK_MS = 1_000

/** What the service manager is told of. */
export interface Watched {
  summary(): TunnelSummary
  /** Whether both workers have turned since the last call that returned true. */
  workersTurn(): boolean
}

/** Keeps the service manager informed, from the start of a tunnel to its end. */
export class Supervision {
  readonly #notifier: Notifier
  readonly #feedMs: number | undefined
  readonly #timers: NodeJS.Timeout[] = []
  #tunnel: Watched | undefined

  private constructor(notifier: Notifier, feedMs: number | undefined) {
    this.#notifier = notifier
    this.#feedMs = feedMs
    notifier.status('starting')
  }

  /** Undefined if no service manager that can be told has started this process. */
  static fromEnvironment(): Supervision | undefined {
    const notifier = Notifier.fromEnvironment()
    return notifier && new Supervision(notifier, watchdogPeriodMs(process.env, process.pid))
  }

  /** The tunnel is up. */
  up(tunnel: Watched, faults: Faults): void {
    this.#tunnel = tunnel
    const every = (ms: number, work: () => void) => {
      this.#timers.push(setInterval(() => faults.run('service', work), ms).unref())
    }
    this.#notifier.ready(this.#text())
    every(LOOK_MS, () => this.#notifier.status(this.#text()))
    if (this.#feedMs === undefined) return
    // Main turns if this timer runs.
    const feed = () => {
      if (tunnel.workersTurn()) this.#notifier.feed()
    }
    feed()
    every(this.#feedMs, feed)
  }

  /** @param work reads the file again. It must not throw */
  async reload(work: () => Promise<void>): Promise<void> {
    this.#notifier.reloading()
    await work()
    this.#notifier.ready(this.#text())
  }

  stopping(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#notifier.stopping()
  }

  #text(): string {
    return this.#tunnel === undefined ? 'starting' : withoutKeyRuns(statusText(this.#tunnel.summary()))
  }
}

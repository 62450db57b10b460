import type { Faults } from '../control/faults.js'
import type { TunnelSummary } from '../control/summary.js'
import { withoutKeyRuns } from '../key-text.js'
import type { Notifier } from './notifier.js'
import { statusText } from './status-text.js'

/** How often the status is compared with what the service manager was told. */
const LOOK_MS = 1_000

/** What the service manager is told of. */
export interface Watched {
  summary(): TunnelSummary
  /** Whether both workers have turned since the last call that returned true. */
  workersTurn(): boolean
}

/** Keeps the service manager informed while a tunnel runs. */
export class Supervision {
  readonly #notifier: Notifier
  readonly #tunnel: Watched
  readonly #faults: Faults
  readonly #timers: NodeJS.Timeout[] = []

  /**
   * Says that the tunnel is up.
   * @param feedMs how often the watchdog is fed; undefined if there is none
   */
  constructor(notifier: Notifier, tunnel: Watched, faults: Faults, feedMs: number | undefined) {
    this.#notifier = notifier
    this.#tunnel = tunnel
    this.#faults = faults
    notifier.ready(this.#text())
    this.#every(LOOK_MS, () => notifier.status(this.#text()))
    if (feedMs === undefined) return
    // Main turns if this timer runs.
    const feed = () => {
      if (tunnel.workersTurn()) notifier.feed()
    }
    feed()
    this.#every(feedMs, feed)
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
    return withoutKeyRuns(statusText(this.#tunnel.summary()))
  }

  #every(ms: number, work: () => void): void {
    this.#timers.push(setInterval(() => this.#faults.run('service', work), ms).unref())
  }
}

import type { Logger } from 'pino'

/** Where main is entered, and what it does there: the key that status has, and what is said of it to a person. */
export const FAULT_PLACES = {
  worker: 'taking what a worker says',
  control: 'taking a control frame',
  handshake: 'taking a handshake message',
  keys: "looking after a peer's keys",
  peer: 'looking after a peer',
  path_mtu: 'finding what a path carries',
  locate: 'finding where a peer is',
  routes: 'looking for other routes',
  icmp: 'hearing what ICMP says',
  underlay: 'asking what the underlay has dropped',
  device: 'looking after the device',
  addresses: 'forgetting old addresses',
  command: 'answering a command',
  reload: 'reading the settings again',
  log: 'writing this log',
} as const

export type FaultPlace = keyof typeof FAULT_PLACES

/** What status says of faults. */
export interface FaultStatus {
  readonly count: number
  /** Of those places where there were any. */
  readonly places: Readonly<Partial<Record<FaultPlace, number>>>
}

/** Different messages of one place that are said; all are counted. */
const MESSAGES = 16

/**
 * Keeps an error where it happened. Whatever calls main (a message, a timer, a socket, a promise) runs its work by
 * this, one peer's or one message's at a time, so that the rest gets its turn and the tunnel goes on. What was
 * thrown is counted, said once, and its stack is in the log at level debug.
 */
export class Faults {
  readonly #log: Pick<Logger, 'warn' | 'debug'>
  readonly #counts = new Map<FaultPlace, number>()
  readonly #said = new Map<FaultPlace, Set<string>>()
  #saying = false

  constructor(log: Pick<Logger, 'warn' | 'debug'>) {
    this.#log = log
  }

  /**
   * Does `work`.
   * @param about whom or what it is about, such as a peer's name
   * @returns what it returns, undefined where it has thrown
   */
  run<T>(place: FaultPlace, work: () => T, about?: string): T | undefined {
    try {
      return work()
    } catch (error) {
      this.take(place, error, about)
      return undefined
    }
  }

  /** Counts an error that has been caught, and says it. Never throws. */
  take(place: FaultPlace, error: unknown, about?: string): void {
    this.#counts.set(place, (this.#counts.get(place) ?? 0) + 1)
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    // An error of the log itself can come while one is being said.
    if (this.#saying || !this.#isNew(place, message)) return
    this.#saying = true
    try {
      const fields = about === undefined ? { place } : { place, about }
      const whom = about === undefined ? '' : ` (${about})`
      this.#log.warn(
        fields,
        `a fault in ${FAULT_PLACES[place]}${whom}: ${message}; the tunnel goes on; please report it, with what --log-level debug adds`,
      )
      this.#log.debug({ ...fields, stack }, `the stack of that fault: ${stack}`)
    } catch {
      // It is counted.
    } finally {
      this.#saying = false
    }
  }

  status(): FaultStatus {
    const count = [...this.#counts.values()].reduce((sum, each) => sum + each, 0)
    return { count, places: Object.fromEntries(this.#counts) }
  }

  #isNew(place: FaultPlace, message: string): boolean {
    const said = this.#said.get(place) ?? new Set()
    this.#said.set(place, said)
    if (said.has(message) || said.size === MESSAGES) return false
    said.add(message)
    return true
  }
}

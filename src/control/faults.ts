import type { Logger } from 'pino'

/**
 * The places where main is entered. The key is for the status; the value tells a person what main does there.
 */
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

/** What the status says of faults. */
export interface FaultStatus {
  readonly count: number
  /** Only the places that had faults. */
  readonly places: Readonly<Partial<Record<FaultPlace, number>>>
}

/** How many different messages of one place are logged. All faults are counted. */
const MESSAGES = 16

/**
 * Keeps an error where it happened. Main's work comes from messages, timers, sockets and promises. Each piece
 * of work, for one peer or one message, runs through this class. So the other work goes on after an error, and
 * so does the tunnel. An error is counted and logged once. At level debug, the log has its stack.
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
   * @param about what it is about, such as a peer's name
   * @returns what `work` returns; undefined if it threw an error
   */
  run<T>(place: FaultPlace, work: () => T, about?: string): T | undefined {
    try {
      return work()
    } catch (error) {
      this.take(place, error, about)
      return undefined
    }
  }

  /** Counts a caught error and logs it. Never throws. */
  take(place: FaultPlace, error: unknown, about?: string): void {
    this.#counts.set(place, (this.#counts.get(place) ?? 0) + 1)
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    // While an error is being logged, the log itself may fail.
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
      // The error has been counted.
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

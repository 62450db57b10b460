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
  datapath: "looking after the kernel's own datapath",
  addresses: 'forgetting old addresses',
  command: 'answering a command',
  reload: 'reading the settings again',
  service: 'telling the service manager how the tunnel is',
  metrics: 'telling metrics and health',
  introductions: 'the introductions of members',
  members: 'looking after the members that were invited',
} as const

export type FaultPlace = keyof typeof FAULT_PLACES

/** Why lines of the log were lost. The key is for the status; the value tells a person. */
export const LINE_LOSSES = {
  reader_slow: 'were not read in time',
  reader_gone: 'had no reader any more',
  no_space: 'found the disk full',
  write_failed: 'could not be written',
} as const

export type LineLoss = keyof typeof LINE_LOSSES

/** How many lines of the log were lost, by reason. The log's writer counts them. */
export type LostLines = Record<LineLoss, number>

export function noLostLines(): LostLines {
  return { reader_slow: 0, reader_gone: 0, no_space: 0, write_failed: 0 }
}

/** What the status says of faults. */
export interface FaultStatus {
  readonly count: number
  /** Only the places that had faults. */
  readonly places: Readonly<Partial<Record<FaultPlace, number>>>
  /** Lines that the log has lost. They are no faults. */
  readonly log_lines_lost: Readonly<LostLines>
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
  readonly #lostLines: LostLines

  constructor(log: Pick<Logger, 'warn' | 'debug'>, lostLines = noLostLines()) {
    this.#log = log
    this.#lostLines = lostLines
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
    if (!this.#isNew(place, message)) return
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
    }
  }

  status(): FaultStatus {
    const count = [...this.#counts.values()].reduce((sum, each) => sum + each, 0)
    return { count, places: Object.fromEntries(this.#counts), log_lines_lost: { ...this.#lostLines } }
  }

  #isNew(place: FaultPlace, message: string): boolean {
    const said = this.#said.get(place) ?? new Set()
    this.#said.set(place, said)
    if (said.has(message) || said.size === MESSAGES) return false
    said.add(message)
    return true
  }
}

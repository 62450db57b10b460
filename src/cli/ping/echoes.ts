import { setImmediate as turn } from 'node:timers/promises'
import type { PingOutcome } from '../../control/pings.js'
import { EMSGSIZE, errnoName, KernelError } from '../../linux/errno.js'
import { type EchoOptions, EchoSocket } from '../../linux/icmp.js'

/** How long it waits for replies before signals and timers get their turn. */
const SLICE_MS = 5

interface Waiting {
  readonly sentMs: number
  readonly deadlineMs: number
  readonly end: (outcome: PingOutcome) => void
}

/** Asks an address inside the tunnel by ICMP echo. Several requests may wait at once. */
export class Echoes {
  readonly #socket: EchoSocket
  readonly #waiting = new Map<number, Waiting>()
  #listens = false

  /** @throws KernelError */
  constructor(address: string, options: EchoOptions) {
    this.#socket = new EchoSocket(address, options)
  }

  ask(timeoutMs: number): Promise<PingOutcome> {
    const sentMs = performance.now()
    let sequence: number
    try {
      sequence = this.#socket.send()
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      const reason = error.errno === EMSGSIZE ? 'over_mtu' : errnoName(error.errno)
      return Promise.resolve({ answer: 'unsent', reason })
    }
    return new Promise((end) => {
      this.#waiting.set(sequence, { sentMs, deadlineMs: sentMs + timeoutMs, end })
      if (!this.#listens) void this.#listen()
    })
  }

  async #listen(): Promise<void> {
    this.#listens = true
    while (this.#waiting.size > 0) {
      const sequence = this.#socket.receive(SLICE_MS)
      const nowMs = performance.now()
      const { sentMs } = (sequence !== undefined && this.#waiting.get(sequence)) || {}
      if (sequence !== undefined && sentMs !== undefined)
        this.#end(sequence, { answer: 'answered', rtt_ms: nowMs - sentMs, path_mtu_back_bytes: null })
      for (const [late, { deadlineMs }] of this.#waiting)
        if (nowMs >= deadlineMs) this.#end(late, { answer: 'none' })
      await turn()
    }
    this.#listens = false
  }

  #end(sequence: number, outcome: PingOutcome): void {
    this.#waiting.get(sequence)?.end(outcome)
    this.#waiting.delete(sequence)
  }

  close(): void {
    this.#waiting.clear()
    this.#socket.close()
  }
}

import { outerBytes } from '../../encap/encap.js'
import { errnoName, KernelError } from '../../linux/errno.js'
import type { ProbeAnswer } from '../../linux/probe-socket.js'
import type { IpFamily } from '../../wire/ip.js'
import type { Clock, Timer } from '../clock.js'
import type { Probes } from '../network.js'
import type { Platform } from '../platform.js'
import { PathMtuTrace, type TraceProbe, type TraceResult } from './trace.js'

/**
 * traceroute uses these ports, and nothing listens on them. Firewalls that let traceroute through let these
 * through.
 */
const FIRST_PORT = 33_434
const PORTS = 256

/**
 * Node.js cannot poll this socket. While we wait for answers, we look at it this often. After {@link SOON_MS}
 * we look less often.
 */
const LOOK_MS = 3
const LATER_LOOK_MS = 15
const SOON_MS = 60

/** What became of one probe. */
export interface TraceEvent {
  /** The size of the whole IP packet. */
  readonly size_bytes: number
  readonly port: number
  /**
   * `arrived`: the far end received it. `too_big`: `from` refused it. `refused`: `from` sent another error.
   * `unsent`: this host would not send it. `none`: nobody answered.
   */
  readonly answer: 'arrived' | 'too_big' | 'refused' | 'unsent' | 'none'
  /** Who answered; null if it was this host itself, or nobody. */
  readonly from: string | null
  /** For `too_big`: the size that would pass, if the answer gives it. */
  readonly mtu_bytes: number | null
  /** For `refused` and `unsent`: an errno's name. */
  readonly error: string | null
  readonly took_ms: number
}

export interface TracerOptions {
  readonly clock: Clock
  readonly network: Pick<Platform['network'], 'openProbes'>
  readonly family: IpFamily
  readonly address: string
  /** The source address, if the kernel does not choose it. */
  readonly from?: string | undefined
  readonly ceilingBytes: number
  readonly estimateBytes?: number
  /** From 0 up to, and without, 1. */
  readonly random: () => number
  readonly onEvent?: (event: TraceEvent) => void
  /** Called with the size that somebody says passes, before we know that it does. */
  readonly onTold?: (mtuBytes: number) => void
  /** Called once, unless the tracer is closed before. */
  readonly onEnd: (result: TraceResult) => void
  /** Called instead of `onEnd` with an error that was thrown in a timer. The tracer is closed then. */
  readonly onFault: (error: unknown) => void
}

interface Sent extends TraceProbe {
  readonly port: number
}

/** Runs a {@link PathMtuTrace} over a probe socket, by timers. */
export class Tracer {
  readonly #options: TracerOptions
  readonly #socket: Probes
  readonly #trace: PathMtuTrace
  readonly #sent = new Map<number, Sent>()
  readonly #firstPort: number
  readonly #startedMs: number
  #timer: Timer
  #toldBytes: number | undefined
  #sentWhole = false
  #closed = false

  /** @throws KernelError; RangeError for an address whose zone names no interface */
  constructor(options: TracerOptions) {
    this.#options = options
    this.#firstPort = Math.floor(options.random() * PORTS)
    this.#startedMs = options.clock.nowMs()
    this.#socket = options.network.openProbes(options.family, options.address, options.from)
    this.#trace = new PathMtuTrace(options, this.#startedMs)
    this.#timer = options.clock.after(LOOK_MS, () => this.#turn())
  }

  /** Whether somebody has refused a size. */
  get refused(): boolean {
    return this.#trace.toldBytes !== undefined
  }

  /** Whether a packet of the full size has left this host. */
  get sentWhole(): boolean {
    return this.#sentWhole
  }

  close(): void {
    this.#closed = true
    this.#timer.cancel()
    this.#socket.close()
  }

  #turn(): void {
    try {
      this.#look()
    } catch (error) {
      if (!this.#closed) this.close()
      this.#options.onFault(error)
    }
  }

  #look(): void {
    for (let answer = this.#socket.next(); answer !== undefined; answer = this.#socket.next())
      this.#take(answer)
    for (const probe of this.#trace.poll(this.#options.clock.nowMs())) this.#send(probe)
    for (const sent of this.#sent.values()) {
      if (this.#trace.waitsFor(sent.id)) continue
      this.#tell(sent, 'none')
    }
    const { result, toldBytes } = this.#trace
    if (toldBytes !== this.#toldBytes && toldBytes !== undefined) this.#options.onTold?.(toldBytes)
    this.#toldBytes = toldBytes
    if (this.#closed) return
    if (result === undefined) {
      const lookMs = this.#options.clock.nowMs() - this.#startedMs < SOON_MS ? LOOK_MS : LATER_LOOK_MS
      this.#timer = this.#options.clock.after(lookMs, () => this.#turn())
      return
    }
    this.close()
    this.#options.onEnd(result)
  }

  #send(probe: TraceProbe): void {
    const { family } = this.#options
    const sent = { ...probe, port: FIRST_PORT + ((this.#firstPort + probe.id) % PORTS) }
    this.#sent.set(probe.id, sent)
    try {
      if (this.#socket.send(sent.port, probe.sizeBytes - outerBytes(family))) {
        this.#sentWhole ||= probe.sizeBytes === this.#options.ceilingBytes
        return
      }
      let mtuBytes = 0
      for (let answer = this.#socket.next(); answer !== undefined; answer = this.#socket.next()) {
        if (answer.kind === 'local') mtuBytes = answer.mtuBytes
        else this.#take(answer)
      }
      this.#tell(sent, 'too_big', { mtu_bytes: mtuBytes })
      this.#trace.tooBig(sent.id, mtuBytes)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      this.#tell(sent, 'unsent', { error: errnoName(error.errno) })
    }
  }

  #take(answer: ProbeAnswer): void {
    if (answer.kind === 'local') return
    const sent = [...this.#sent.values()].find(({ port }) => port === answer.port)
    if (sent === undefined) return
    const { from } = answer
    if (answer.kind === 'arrived') {
      this.#tell(sent, 'arrived', { from })
      this.#trace.arrived(sent.id, this.#options.clock.nowMs())
    } else if (answer.kind === 'too_big') {
      this.#tell(sent, 'too_big', { from, mtu_bytes: answer.mtuBytes })
      this.#trace.tooBig(sent.id, answer.mtuBytes)
    } else this.#tell(sent, 'refused', { from, error: errnoName(answer.errno) })
  }

  #tell(sent: Sent, answer: TraceEvent['answer'], more: Partial<TraceEvent> = {}): void {
    this.#sent.delete(sent.id)
    this.#options.onEvent?.({
      size_bytes: sent.sizeBytes,
      port: sent.port,
      answer,
      from: null,
      mtu_bytes: null,
      error: null,
      took_ms: this.#options.clock.nowMs() - sent.sentMs,
      ...more,
    })
  }
}

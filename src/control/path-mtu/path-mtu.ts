import { outerBytes } from '../../encap/encap.js'
import type { ControlMessage } from '../../wire/control.js'
import type { Timer } from '../clock.js'
import { PathMtuSearch, type Probe } from './search.js'
import type { TraceBasis } from './trace.js'
import { type Traced, Tracing, type TracingOptions } from './tracing.js'

/**
 * How the path MTU is known. `acknowledged`: the far end acknowledges packets of that size. `reached`, `told`:
 * only by ICMP (see trace.ts). `assumed`: it is the interface's MTU, because nothing better is known.
 * `previous`: it is that of the path before, to another address or by another router. `floor`: packets of even
 * the least size do not pass.
 */
export type PathMtuHow = 'acknowledged' | Exclude<TraceBasis, 'silent'> | 'assumed' | 'previous' | 'floor'

export interface PathMtuStatus {
  readonly bytes: number
  readonly how: PathMtuHow
  /** Seconds since this value was found; null while it is assumed. */
  readonly found_s: number | null
  /** Seconds since a packet of that size was last acknowledged; null if none is. */
  readonly confirmed_s: number | null
  /** The state of the search (RFC 8899, 5.2), or `tracing` while ICMP is asked. */
  readonly state: string
  /** Seconds until the next search. */
  readonly next_s: number
}

export interface PathMtuOptions extends TracingOptions {
  readonly newToken: () => bigint
  /** The egress interface's MTU. */
  readonly ceilingBytes: number
  /** The size in bytes of the IP packet that carries the shortest control frame. */
  readonly leastBytes: number
  /** The time between two searches; a random part is added or subtracted. */
  readonly refreshMs: number
  /**
   * Used until something is known of this path, or the search ends without a result. The default is the
   * ceiling.
   */
  readonly previousBytes?: number | undefined
  /**
   * Sends a control frame of `frameBytes` bytes in one datagram.
   * @returns false if the datagram may have been fragmented; the probe then tells nothing
   */
  readonly send: (message: ControlMessage, frameBytes: number | undefined) => boolean
  /** Called when {@link PathMtu.mtuBytes} or {@link PathMtu.how} has changed. */
  readonly onChange: () => void
  /** Called with an error that was thrown in a timer. The work is tried again after a pause. */
  readonly onFault: (error: unknown) => void
}

/** A later acknowledgement has no use any more. */
const FORGET_MS = 10_000
/**
 * The traces in a row that nobody answers, and in which nobody refuses the full size, until that size is used again. The
 * answers of one trace may be lost.
 */
const SILENT_TRACES = 2
/** The pause after a fault of this program. Without it, the fault would come again at once, and again. */
const FAULT_PAUSE_MS = 1_000

/**
 * Keeps the path MTU to one end up to date: by probes that the far end acknowledges, or else by ICMP. It tries
 * both at first. Once the far end has acknowledged, ICMP only gives hints.
 */
export class PathMtu {
  mtuBytes: number
  how: PathMtuHow
  readonly #options: PathMtuOptions
  readonly #search: PathMtuSearch
  /** The probes that are on their way, by token. */
  readonly #probes = new Map<bigint, Probe & { readonly frameBytes: number | undefined }>()
  readonly #tracing: Tracing
  /** What ICMP says of the path. */
  #traced: Traced | undefined
  /** Whether the last trace was begun to look again, and not by a hint. Anybody may forge hints. */
  #looksAgain = false
  #silentTraces = 0
  #foundMs: number | undefined
  /** Undefined as soon as anything is known, or the search has ended without a result. */
  #previous: number | undefined
  #ceiling: number
  #timer: Timer | undefined
  #closed = false

  constructor(options: PathMtuOptions) {
    this.#options = options
    this.#ceiling = options.ceilingBytes
    this.#previous = options.previousBytes
    ;[this.mtuBytes, this.how] = this.#unknown
    const { family, address, from, ceilingBytes, leastBytes, refreshMs, network, random } = options
    const estimateBytes = network.kernelPathMtu(family, address, from()) ?? ceilingBytes
    const sizes = { ceilingBytes, leastBytes, estimateBytes }
    this.#search = new PathMtuSearch({ family, ...sizes, refreshMs, random }, this.#nowMs)
    const onFault = (error: unknown) => this.#options.onFault(error)
    this.#tracing = new Tracing(options, (traced) => this.#takeTraced(traced), onFault)
    this.#tracing.start(this.#ceiling)
    this.#turn()
  }

  get #nowMs(): number {
    return this.#options.clock.nowMs()
  }

  /** Whether the far end acknowledges probes. If it does, ICMP decides nothing. */
  get #acknowledges(): boolean {
    const { state } = this.#search
    return state === 'searching' || state === 'complete' || state === 'error'
  }

  /** What is used while nothing is known. */
  get #unknown(): [mtuBytes: number, how: PathMtuHow] {
    if (this.#previous === undefined) return [this.#ceiling, 'assumed']
    return [Math.min(this.#previous, this.#ceiling), 'previous']
  }

  /** Whether the search has ended, so that no better value is to come soon. */
  get settled(): boolean {
    return !this.#tracing.runs && this.#search.doing === undefined
  }

  /**
   * The far end has answered a probe.
   * @returns how long it took in milliseconds, if it was a short one
   */
  answered({ token, sizeBytes }: ControlMessage): number | undefined {
    const probe = this.#probes.get(token)
    if (probe === undefined) return undefined
    this.#probes.delete(token)
    // Something on the way has changed the frame's length, so the answer tells nothing.
    if (probe.frameBytes !== undefined && probe.frameBytes !== sizeBytes) return undefined
    const nowMs = this.#nowMs
    this.#search.acknowledged(probe, nowMs)
    this.#run()
    return probe.sizeBytes === 0 ? nowMs - probe.sentMs : undefined
  }

  /** The far end has sent a control frame of `frameBytes` bytes. */
  heard(frameBytes: number): void {
    this.#search.heard(this.#nowMs)
    this.#search.larger(frameBytes + outerBytes(this.#options.family), this.#nowMs)
    this.#run()
  }

  /** Frames are being sent to the far end. */
  traffic(): void {
    this.#search.traffic(this.#nowMs)
    this.#run()
  }

  /**
   * An ICMP error that quotes a datagram to the far end says that at most `sizeBytes` pass; 0 if it gives no
   * size.
   */
  hint(sizeBytes: number): void {
    if (this.#acknowledges) this.#search.hint(sizeBytes, this.#nowMs)
    else if (sizeBytes < this.mtuBytes && this.#tracing.start(this.#ceiling)) this.#looksAgain = false
    this.#run()
  }

  /** Searches again, now. */
  refresh(): void {
    this.#tracing.skipPause()
    this.#search.refresh(this.#nowMs)
    this.#traceAgain()
    this.#run()
  }

  /** The way there is by another interface or router. What ICMP has said was about the way before. */
  rerouted(): void {
    this.#forgetTraced()
    this.refresh()
  }

  /** The egress interface's MTU, or the route, has changed. */
  setCeiling(ceilingBytes: number): void {
    if (ceilingBytes === this.#ceiling) return
    const traced = this.#traced
    // Then the interface was the limit, and nothing is known of what is above it.
    if (traced !== undefined && !traced.refused && traced.mtuBytes >= this.#ceiling) this.#forgetTraced()
    this.#ceiling = ceilingBytes
    this.#search.setCeiling(ceilingBytes, this.#nowMs)
    this.#tracing.skipPause()
    this.#traceAgain()
    this.#run()
  }

  #traceAgain(): void {
    if (!this.#acknowledges && this.#tracing.start(this.#ceiling)) this.#looksAgain = true
  }

  /** Until something is known of the path as it is now, what it carried before is used. */
  #forgetTraced(): void {
    if (this.#traced === undefined) return
    if (this.#traced.basis !== 'silent') this.#previous = this.mtuBytes
    this.#traced = undefined
  }

  status(): PathMtuStatus {
    const nowMs = this.#nowMs
    const { state, confirmedMs, refreshAtMs } = this.#search
    return {
      bytes: this.mtuBytes,
      how: this.how,
      found_s: this.#foundMs === undefined ? null : (nowMs - this.#foundMs) / 1000,
      confirmed_s: this.how === 'acknowledged' ? (nowMs - confirmedMs) / 1000 : null,
      state: this.#tracing.runs ? 'tracing' : state,
      next_s: Math.max(0, (refreshAtMs - nowMs) / 1000),
    }
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#tracing.stop()
  }

  /** {@link #run}, called by a timer. */
  #turn(): void {
    try {
      this.#run()
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  #run(): void {
    if (this.#closed) return
    let waitMs = FAULT_PAUSE_MS
    try {
      this.#goOn()
      waitMs = Math.max(1, Math.ceil(this.#search.nextMs - this.#nowMs))
    } finally {
      this.#timer?.cancel()
      // What was called may have closed it.
      if (!this.#closed)
        this.#timer = this.#options.clock.after(Math.min(waitMs, 2 ** 31 - 1), () => this.#turn())
    }
  }

  #goOn(): void {
    const nowMs = this.#nowMs
    const wasDue = nowMs >= this.#search.refreshAtMs
    const probes = this.#search.poll(nowMs)
    if (wasDue) this.#traceAgain()
    if (!probes.every((probe) => this.#send(probe))) this.#search.spoiled(nowMs)
    for (const [token, { sentMs }] of this.#probes) {
      if (nowMs - sentMs < FORGET_MS) break
      this.#probes.delete(token)
    }
    this.#take()
  }

  #send(probe: Probe): boolean {
    const { family, send, newToken } = this.#options
    const frameBytes = probe.sizeBytes === 0 ? undefined : probe.sizeBytes - outerBytes(family)
    const token = newToken()
    if (!send({ type: 'probe', token, sizeBytes: 0 }, frameBytes)) return false
    this.#probes.set(token, { ...probe, frameBytes })
    return true
  }

  /** Puts what is known now into use. */
  #take(): void {
    if (this.settled) this.#previous = undefined
    const [mtuBytes, how] = this.#known()
    if (how !== 'previous') this.#previous = undefined
    if (mtuBytes === this.mtuBytes && how === this.how) return
    this.mtuBytes = mtuBytes
    this.how = how
    this.#foundMs = how === 'assumed' ? undefined : this.#nowMs
    this.#options.onChange()
  }

  #known(): [mtuBytes: number, how: PathMtuHow] {
    const { mtuBytes, confirmed, state } = this.#search
    if (this.#acknowledges) {
      this.#tracing.stop()
      this.#traced = undefined
      if (confirmed) return [mtuBytes, 'acknowledged']
      return state === 'error' ? [mtuBytes, 'floor'] : [Math.min(this.mtuBytes, this.#ceiling), this.how]
    }
    if (this.#traced !== undefined && this.#traced.basis !== 'silent')
      return [Math.min(this.#traced.mtuBytes, this.#ceiling), this.#traced.basis]
    return confirmed ? [mtuBytes, 'acknowledged'] : this.#unknown
  }

  #takeTraced(traced: Traced): void {
    if (this.#acknowledges) return
    if (traced.basis !== 'silent') this.#silentTraces = 0
    // A smaller value is used at once, even if the trace goes on.
    if (!traced.ended && traced.mtuBytes >= this.mtuBytes) return
    if (traced.basis === 'silent' && !this.#outlasts(traced)) return
    this.#traced = traced
    this.#take()
  }

  /**
   * Whether a trace that nobody has answered is more than what ICMP said before. If the answers were lost, or this host
   * sent nothing, that is still right. But who refused a size would refuse it again.
   */
  #outlasts({ sentWhole }: Traced): boolean {
    if (this.#traced === undefined) return true
    if (!this.#traced.refused || this.#traced.mtuBytes >= this.#ceiling) return false
    if (!this.#looksAgain || !sentWhole) return false
    this.#silentTraces++
    return this.#silentTraces >= SILENT_TRACES
  }
}

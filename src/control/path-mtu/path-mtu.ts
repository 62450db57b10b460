import { kernelPathMtu } from '../../linux/probe-socket.js'
import type { ControlMessage } from '../../wire/control.js'
import type { IpFamily } from '../../wire/ip.js'
import { newToken } from '../control-channel.js'
import { PathMtuSearch, type Probe } from './search.js'
import { headersBytes } from './sizes.js'
import type { TraceBasis, TraceResult } from './trace.js'
import { Tracer } from './tracer.js'

/**
 * How the path MTU is known. `acknowledged`: the far end acknowledges packets of that size. `reached`, `told`:
 * only by ICMP (see trace.ts). `assumed`: it is the interface's MTU, because nothing better is known.
 * `previous`: it is that of the path to the peer's address before. `floor`: packets of even the least size do
 * not pass.
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

export interface PathMtuOptions {
  readonly family: IpFamily
  readonly address: string
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
/** The least time between two traces by ICMP, even if hints come. */
const TRACE_PAUSE_MS = 2_000
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
  #tracer: Tracer | undefined
  #tracedMs = Number.NEGATIVE_INFINITY
  #traced: TraceResult | undefined
  #foundMs: number | undefined
  /** Undefined as soon as anything is known, or the search has ended without a result. */
  #previous: number | undefined
  #ceiling: number
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: PathMtuOptions) {
    this.#options = options
    this.#ceiling = options.ceilingBytes
    this.#previous = options.previousBytes
    ;[this.mtuBytes, this.how] = this.#unknown
    const { family, address, ceilingBytes, leastBytes, refreshMs } = options
    const estimateBytes = kernelPathMtu(family, address) ?? ceilingBytes
    const sizes = { ceilingBytes, leastBytes, estimateBytes }
    this.#search = new PathMtuSearch({ family, ...sizes, refreshMs }, performance.now())
    this.#trace()
    this.#turn()
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
    return this.#tracer === undefined && this.#search.doing === undefined
  }

  /** The far end has answered a probe. */
  answered({ token, sizeBytes }: ControlMessage): void {
    const probe = this.#probes.get(token)
    if (probe === undefined) return
    this.#probes.delete(token)
    // Something on the way has changed the frame's length, so the answer tells nothing.
    if (probe.frameBytes !== undefined && probe.frameBytes !== sizeBytes) return
    this.#search.acknowledged(probe, performance.now())
    this.#run()
  }

  /** The far end has sent a control frame of `frameBytes` bytes. */
  heard(frameBytes: number): void {
    this.#search.heard(performance.now())
    this.#search.larger(frameBytes + headersBytes(this.#options.family), performance.now())
    this.#run()
  }

  /** Frames are being sent to the far end. */
  traffic(): void {
    this.#search.traffic(performance.now())
    this.#run()
  }

  /**
   * An ICMP error that quotes a datagram to the far end says that at most `sizeBytes` pass; 0 if it gives no
   * size.
   */
  hint(sizeBytes: number): void {
    if (this.#acknowledges) this.#search.hint(sizeBytes, performance.now())
    else if (sizeBytes < this.mtuBytes) this.#trace()
    this.#run()
  }

  /** Searches again, now. */
  refresh(): void {
    this.#tracedMs = Number.NEGATIVE_INFINITY
    this.#search.refresh(performance.now())
    if (!this.#acknowledges) this.#trace()
    this.#run()
  }

  /** The egress interface's MTU, or the route, has changed. */
  setCeiling(ceilingBytes: number): void {
    if (ceilingBytes === this.#ceiling) return
    this.#ceiling = ceilingBytes
    this.#search.setCeiling(ceilingBytes, performance.now())
    this.#tracedMs = Number.NEGATIVE_INFINITY
    if (!this.#acknowledges) this.#trace()
    this.#run()
  }

  status(): PathMtuStatus {
    const nowMs = performance.now()
    const { state, confirmedMs, refreshAtMs } = this.#search
    return {
      bytes: this.mtuBytes,
      how: this.how,
      found_s: this.#foundMs === undefined ? null : (nowMs - this.#foundMs) / 1000,
      confirmed_s: this.how === 'acknowledged' ? (nowMs - confirmedMs) / 1000 : null,
      state: this.#tracer === undefined ? state : 'tracing',
      next_s: Math.max(0, (refreshAtMs - nowMs) / 1000),
    }
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#tracer?.close()
    this.#tracer = undefined
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
      waitMs = Math.max(1, Math.ceil(this.#search.nextMs - performance.now()))
    } finally {
      clearTimeout(this.#timer)
      // What was called may have closed it.
      if (!this.#closed) this.#timer = setTimeout(() => this.#turn(), Math.min(waitMs, 2 ** 31 - 1))
    }
  }

  #goOn(): void {
    const nowMs = performance.now()
    const wasDue = nowMs >= this.#search.refreshAtMs
    const probes = this.#search.poll(nowMs)
    if (wasDue && !this.#acknowledges) this.#trace()
    if (!probes.every((probe) => this.#send(probe))) this.#search.spoiled(nowMs)
    for (const [token, { sentMs }] of this.#probes) {
      if (nowMs - sentMs < FORGET_MS) break
      this.#probes.delete(token)
    }
    this.#take()
  }

  #send(probe: Probe): boolean {
    const { family, send } = this.#options
    const frameBytes = probe.sizeBytes === 0 ? undefined : probe.sizeBytes - headersBytes(family)
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
    this.#foundMs = how === 'assumed' ? undefined : performance.now()
    this.#options.onChange()
  }

  #known(): [mtuBytes: number, how: PathMtuHow] {
    const { mtuBytes, confirmed, state } = this.#search
    if (this.#acknowledges) {
      if (this.#tracer !== undefined) {
        this.#tracer.close()
        this.#tracer = undefined
      }
      this.#traced = undefined
      if (confirmed) return [mtuBytes, 'acknowledged']
      return state === 'error' ? [mtuBytes, 'floor'] : [Math.min(this.mtuBytes, this.#ceiling), this.how]
    }
    if (this.#traced !== undefined && this.#traced.basis !== 'silent')
      return [Math.min(this.#traced.mtuBytes, this.#ceiling), this.#traced.basis]
    return confirmed ? [mtuBytes, 'acknowledged'] : this.#unknown
  }

  #trace(): void {
    const nowMs = performance.now()
    if (this.#tracer !== undefined || nowMs < this.#tracedMs + TRACE_PAUSE_MS) return
    this.#tracedMs = nowMs
    const { family, address } = this.#options
    const ceilingBytes = this.#ceiling
    // The interface is too narrow even for the headers of a datagram.
    if (ceilingBytes < headersBytes(family)) return
    const estimateBytes = kernelPathMtu(family, address) ?? ceilingBytes
    const onTold = (mtuBytes: number) => this.#told(mtuBytes)
    const onEnd = (result: TraceResult) => this.#traceEnded(result)
    const onFault = (error: unknown) => {
      this.#tracer = undefined
      this.#options.onFault(error)
    }
    try {
      this.#tracer = new Tracer({ family, address, ceilingBytes, estimateBytes, onTold, onEnd, onFault })
    } catch (error) {
      // The interface of the address's zone is gone. We try again when there is another one.
      if (!(error instanceof RangeError)) onFault(error)
    }
  }

  /** Takes a smaller value at once. */
  #told(mtuBytes: number): void {
    if (this.#acknowledges || mtuBytes >= this.mtuBytes) return
    this.#traced = { mtuBytes, basis: 'told' }
    this.#take()
  }

  #traceEnded(result: TraceResult): void {
    this.#tracer = undefined
    // If nobody answers this time, what ICMP said before is still right.
    if (this.#acknowledges || (result.basis === 'silent' && this.#traced !== undefined)) return
    this.#traced = result
    this.#take()
  }
}

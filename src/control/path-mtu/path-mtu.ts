import { kernelPathMtu } from '../../linux/probe-socket.js'
import type { ControlMessage } from '../../wire/control.js'
import type { IpFamily } from '../../wire/ip.js'
import { newToken } from '../control-channel.js'
import { PathMtuSearch, type Probe } from './search.js'
import { headersBytes } from './sizes.js'
import type { TraceBasis, TraceResult } from './trace.js'
import { Tracer } from './tracer.js'

/**
 * How the path MTU is known. `acknowledged`: packets of that size are, by the far end; `reached`, `told`: by ICMP
 * alone (see trace.ts); `assumed`: it is the interface's MTU, for want of anything better; `previous`: it is that of
 * the path to where the peer was before; `floor`: packets of even the least size do not pass.
 */
export type PathMtuHow = 'acknowledged' | Exclude<TraceBasis, 'silent'> | 'assumed' | 'previous' | 'floor'

export interface PathMtuStatus {
  readonly bytes: number
  readonly how: PathMtuHow
  /** Seconds since it was found to be so much; null while it is assumed. */
  readonly found_s: number | null
  /** Seconds since a packet of that size was last acknowledged; null where none are. */
  readonly confirmed_s: number | null
  /** What is being done: the state of the search (RFC 8899, 5.2), or `tracing` where ICMP is asked. */
  readonly state: string
  /** Seconds until it is looked for again. */
  readonly next_s: number
}

export interface PathMtuOptions {
  readonly family: IpFamily
  readonly address: string
  /** The egress interface's MTU. */
  readonly ceilingBytes: number
  /** After so long it is looked for again, more or less. */
  readonly refreshMs: number
  /** What holds until something is known of this path, or nothing can be; without, the ceiling. */
  readonly previousBytes?: number | undefined
  /**
   * Sends a control frame of so many bytes, whole.
   * @returns false where it might have been fragmented: then it tells nothing
   */
  readonly send: (message: ControlMessage, frameBytes: number | undefined) => boolean
  /** Called when {@link PathMtu.mtuBytes} or how it is known has changed. */
  readonly onChange: () => void
}

/** An acknowledgement that comes later than this is for nothing that still matters. */
const FORGET_MS = 10_000
/** ICMP is asked again so often at the most, whatever hints come. */
const TRACE_PAUSE_MS = 2_000

/**
 * The path MTU to one end, kept fresh: by the probes that it acknowledges, or, where it does not, by ICMP. Both
 * are tried at first; once it has acknowledged, ICMP only gives hints.
 */
export class PathMtu {
  mtuBytes: number
  how: PathMtuHow
  readonly #options: PathMtuOptions
  readonly #search: PathMtuSearch
  /** Probes on their way, by their tokens. */
  readonly #probes = new Map<bigint, Probe & { readonly frameBytes: number | undefined }>()
  #tracer: Tracer | undefined
  #tracedMs = Number.NEGATIVE_INFINITY
  #traced: TraceResult | undefined
  #foundMs: number | undefined
  /** Undefined as soon as anything is known, or was looked for in vain. */
  #previous: number | undefined
  #ceiling: number
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: PathMtuOptions) {
    this.#options = options
    this.#ceiling = options.ceilingBytes
    this.#previous = options.previousBytes
    ;[this.mtuBytes, this.how] = this.#unknown
    const { family, address, ceilingBytes, refreshMs } = options
    const estimateBytes = kernelPathMtu(family, address) ?? ceilingBytes
    this.#search = new PathMtuSearch({ family, ceilingBytes, estimateBytes, refreshMs }, performance.now())
    this.#trace()
    this.#run()
  }

  /** Whether the far end acknowledges, so that ICMP decides nothing. */
  get #acknowledges(): boolean {
    const { state } = this.#search
    return state === 'searching' || state === 'complete' || state === 'error'
  }

  /** What holds while nothing is known. */
  get #unknown(): [mtuBytes: number, how: PathMtuHow] {
    if (this.#previous === undefined) return [this.#ceiling, 'assumed']
    return [Math.min(this.#previous, this.#ceiling), 'previous']
  }

  /** Whether what is known now is as good as it gets. */
  get settled(): boolean {
    return this.#tracer === undefined && this.#search.doing === undefined
  }

  /** The far end has answered a probe. */
  answered({ token, sizeBytes }: ControlMessage): void {
    const probe = this.#probes.get(token)
    if (probe === undefined) return
    this.#probes.delete(token)
    // Something on the way has changed its length: it says nothing.
    if (probe.frameBytes !== undefined && probe.frameBytes !== sizeBytes) return
    this.#search.acknowledged(probe, performance.now())
    this.#run()
  }

  /** The far end has sent a control frame of so many bytes. */
  heard(frameBytes: number): void {
    this.#search.heard(performance.now())
    this.#search.larger(frameBytes + headersBytes(this.#options.family), performance.now())
    this.#run()
  }

  /** Frames go to the far end. */
  traffic(): void {
    this.#search.traffic(performance.now())
    this.#run()
  }

  /** An ICMP error that quotes a datagram to the far end says that no more than so many bytes pass, or 0. */
  hint(sizeBytes: number): void {
    if (this.#acknowledges) this.#search.hint(sizeBytes, performance.now())
    else if (sizeBytes < this.mtuBytes) this.#trace()
    this.#run()
  }

  /** Looks again, now. */
  refresh(): void {
    this.#tracedMs = Number.NEGATIVE_INFINITY
    this.#search.refresh(performance.now())
    if (!this.#acknowledges) this.#trace()
    this.#run()
  }

  /** The egress interface's MTU, or the route, is another. */
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

  #run(): void {
    if (this.#closed) return
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
    clearTimeout(this.#timer)
    const waitMs = Math.max(1, Math.ceil(this.#search.nextMs - performance.now()))
    this.#timer = setTimeout(() => this.#run(), Math.min(waitMs, 2 ** 31 - 1))
  }

  #send(probe: Probe): boolean {
    const { family, send } = this.#options
    const frameBytes = probe.sizeBytes === 0 ? undefined : probe.sizeBytes - headersBytes(family)
    const token = newToken()
    if (!send({ type: 'probe', token, sizeBytes: 0 }, frameBytes)) return false
    this.#probes.set(token, { ...probe, frameBytes })
    return true
  }

  /** Makes what is known now what is used. */
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
    const estimateBytes = kernelPathMtu(family, address) ?? ceilingBytes
    const onTold = (mtuBytes: number) => this.#told(mtuBytes)
    const onEnd = (result: TraceResult) => this.#traceEnded(result)
    try {
      this.#tracer = new Tracer({ family, address, ceilingBytes, estimateBytes, onTold, onEnd })
    } catch (error) {
      // The interface of its zone is gone: it is tried again when there is another.
      if (!(error instanceof RangeError)) throw error
    }
  }

  /** Less is taken at once. */
  #told(mtuBytes: number): void {
    if (this.#acknowledges || mtuBytes >= this.mtuBytes) return
    this.#traced = { mtuBytes, basis: 'told' }
    this.#take()
  }

  #traceEnded(result: TraceResult): void {
    this.#tracer = undefined
    // That nobody answers this time does not make wrong what was said before.
    if (this.#acknowledges || (result.basis === 'silent' && this.#traced !== undefined)) return
    this.#traced = result
    this.#take()
  }
}

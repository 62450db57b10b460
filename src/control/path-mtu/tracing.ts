import { outerBytes } from '../../encap/encap.js'
import type { IpFamily } from '../../wire/ip.js'
import type { Clock } from '../clock.js'
import type { Network } from '../network.js'
import type { TraceResult } from './trace.js'
import { Tracer } from './tracer.js'

export interface TracingOptions {
  readonly clock: Clock
  readonly network: Pick<Network, 'kernelPathMtu' | 'openProbes'>
  /** From 0 up to, and without, 1. */
  readonly random: () => number
  readonly family: IpFamily
  readonly address: string
  /** The present source address of datagrams there, if the kernel does not choose it. */
  readonly from: () => string | undefined
}

/** What a trace has found, or has been told so far. */
export interface Traced extends TraceResult {
  readonly ended: boolean
  /** Whether somebody has refused a size. If nobody has, larger packets are lost without a word, or none are. */
  readonly refused: boolean
  /** Whether a packet of the full size has left this host. */
  readonly sentWhole: boolean
}

/** The least time between two traces by ICMP, even if hints come. */
const PAUSE_MS = 2_000

/** Traces the path to one end by ICMP: one trace at a time, and not too often. */
export class Tracing {
  readonly #options: TracingOptions
  readonly #onResult: (traced: Traced) => void
  readonly #onFault: (error: unknown) => void
  #tracer: Tracer | undefined
  #startedMs = Number.NEGATIVE_INFINITY

  /**
   * @param onResult called when a trace has ended, and before that with each smaller size that it is told
   * @param onFault called with an error that was thrown in a trace; the trace is over then
   */
  constructor(
    options: TracingOptions,
    onResult: (traced: Traced) => void,
    onFault: (error: unknown) => void,
  ) {
    this.#options = options
    this.#onResult = onResult
    this.#onFault = onFault
  }

  get runs(): boolean {
    return this.#tracer !== undefined
  }

  /**
   * Begins a trace, unless one runs or the last one has begun only just now.
   * @returns whether it has begun
   */
  start(ceilingBytes: number): boolean {
    const { family, address, clock, network, random } = this.#options
    const nowMs = clock.nowMs()
    if (this.runs || nowMs < this.#startedMs + PAUSE_MS) return false
    this.#startedMs = nowMs
    // The interface is too narrow even for the headers of a datagram.
    if (ceilingBytes < outerBytes(family)) return false
    const from = this.#options.from()
    const estimateBytes = network.kernelPathMtu(family, address, from) ?? ceilingBytes
    const path = { clock, network, random, family, address, from, ceilingBytes, estimateBytes }
    const onTold = (mtuBytes: number) => this.#tell({ mtuBytes, basis: 'told' }, this.#tracer, false)
    const onEnd = (result: TraceResult) => {
      const tracer = this.#tracer
      this.#tracer = undefined
      this.#tell(result, tracer, true)
    }
    const onFault = (error: unknown) => {
      this.#tracer = undefined
      this.#onFault(error)
    }
    try {
      this.#tracer = new Tracer({ ...path, onTold, onEnd, onFault })
    } catch (error) {
      // The interface of the address's zone is gone. We try again when there is another one.
      if (!(error instanceof RangeError)) onFault(error)
    }
    return this.runs
  }

  #tell(result: TraceResult, tracer: Tracer | undefined, ended: boolean): void {
    const { refused = false, sentWhole = false } = tracer ?? {}
    this.#onResult({ ...result, ended, refused, sentWhole })
  }

  /** The next trace may begin at once, because something has changed. */
  skipPause(): void {
    this.#startedMs = Number.NEGATIVE_INFINITY
  }

  stop(): void {
    this.#tracer?.close()
    this.#tracer = undefined
  }
}

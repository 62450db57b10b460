import type { IpFamily } from '../../wire/ip.js'
import { commonBetween, floorBytes } from './sizes.js'

/** A datagram to a closed port of the far end. Its IP packet has `sizeBytes` bytes. */
export interface TraceProbe {
  readonly id: number
  readonly sizeBytes: number
  readonly sentMs: number
}

/**
 * How a path MTU is known. `reached`: the far end answered a packet of that size, and larger packets were
 * refused or are impossible. `told`: a router or this host gave the size, but the far end answered nothing.
 * `silent`: nobody answered, so the interface's MTU is used.
 */
export type TraceBasis = 'reached' | 'told' | 'silent'

export interface TraceResult {
  readonly mtuBytes: number
  readonly basis: TraceBasis
}

export interface TraceOptions {
  readonly family: IpFamily
  /** The egress interface's MTU. */
  readonly ceilingBytes: number
  /** The size that the kernel believes in. It is tried, too. */
  readonly estimateBytes?: number
}

/** How long we wait for an answer: first while no round trip is known, then at least, when one is known. */
const FIRST_TIMEOUT_MS = 300
const LEAST_TIMEOUT_MS = 150
const TRIES = 3

/**
 * A host limits its port-unreachable errors. Linux sends one a second to one destination, six in a row, but
 * does not limit too-big errors (icmp_ratelimit in ip-sysctl). So we ask for this many answers in a row, and
 * then one in each {@link ANSWER_MS}. While halving, no probe counts as lost sooner than that.
 */
const ANSWERS = 5
const ANSWER_MS = 1_100

interface Asked {
  readonly sizeBytes: number
  readonly attempt: number
  readonly patient: boolean
}

interface Waiting extends TraceProbe, Asked {}

/**
 * Finds the path MTU only by ICMP, in the way of the article: by packets with don't-fragment set, to closed
 * ports, as traceroute sends them. This host's interface and the routers say when a packet is too big, and what
 * size passes. The far end says that a packet has arrived. If only the far end answers, the trace halves the
 * range of sizes.
 *
 * This class is pure: the clock is passed in, and the packets to send are returned.
 */
export class PathMtuTrace {
  result: TraceResult | undefined
  readonly #floor: number
  readonly #ceiling: number
  /** The greatest size that has arrived, 0 for none. Then the least size that was refused or lost. */
  #lower = 0
  #upper: number
  /** The size under test. */
  #candidate: number
  #waiting = new Map<number, Waiting>()
  #queue: Asked[] = []
  #told = false
  #rttMs: number | undefined
  #lastId = 0
  #answers = ANSWERS
  #refilledMs: number

  constructor(options: TraceOptions, nowMs: number) {
    this.#ceiling = options.ceilingBytes
    this.#floor = Math.min(floorBytes(options.family), this.#ceiling)
    this.#upper = this.#ceiling + 1
    this.#candidate = this.#ceiling
    this.#refilledMs = nowMs
    this.#ask(this.#ceiling)
    const estimate = options.estimateBytes ?? this.#ceiling
    if (estimate >= this.#floor && estimate < this.#ceiling) this.#ask(estimate)
  }

  /** The latest time for the next call of {@link poll}. */
  get nextMs(): number {
    if (this.result !== undefined) return Number.POSITIVE_INFINITY
    const timeouts = [...this.#waiting.values()].map((it) => it.sentMs + this.#timeoutMs(it))
    if (this.#queue.length > 0) timeouts.push(this.#answers > 0 ? 0 : this.#refilledMs + ANSWER_MS)
    return Math.min(...timeouts)
  }

  /** The packets to send now. */
  poll(nowMs: number): readonly TraceProbe[] {
    if (this.result !== undefined) return []
    while (this.#answers < ANSWERS && nowMs >= this.#refilledMs + ANSWER_MS) {
      this.#answers++
      this.#refilledMs += ANSWER_MS
    }
    for (const probe of [...this.#waiting.values()]) {
      if (nowMs < probe.sentMs + this.#timeoutMs(probe)) continue
      this.#waiting.delete(probe.id)
      this.#giveBack()
      this.#unanswered(probe)
    }
    const probes: TraceProbe[] = []
    while (this.result === undefined && this.#answers > 0) {
      const asked = this.#queue.shift()
      if (asked === undefined) break
      if (this.#answers === ANSWERS) this.#refilledMs = nowMs
      this.#answers--
      const probe = { ...asked, id: ++this.#lastId, sentMs: nowMs }
      this.#waiting.set(probe.id, probe)
      probes.push(probe)
    }
    return probes
  }

  /** The size that somebody says passes, before we know that it does; undefined if nobody has said anything. */
  get toldBytes(): number | undefined {
    return this.#told ? this.#candidate : undefined
  }

  /** Whether an answer to this probe would still tell something. */
  waitsFor(id: number): boolean {
    return this.#waiting.has(id)
  }

  /** The far end has answered this probe, so it arrived. */
  arrived(id: number, nowMs: number): void {
    const probe = this.#waiting.get(id)
    if (probe === undefined) return
    this.#waiting.delete(id)
    this.#rttMs = Math.max(this.#rttMs ?? 0, nowMs - probe.sentMs)
    const first = this.#lower === 0
    this.#lower = Math.max(this.#lower, probe.sizeBytes)
    this.#forget((size) => size <= this.#lower)
    if (first && this.#candidate > this.#lower && !this.#asked(this.#candidate)) this.#ask(this.#candidate)
    this.#decide()
  }

  /**
   * A router, or this host's interface, has refused this probe.
   * @param mtuBytes the size that it says would pass; 0 if it gives none (RFC 1191, 5)
   */
  tooBig(id: number, mtuBytes: number): void {
    const probe = this.#waiting.get(id)
    if (probe === undefined) return
    this.#waiting.delete(id)
    this.#giveBack()
    const below = commonBetween(this.#floor - 1, probe.sizeBytes).at(-1) ?? this.#floor
    const said = mtuBytes > 0 && mtuBytes < probe.sizeBytes ? mtuBytes : below
    this.#told = true
    if (probe.sizeBytes <= this.#floor) {
      this.#candidate = this.#floor
      this.#end('told')
      return
    }
    this.#candidate = Math.max(this.#floor, Math.min(said, this.#candidate))
    this.#upper = Math.max(
      Math.min(this.#upper, mtuBytes > 0 ? this.#candidate + 1 : probe.sizeBytes),
      this.#lower + 1,
    )
    this.#forget((size) => size >= this.#upper)
    if (!this.#decide() && !this.#asked(this.#candidate)) this.#ask(this.#candidate)
  }

  #ask(sizeBytes: number, attempt = 1, patient = false): void {
    this.#queue.push({ sizeBytes, attempt, patient })
  }

  /** The far end did not see the probe, so the probe used up none of its answers. */
  #giveBack(): void {
    this.#answers = Math.min(ANSWERS, this.#answers + 1)
  }

  #asked(sizeBytes: number): boolean {
    const same = (it: { sizeBytes: number }) => it.sizeBytes === sizeBytes
    return this.#queue.some(same) || [...this.#waiting.values()].some(same)
  }

  #forget(settled: (sizeBytes: number) => boolean): void {
    this.#queue = this.#queue.filter(({ sizeBytes }) => !settled(sizeBytes))
    for (const [id, { sizeBytes }] of this.#waiting) if (settled(sizeBytes)) this.#waiting.delete(id)
  }

  #timeoutMs({ patient }: Waiting): number {
    if (patient) return ANSWER_MS
    return this.#rttMs === undefined ? FIRST_TIMEOUT_MS : Math.max(3 * this.#rttMs, LEAST_TIMEOUT_MS)
  }

  #unanswered({ sizeBytes, attempt, patient }: Waiting): void {
    if (attempt < TRIES) {
      this.#ask(sizeBytes, attempt + 1, patient)
      // Find out whether the far end answers at all.
      if (this.#lower === 0 && sizeBytes > this.#floor && !this.#asked(this.#floor)) this.#ask(this.#floor)
      return
    }
    if (this.#lower === 0) {
      // While nothing arrives, a lost packet tells nothing about sizes.
      if (sizeBytes === this.#floor || !this.#asked(this.#floor)) this.#end(this.#told ? 'told' : 'silent')
      return
    }
    this.#upper = Math.max(Math.min(this.#upper, sizeBytes), this.#lower + 1)
    this.#forget((size) => size >= this.#upper)
    this.#decide()
  }

  /**
   * Returns whether the result is known. If it is not, and nothing else is being asked, asks for the next size.
   */
  #decide(): boolean {
    if (this.#lower > 0 && this.#upper - this.#lower <= 1) {
      this.#end('reached')
      return true
    }
    if (this.#lower > 0 && this.#queue.length === 0 && this.#waiting.size === 0) this.#halve()
    return false
  }

  /** Asks for a common size about half way, if there is one, or else for the middle. */
  #halve(): void {
    const common = commonBetween(this.#lower, this.#upper)
    const half = Math.floor((this.#lower + this.#upper) / 2)
    this.#candidate = common.length > 0 ? common[common.length >>> 1] : half
    this.#ask(this.#candidate, TRIES - 1, true)
  }

  #end(basis: TraceBasis): void {
    const mtuBytes = basis === 'reached' ? this.#lower : basis === 'told' ? this.#candidate : this.#ceiling
    this.result = { mtuBytes, basis }
    this.#queue = []
    this.#waiting.clear()
  }
}

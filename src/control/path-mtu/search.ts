import type { IpFamily } from '../../wire/ip.js'
import { commonBetween, floorBytes, spreadBetween } from './sizes.js'

/**
 * The states of RFC 8899, 5.2. `disabled`: the far end does not acknowledge probes. `base`: we ask whether it
 * does. `error`: it does, but packets of even the least size do not pass.
 */
export type SearchState = 'disabled' | 'base' | 'searching' | 'complete' | 'error'

/**
 * One packet that must be sent now. When the far end has acknowledged it, the caller hands this object back.
 */
export interface Probe {
  /** The size of the whole IP packet in bytes; 0 for a marker, the shortest packet there is. */
  readonly sizeBytes: number
  readonly round: number
  /** Whether it is the last of its round. */
  readonly last: boolean
  readonly sentMs: number
}

export interface SearchOptions {
  readonly family: IpFamily
  /** The egress interface's MTU. */
  readonly ceilingBytes: number
  /** The shortest packet that can be a probe. */
  readonly leastBytes: number
  /** Another size to try first, such as what the kernel believes in. */
  readonly estimateBytes?: number
  /** Gives numbers from 0 to 1, for the refresh timer. */
  readonly random?: () => number
  readonly refreshMs: number
}

/** A size is too big if it gets no answer in this many rounds in which short packets are answered. */
const ROUNDS = 3
/**
 * How many copies of each size the first, second and third such round has. At 5% loss, all are lost once in a
 * million.
 */
const COPIES = [1, 2, 3] as const
/** The size just above the result is tried again, slowly. So one burst of loss cannot decide. */
const RAISE_ROUNDS = 4
const RAISE_SPACING_MS = 100
/** Rounds that verify the size in use are spaced, too, so that one burst of loss does not end its use. */
const VERIFY_SPACING_MS = 100
const SEARCH_SPACING_MS = 25
/** There are markers at both ends of a round, and after every so many probes. */
const MARKER_EVERY = 6
/** If a round lost some of its markers, there was congestion. Only every so many of such rounds counts. */
const MUDDY_ROUNDS = 5
/** How many sizes between two known ones are tried at once. */
const FAN = 20
/** While traffic flows, the size in use is confirmed this often. */
export const CONFIRM_MS = 1_000
const REFRESH_JITTER = 0.2
/** The least time between two hints that we follow. Anybody may forge hints. */
const HINT_MS = 500
/**
 * The path from the far end may be wider than the path to it. So its longer packets start a new search only
 * this often.
 */
const LARGER_MS = 60_000
const ERROR_RETRY_MS = 30_000
const RETRY_MS = 5_000
/** After this many rounds without any answer, the far end counts as silent. */
const SILENT_ROUNDS = 5

type Purpose = 'base' | 'search' | 'verify' | 'raise'

interface Stage {
  readonly purpose: Purpose
  /** The sizes under test. */
  sizes: number[]
  readonly rounds: number
  readonly spacingMs: number
  /** For `verify`: look for larger sizes afterwards. */
  readonly thenRaise: boolean
  /** The number of the last round before this stage. */
  readonly after: number
  /**
   * The rounds that counted, the rounds with too much loss to count, and the rounds in a row without an answer.
   */
  counted: number
  muddy: number
  silent: number
  /** When the next round may begin. */
  nextMs: number
}

interface Round {
  readonly number: number
  readonly sentMs: number
  /** The markers that were sent, how many were answered, and when the last marker was answered. */
  readonly markers: number
  answered: number
  answeredMs: number | undefined
}

/**
 * Finds the path MTU to an end that acknowledges probes, as in RFC 8899, but with several sizes in flight.
 *
 * Probes go out in rounds. A round has the sizes under test and, between them, markers, which are the shortest
 * packets. When the last marker is answered, all probes before it have arrived or are lost. So a round takes
 * one round trip. If the last marker is not answered, the far end is silent or slow. If other markers are not
 * answered, the path loses packets of any size, and the round tells nothing about sizes. A size is too big if
 * it gets no answer in three rounds that count. An answer always counts, however late it comes.
 *
 * This class is pure: the clock is passed in, and the packets to send are returned.
 */
export class PathMtuSearch {
  state: SearchState = 'base'
  /** The path MTU to use. Until it is {@link confirmed}: the interface's MTU or, after an error, the floor. */
  mtuBytes: number
  /** Whether the far end has acknowledged packets of that size. */
  confirmed = false
  /** When {@link mtuBytes} was found, and when it was last seen to pass. */
  foundMs = 0
  confirmedMs = 0
  /** When the next search begins. */
  refreshAtMs: number
  readonly #family: IpFamily
  readonly #random: () => number
  readonly #refreshMs: number
  readonly #estimate: number
  readonly #least: number
  #ceiling: number
  /**
   * The greatest size that is known to pass; the floor less one if there is none. Then the least size that is
   * known not to pass; the ceiling plus one if there is none.
   */
  #lower: number
  #upper: number
  #stage: Stage | undefined
  #round: Round | undefined
  #rounds = 0
  #rttMs = 0
  #hintedMs = Number.NEGATIVE_INFINITY
  #hint: number | undefined
  /**
   * The longest packet from the far end that has not started a new search yet, and when such a packet last
   * started one.
   */
  #larger = 0
  #largerMs = Number.NEGATIVE_INFINITY
  #restartedMs = Number.NEGATIVE_INFINITY

  constructor(options: SearchOptions, nowMs: number) {
    this.#family = options.family
    this.#ceiling = options.ceilingBytes
    this.#estimate = options.estimateBytes ?? this.#ceiling
    this.#least = options.leastBytes
    this.#random = options.random ?? Math.random
    this.#refreshMs = options.refreshMs
    this.mtuBytes = this.#ceiling
    this.#lower = this.#floor - 1
    this.#upper = this.#ceiling + 1
    this.refreshAtMs = nowMs + this.#refreshMs
    this.#begin('base', [], nowMs)
  }

  /**
   * The least size that we believe. If the interface's MTU is less, that is a fact, and we probe what it takes.
   */
  get #floor(): number {
    return Math.min(floorBytes(this.#family), this.#ceiling)
  }

  /** The latest time for the next call of {@link poll}. */
  get nextMs(): number {
    const stage = this.#stage
    if (stage === undefined) return this.#dueMs
    const round = this.#round
    if (round === undefined) return stage.nextMs
    return round.answeredMs === undefined
      ? round.sentMs + this.#timeoutMs(stage)
      : round.answeredMs + this.#graceMs
  }

  /** What is being done, for display; undefined while it only waits. */
  get doing(): Purpose | undefined {
    return this.#stage?.purpose
  }

  /** The packets to send now, in this order. */
  poll(nowMs: number): readonly Probe[] {
    if (this.#stage === undefined) this.#wakeUp(nowMs)
    if (this.#round !== undefined && nowMs >= this.nextMs) this.#endRound(this.#round, nowMs)
    const stage = this.#stage
    if (stage === undefined || this.#round !== undefined || nowMs < stage.nextMs) return []
    return this.#beginRound(stage, nowMs)
  }

  /** When the next work is due, while no stage runs. */
  get #dueMs(): number {
    const never = Number.POSITIVE_INFINITY
    const hintMs = this.#hint === undefined ? never : this.#hintedMs + HINT_MS
    const wider = this.state === 'complete' && this.#larger > this.mtuBytes
    return Math.min(this.refreshAtMs, hintMs, wider ? this.#largerMs + LARGER_MS : never)
  }

  #wakeUp(nowMs: number): void {
    if (nowMs < this.#dueMs) return
    if (this.#hint !== undefined && nowMs >= this.#hintedMs + HINT_MS) this.#followHint(this.#hint, nowMs)
    else if (nowMs >= this.refreshAtMs) this.refresh(nowMs)
    else {
      this.#largerMs = nowMs
      this.#larger = 0
      this.#raise(nowMs)
    }
  }

  /** The far end has acknowledged this probe. */
  acknowledged(probe: Probe, nowMs: number): void {
    const stage = this.#stage
    const round = this.#round
    if (probe.sizeBytes === 0) {
      const rttMs = nowMs - probe.sentMs
      this.#rttMs = this.#rttMs === 0 ? rttMs : 0.75 * this.#rttMs + 0.25 * rttMs
      if (round?.number === probe.round) {
        round.answered++
        if (probe.last) round.answeredMs ??= nowMs
      }
    }
    if (stage !== undefined) stage.silent = 0
    // Ignore answers from before the ceiling was lowered. A verification ignores answers to the rounds
    // before it.
    if (probe.sizeBytes > this.#ceiling) return
    if (stage?.purpose === 'verify' && probe.round <= stage.after) return
    if (probe.sizeBytes > this.#lower) this.#lower = probe.sizeBytes
    if (probe.sizeBytes >= this.#upper) this.#upper = this.#ceiling + 1
    if (stage === undefined) {
      if (this.state === 'complete' && this.#lower > this.mtuBytes) this.#raise(nowMs)
    } else if (stage.purpose === 'base' || (stage.sizes.length > 0 && this.#pending(stage).length === 0)) {
      this.#conclude(stage, nowMs)
    }
  }

  /** The round of the last poll was not sent as it should be. It does not count. */
  spoiled(nowMs: number): void {
    this.#round = undefined
    if (this.#stage !== undefined) this.#stage.nextMs = nowMs + VERIFY_SPACING_MS
  }

  /** Packets are being sent to the far end, so it is worth confirming the size in use. */
  traffic(nowMs: number): void {
    if (this.#stage !== undefined) return
    if (this.state === 'complete' && nowMs >= this.confirmedMs + CONFIRM_MS) this.#verify(nowMs, [], false)
    else if (this.state === 'disabled' && this.confirmed && nowMs >= this.#restartedMs + RETRY_MS)
      this.#restart(nowMs)
  }

  /** Something says that packets longer than `sizeBytes` do not pass; 0 if it gives no size. */
  hint(sizeBytes: number, nowMs: number): void {
    if (this.state !== 'complete' || sizeBytes >= this.mtuBytes) return
    this.#hint = Math.max(sizeBytes, this.#floor)
    if (this.#stage === undefined && nowMs >= this.#hintedMs + HINT_MS) this.#followHint(this.#hint, nowMs)
  }

  #followHint(hint: number, nowMs: number): void {
    this.#hint = undefined
    this.#hintedMs = nowMs
    if (hint < this.mtuBytes) this.#verify(nowMs, [hint], false)
  }

  /** A packet of `sizeBytes` has come from the far end. The path may carry more than we thought. */
  larger(sizeBytes: number, nowMs: number): void {
    this.#larger = Math.max(this.#larger, sizeBytes)
    if (this.#stage === undefined) this.#wakeUp(nowMs)
  }

  /** We have heard from the far end. It may acknowledge probes by now. */
  heard(nowMs: number): void {
    if (this.state === 'disabled' && nowMs >= this.#restartedMs + CONFIRM_MS) this.#restart(nowMs)
  }

  /** Looks again whether more or less passes now. */
  refresh(nowMs: number): void {
    this.#schedule(nowMs)
    if (this.state === 'complete') this.#verify(nowMs, [], true)
    else if (this.state === 'error') this.#searchAll(nowMs)
    else if (this.#stage === undefined) this.#restart(nowMs)
  }

  /** The egress interface's MTU has changed. A smaller one is used at once; a greater one starts a search. */
  setCeiling(ceilingBytes: number, nowMs: number): void {
    if (ceilingBytes === this.#ceiling) return
    this.#ceiling = ceilingBytes
    this.#upper = ceilingBytes + 1
    this.#lower = Math.min(this.#lower, ceilingBytes)
    const assumed = !this.confirmed && this.state !== 'error'
    if (assumed || ceilingBytes < this.mtuBytes) this.#use(ceilingBytes, nowMs, this.confirmed)
    if (this.state === 'searching') this.#searchAll(nowMs)
    else this.refresh(nowMs)
  }

  #schedule(nowMs: number): void {
    this.refreshAtMs = nowMs + this.#refreshMs * (1 + REFRESH_JITTER * (2 * this.#random() - 1))
  }

  #restart(nowMs: number): void {
    this.#restartedMs = nowMs
    this.state = 'base'
    this.#begin('base', [], nowMs)
  }

  #searchAll(nowMs: number): void {
    this.state = 'searching'
    this.#lower = this.#floor - 1
    this.#upper = this.#ceiling + 1
    const sizes = new Set([...commonBetween(this.#lower, this.#upper), this.#ceiling])
    if (this.#estimate > this.#floor && this.#estimate < this.#upper) sizes.add(this.#estimate)
    this.#begin('search', [...sizes], nowMs)
  }

  #verify(nowMs: number, hints: readonly number[], thenRaise: boolean): void {
    this.#lower = this.#floor - 1
    this.#begin('verify', [this.mtuBytes, ...hints], nowMs, thenRaise)
  }

  #raise(nowMs: number): void {
    this.#lower = Math.max(this.#lower, this.mtuBytes)
    this.#upper = this.#ceiling + 1
    if (this.#lower >= this.#ceiling) this.#complete(nowMs)
    else this.#begin('raise', [...new Set([this.#lower + 1, this.#ceiling])], nowMs)
  }

  #begin(purpose: Purpose, sizes: number[], nowMs: number, thenRaise = false): void {
    const slow = purpose === 'raise'
    this.#round = undefined
    if (this.#ceiling < this.#least) {
      // The interface takes no probe at all. There is nothing to ask until its MTU is greater.
      this.#stage = undefined
      this.state = 'disabled'
      this.confirmed = false
      return
    }
    this.#stage = {
      purpose,
      sizes,
      thenRaise,
      rounds: purpose === 'base' ? 1 : slow ? RAISE_ROUNDS : ROUNDS,
      spacingMs: slow ? RAISE_SPACING_MS : purpose === 'verify' ? VERIFY_SPACING_MS : SEARCH_SPACING_MS,
      after: this.#rounds,
      counted: 0,
      muddy: 0,
      silent: 0,
      nextMs: nowMs,
    }
  }

  /** The sizes for which neither they nor any greater size have been acknowledged. */
  #pending({ sizes }: Stage): number[] {
    return sizes.filter((size) => size > this.#lower)
  }

  #beginRound(stage: Stage, nowMs: number): Probe[] {
    const round = ++this.#rounds
    if (stage.purpose === 'verify' && stage.counted === 1) {
      // The size in use seems to fail, so find at the same time what does pass.
      stage.sizes = [...new Set([...stage.sizes, ...commonBetween(this.#floor - 1, this.mtuBytes)])]
    }
    const copies = stage.purpose === 'raise' ? 1 : COPIES[Math.min(stage.counted, COPIES.length - 1)]
    const pending = this.#pending(stage)
    const tested = Array.from({ length: copies }, () => pending).flat()
    const spaced = tested.flatMap((size, index) => ((index + 1) % MARKER_EVERY === 0 ? [size, 0] : size))
    const sizes = tested.length === 0 ? [0] : [0, ...spaced, 0]
    const markers = sizes.filter((size) => size === 0).length
    this.#round = { number: round, sentMs: nowMs, markers, answered: 0, answeredMs: undefined }
    const last = sizes.length - 1
    return sizes.map((sizeBytes, index) => ({ sizeBytes, round, sentMs: nowMs, last: index === last }))
  }

  #endRound(round: Round, nowMs: number): void {
    const stage = this.#stage
    this.#round = undefined
    if (stage === undefined) return
    if (round.answeredMs === undefined) {
      stage.silent++
      stage.nextMs = nowMs
      if (stage.silent >= SILENT_ROUNDS) this.#giveUp(stage, nowMs)
      return
    }
    stage.nextMs = Math.max(nowMs, round.sentMs + stage.spacingMs)
    const muddy = round.answered < Math.ceil(round.markers * 0.8)
    if (muddy && ++stage.muddy % MUDDY_ROUNDS !== 0) return
    stage.counted++
    if (stage.counted >= stage.rounds) this.#conclude(stage, nowMs)
  }

  get #graceMs(): number {
    return Math.min(Math.max(this.#rttMs / 4, 10), 100)
  }

  #timeoutMs({ silent }: Stage): number {
    return Math.min(Math.max(3 * this.#rttMs, 200) * 2 ** silent, 2_000)
  }

  /** The far end is silent. That tells nothing about sizes. */
  #giveUp(stage: Stage, nowMs: number): void {
    this.#stage = undefined
    if (this.confirmed) this.#lower = Math.max(this.#lower, this.mtuBytes)
    this.confirmedMs = nowMs
    this.#schedule(nowMs)
    if (stage.purpose === 'base' || stage.purpose === 'search' || stage.thenRaise) {
      this.#restartedMs = nowMs
      this.state = 'disabled'
    }
  }

  #conclude(stage: Stage, nowMs: number): void {
    switch (stage.purpose) {
      case 'base':
        this.#searchAll(nowMs)
        break
      case 'verify':
        this.#verified(stage, nowMs)
        break
      default:
        this.#searched(stage, nowMs)
    }
  }

  #verified(stage: Stage, nowMs: number): void {
    if (this.#lower >= this.mtuBytes) {
      if (stage.thenRaise || this.#lower > this.mtuBytes) this.#raise(nowMs)
      else this.#confirm(nowMs)
      return
    }
    this.#upper = Math.min(this.mtuBytes, ...this.#pending(stage))
    this.#use(Math.max(this.#lower, this.#floor), nowMs, this.#lower >= this.#floor)
    this.#narrow(nowMs)
  }

  #searched(stage: Stage, nowMs: number): void {
    const pending = this.#pending(stage)
    if (this.#lower < this.#floor) {
      this.state = 'error'
      this.#use(this.#floor, nowMs, false)
      this.#stage = undefined
      this.refreshAtMs = nowMs + ERROR_RETRY_MS
      return
    }
    this.#upper = Math.min(this.#upper, ...pending)
    if (this.#upper - this.#lower > 1) this.#narrow(nowMs)
    else if (stage.purpose === 'raise' || this.#lower >= this.#ceiling) this.#complete(nowMs)
    else {
      this.#use(this.#lower, nowMs, true)
      this.#raise(nowMs)
    }
  }

  #narrow(nowMs: number): void {
    this.state = 'searching'
    const common = commonBetween(this.#lower, this.#upper)
    const sizes = common.length > 0 ? common : spreadBetween(this.#lower, this.#upper, FAN)
    this.#begin('search', sizes, nowMs)
  }

  #complete(nowMs: number): void {
    this.state = 'complete'
    this.#use(this.#lower, nowMs, true)
    this.#schedule(nowMs)
    this.#confirm(nowMs)
  }

  #confirm(nowMs: number): void {
    this.#stage = undefined
    this.confirmedMs = nowMs
  }

  #use(mtuBytes: number, nowMs: number, confirmed: boolean): void {
    if (mtuBytes !== this.mtuBytes || confirmed !== this.confirmed) this.foundMs = nowMs
    if (mtuBytes < this.mtuBytes) {
      // Packets that came before the MTU was lowered tell nothing about what comes after.
      this.#larger = 0
      this.#largerMs = Number.NEGATIVE_INFINITY
    }
    this.mtuBytes = mtuBytes
    this.confirmed = confirmed
  }
}

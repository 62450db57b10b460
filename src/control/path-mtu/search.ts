import type { IpFamily } from '../../wire/ip.js'
import { commonBetween, floorBytes, spreadBetween } from './sizes.js'

/**
 * The states of RFC 8899, 5.2. `disabled`: the far end does not acknowledge; `base`: it is asked whether it
 * does; `error`: it does, but packets of even the least size do not pass.
 */
export type SearchState = 'disabled' | 'base' | 'searching' | 'complete' | 'error'

/** One packet to be sent now. The object itself is handed back when the far end has acknowledged it. */
export interface Probe {
  /** Of the whole IP packet, in bytes; 0 for the shortest there is, a marker. */
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
  /** Another size to try first, such as the kernel believes in. */
  readonly estimateBytes?: number
  /** For the refresh timer: from 0 to 1. */
  readonly random?: () => number
  readonly refreshMs: number
}

/** Rounds in which a size must go unanswered, while a short packet is answered, before it is too big. */
const ROUNDS = 3
/** Copies of each size in the first such round, the second, the third: lost together once in a million at 5%. */
const COPIES = [1, 2, 3] as const
/** The size right above what was found is tried once more, slowly, so that no burst of loss decides. */
const RAISE_ROUNDS = 4
const RAISE_SPACING_MS = 100
/** A size in use is not given up within one burst of loss either. */
const VERIFY_SPACING_MS = 100
const SEARCH_SPACING_MS = 25
/** Markers stand at both ends of a round and between so many probes. */
const MARKER_EVERY = 6
/** A round whose markers were lost in part counts only so often: it was congestion that lost what it lost. */
const MUDDY_ROUNDS = 5
/** Sizes between two known ones that are tried at a time. */
const FAN = 20
/** While traffic flows, the size in use is confirmed so often. */
export const CONFIRM_MS = 1_000
const REFRESH_JITTER = 0.2
/** Hints are followed so often at the most: somebody may forge them. */
const HINT_MS = 500
/** What comes from the far end may be wider than what goes there: no reason to look again and again. */
const LARGER_MS = 60_000
const ERROR_RETRY_MS = 30_000
const RETRY_MS = 5_000
/** Rounds without any answer after which the far end is silent. */
const SILENT_ROUNDS = 5

type Purpose = 'base' | 'search' | 'verify' | 'raise'

interface Stage {
  readonly purpose: Purpose
  /** Sizes under test. */
  sizes: number[]
  readonly rounds: number
  readonly spacingMs: number
  /** Of `verify`: look upwards afterwards. */
  readonly thenRaise: boolean
  /** The last round before it. */
  readonly after: number
  /** Rounds that counted, those that were too lossy to, and rounds without an answer since. */
  counted: number
  muddy: number
  silent: number
  /** When the next round may begin. */
  nextMs: number
}

interface Round {
  readonly number: number
  readonly sentMs: number
  /** Markers that were sent, and answered; when the last one was. */
  readonly markers: number
  answered: number
  answeredMs: number | undefined
}

/**
 * Finds the path MTU towards an end that acknowledges probes, as RFC 8899 has it, with several sizes in flight.
 *
 * Probes go out in rounds: the sizes under test, and markers between them, the shortest packets there are. When
 * the last marker is answered, what went before it has arrived or is lost, so that a round takes a round trip;
 * when it is not, the far end is silent or slow; and when others are not, the path is losing packets of any
 * size: then the round tells nothing about sizes. A size is too big when it went unanswered in three rounds
 * that count. An answer always counts, however late.
 *
 * Pure: the clock is passed in, what is to be sent is returned.
 */
export class PathMtuSearch {
  state: SearchState = 'base'
  /** The path MTU to be used; until `confirmed`, the interface's. */
  mtuBytes: number
  /** Whether the far end has acknowledged packets of so many bytes. */
  confirmed = false
  /** When {@link mtuBytes} was found, and last seen to pass. */
  foundMs = 0
  confirmedMs = 0
  /** When it is looked for again. */
  refreshAtMs: number
  readonly #family: IpFamily
  readonly #random: () => number
  readonly #refreshMs: number
  readonly #estimate: number
  readonly #least: number
  #ceiling: number
  /** The greatest size known to pass, one below the floor for none; the least known not to, or one above all. */
  #lower: number
  #upper: number
  #stage: Stage | undefined
  #round: Round | undefined
  #rounds = 0
  #rttMs = 0
  #hintedMs = Number.NEGATIVE_INFINITY
  #hint: number | undefined
  /** The longest packet from the far end that was no reason to look upwards yet, and when one last was. */
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

  /** The least that is believed; an interface narrower than that is a fact, and what it takes is probed. */
  get #floor(): number {
    return Math.min(floorBytes(this.#family), this.#ceiling)
  }

  /** When {@link poll} is to be called at the latest. */
  get nextMs(): number {
    const stage = this.#stage
    if (stage === undefined) return this.#dueMs
    const round = this.#round
    if (round === undefined) return stage.nextMs
    return round.answeredMs === undefined
      ? round.sentMs + this.#timeoutMs(stage)
      : round.answeredMs + this.#graceMs
  }

  /** What is being done, for a person; undefined while it only waits. */
  get doing(): Purpose | undefined {
    return this.#stage?.purpose
  }

  /** What is to be sent now, in this order. */
  poll(nowMs: number): readonly Probe[] {
    if (this.#stage === undefined) this.#wakeUp(nowMs)
    if (this.#round !== undefined && nowMs >= this.nextMs) this.#endRound(this.#round, nowMs)
    const stage = this.#stage
    if (stage === undefined || this.#round !== undefined || nowMs < stage.nextMs) return []
    return this.#beginRound(stage, nowMs)
  }

  /** When something is to be done, while nothing is. */
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
    // From before the interface was narrowed, or what passed before something made that doubtful.
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

  /** The round that was just polled did not go out as it should have: it counts for nothing. */
  spoiled(nowMs: number): void {
    this.#round = undefined
    if (this.#stage !== undefined) this.#stage.nextMs = nowMs + VERIFY_SPACING_MS
  }

  /** Packets are being sent to the far end: the size in use is worth confirming. */
  traffic(nowMs: number): void {
    if (this.#stage !== undefined) return
    if (this.state === 'complete' && nowMs >= this.confirmedMs + CONFIRM_MS) this.#verify(nowMs, [], false)
    else if (this.state === 'disabled' && this.confirmed && nowMs >= this.#restartedMs + RETRY_MS)
      this.#restart(nowMs)
  }

  /** Something says that packets beyond `sizeBytes` do not pass; 0 where it does not say how many bytes do. */
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

  /** A packet of so many bytes has come from the far end: the path may carry more than was thought. */
  larger(sizeBytes: number, nowMs: number): void {
    this.#larger = Math.max(this.#larger, sizeBytes)
    if (this.#stage === undefined) this.#wakeUp(nowMs)
  }

  /** The far end has spoken: it may acknowledge by now. */
  heard(nowMs: number): void {
    if (this.state === 'disabled' && nowMs >= this.#restartedMs + CONFIRM_MS) this.#restart(nowMs)
  }

  /** Looks again whether what passes has changed, either way. */
  refresh(nowMs: number): void {
    this.#schedule(nowMs)
    if (this.state === 'complete') this.#verify(nowMs, [], true)
    else if (this.state === 'error') this.#searchAll(nowMs)
    else if (this.#stage === undefined) this.#restart(nowMs)
  }

  /** The egress interface's MTU is another: less is taken at once, more is looked for. */
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
      // The interface takes no probe at all, so there is nothing to ask, until it is a wider one.
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

  /** Sizes that have not been acknowledged, nor has any above them. */
  #pending({ sizes }: Stage): number[] {
    return sizes.filter((size) => size > this.#lower)
  }

  #beginRound(stage: Stage, nowMs: number): Probe[] {
    const round = ++this.#rounds
    if (stage.purpose === 'verify' && stage.counted === 1) {
      // Once it looks bad, find at the same time what does pass.
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

  /** The far end is silent: that says nothing about sizes. */
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
      // What came before it was narrowed, or thought to be, tells nothing of what comes after.
      this.#larger = 0
      this.#largerMs = Number.NEGATIVE_INFINITY
    }
    this.mtuBytes = mtuBytes
    this.confirmed = confirmed
  }
}

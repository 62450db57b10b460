import type { IpFamily } from '../../wire/ip.js'
import { Bounds } from './bounds.js'
import type { Probe } from './round.js'
import { Rounds } from './rounds.js'
import { Schedule } from './schedule.js'
import type { Purpose, Stage } from './stage.js'

export type { Probe }

/**
 * The states of RFC 8899, 5.2. `disabled`: the far end does not acknowledge probes. `base`: we ask whether it
 * does. `error`: it does, but packets of even the least size do not pass.
 */
export type SearchState = 'disabled' | 'base' | 'searching' | 'complete' | 'error'

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

/** While traffic flows, the size in use is confirmed this often. */
export const CONFIRM_MS = 1_000
const RETRY_MS = 5_000

/**
 * Finds the path MTU to an end that acknowledges probes, as in RFC 8899, but with several sizes in flight.
 *
 * Probes go out in rounds. A round has the sizes under test and, between them, markers, which are the shortest
 * packets. When the last marker is answered, all probes before it have arrived or are lost. So a round takes
 * one round trip. If the last marker is not answered, the far end is silent or slow. If other markers are not
 * answered, the path loses packets of any size, and the round tells nothing about sizes. A size is too big if
 * it gets no answer in three rounds that count. An answer always counts, however late it comes.
 *
 * This class decides which stage follows on which. {@link Rounds} runs a stage, and {@link Bounds} keeps what is
 * known. All of them are pure: the clock is passed in, and the packets to send are returned.
 */
export class PathMtuSearch {
  state: SearchState = 'base'
  /** The path MTU to use. Until it is {@link confirmed}: the interface's MTU or, after an error, the floor. */
  mtuBytes: number
  /** Whether the far end has acknowledged packets of that size. */
  confirmed = false
  /** When {@link mtuBytes} was last seen to pass. */
  confirmedMs = 0
  readonly #estimate: number
  readonly #least: number
  readonly #bounds: Bounds
  readonly #rounds = new Rounds()
  readonly #schedule: Schedule
  #restartedMs = Number.NEGATIVE_INFINITY

  constructor(options: SearchOptions, nowMs: number) {
    this.#bounds = new Bounds(options.family, options.ceilingBytes)
    this.#estimate = options.estimateBytes ?? options.ceilingBytes
    this.#least = options.leastBytes
    this.#schedule = new Schedule(options.refreshMs, options.random ?? Math.random, nowMs)
    this.mtuBytes = options.ceilingBytes
    this.#begin('base', [], nowMs)
  }

  /** The latest time for the next call of {@link poll}. */
  get nextMs(): number {
    return this.#rounds.nextMs ?? this.#schedule.dueMs(this.#raisableBytes)
  }

  /** When the next search begins. */
  get refreshAtMs(): number {
    return this.#schedule.refreshAtMs
  }

  /** What is being done, for display; undefined while it only waits. */
  get doing(): Purpose | undefined {
    return this.#rounds.stage?.purpose
  }

  /** The packets to send now, in this order. */
  poll(nowMs: number): readonly Probe[] {
    if (this.#rounds.stage === undefined) this.#wakeUp(nowMs)
    const { stage } = this.#rounds
    if (stage !== undefined) {
      const ended = this.#rounds.endRound(nowMs)
      if (ended === 'silent') this.#giveUp(stage, nowMs)
      else if (ended === 'over') this.#conclude(stage, nowMs)
    }
    const due = this.#rounds.due(nowMs)
    return due === undefined ? [] : this.#beginRound(due, nowMs)
  }

  /** The size in use, if a longer packet from the far end is a reason to look for more. */
  get #raisableBytes(): number | undefined {
    return this.state === 'complete' ? this.mtuBytes : undefined
  }

  #wakeUp(nowMs: number): void {
    const occasion = this.#schedule.take(this.#raisableBytes, nowMs)
    if (occasion === 'refresh') this.refresh(nowMs)
    else if (occasion === 'larger') this.#raise(nowMs)
    else if (occasion !== undefined && occasion < this.mtuBytes) this.#verify(nowMs, [occasion], false)
  }

  /** The far end has acknowledged this probe. */
  acknowledged(probe: Probe, nowMs: number): void {
    const bounds = this.#bounds
    const { stage } = this.#rounds
    this.#rounds.answered(probe, nowMs)
    // Ignore answers from before the ceiling was lowered. A verification ignores answers to the rounds
    // before it.
    if (probe.sizeBytes > bounds.ceiling) return
    if (stage?.purpose === 'verify' && probe.round <= stage.after) return
    bounds.passed(probe.sizeBytes)
    if (stage === undefined) {
      if (this.state === 'complete' && bounds.passing > this.mtuBytes) this.#raise(nowMs)
    } else if (
      stage.purpose === 'base' ||
      (stage.sizes.length > 0 && bounds.pending(stage.sizes).length === 0)
    ) {
      this.#conclude(stage, nowMs)
    }
  }

  /** The round of the last poll was not sent as it should be. It does not count. */
  spoiled(nowMs: number): void {
    this.#rounds.spoiled(nowMs)
  }

  /** Packets are being sent to the far end, so it is worth confirming the size in use. */
  traffic(nowMs: number): void {
    if (this.#rounds.stage !== undefined) return
    if (this.state === 'complete' && nowMs >= this.confirmedMs + CONFIRM_MS) this.#verify(nowMs, [], false)
    else if (this.state === 'disabled' && this.confirmed && nowMs >= this.#restartedMs + RETRY_MS)
      this.#restart(nowMs)
  }

  /** Something says that packets longer than `sizeBytes` do not pass; 0 if it gives no size. */
  hint(sizeBytes: number, nowMs: number): void {
    if (this.state !== 'complete' || sizeBytes >= this.mtuBytes) return
    this.#schedule.hints.smaller(Math.max(sizeBytes, this.#bounds.floor))
    if (this.#rounds.stage === undefined) this.#wakeUp(nowMs)
  }

  /** A packet of `sizeBytes` has come from the far end. The path may carry more than we thought. */
  larger(sizeBytes: number, nowMs: number): void {
    this.#schedule.hints.larger(sizeBytes)
    if (this.#rounds.stage === undefined) this.#wakeUp(nowMs)
  }

  /** We have heard from the far end. It may acknowledge probes by now. */
  heard(nowMs: number): void {
    if (this.state === 'disabled' && nowMs >= this.#restartedMs + CONFIRM_MS) this.#restart(nowMs)
  }

  /** Looks again whether more or less passes now. */
  refresh(nowMs: number): void {
    this.#schedule.refreshLater(nowMs)
    if (this.state === 'complete') this.#verify(nowMs, [], true)
    else if (this.state === 'error') this.#searchAll(nowMs)
    else if (this.#rounds.stage === undefined) this.#restart(nowMs)
  }

  /** The egress interface's MTU has changed. A smaller one is used at once; a greater one starts a search. */
  setCeiling(ceilingBytes: number, nowMs: number): void {
    if (ceilingBytes === this.#bounds.ceiling) return
    this.#bounds.ceiling = ceilingBytes
    const assumed = !this.confirmed && this.state !== 'error'
    if (assumed || ceilingBytes < this.mtuBytes) this.#use(ceilingBytes, this.confirmed)
    if (this.state === 'searching') this.#searchAll(nowMs)
    else this.refresh(nowMs)
  }

  #restart(nowMs: number): void {
    this.#restartedMs = nowMs
    this.state = 'base'
    this.#begin('base', [], nowMs)
  }

  #searchAll(nowMs: number): void {
    this.state = 'searching'
    this.#bounds.forgetPassed()
    this.#bounds.forgetFailed()
    this.#begin('search', this.#bounds.firstSizes(this.#estimate), nowMs)
  }

  #verify(nowMs: number, hints: readonly number[], thenRaise: boolean): void {
    this.#bounds.forgetPassed()
    this.#begin('verify', [this.mtuBytes, ...hints], nowMs, thenRaise)
  }

  #raise(nowMs: number): void {
    this.#bounds.assumePasses(this.mtuBytes)
    this.#bounds.forgetFailed()
    if (this.#bounds.allPasses) this.#complete(nowMs)
    else this.#begin('raise', this.#bounds.sizesAbove(), nowMs)
  }

  #begin(purpose: Purpose, sizes: number[], nowMs: number, thenRaise = false): void {
    if (this.#bounds.ceiling < this.#least) {
      // The interface takes no probe at all. There is nothing to ask until its MTU is greater.
      this.#rounds.stop()
      this.state = 'disabled'
      this.confirmed = false
    } else this.#rounds.begin(purpose, sizes, nowMs, thenRaise)
  }

  #beginRound(stage: Stage, nowMs: number): readonly Probe[] {
    if (stage.purpose === 'verify' && stage.counted === 2) {
      // The size in use seems to fail, so find at the same time what does pass. These are many packets, so one lost
      // probe is not enough.
      stage.sizes = [...new Set([...stage.sizes, ...this.#bounds.sizesBelow(this.mtuBytes)])]
    }
    return this.#rounds.beginRound(stage, this.#bounds.pending(stage.sizes), nowMs)
  }

  /** The far end is silent. That tells nothing about sizes. */
  #giveUp(stage: Stage, nowMs: number): void {
    this.#rounds.stop()
    if (this.confirmed) this.#bounds.assumePasses(this.mtuBytes)
    this.confirmedMs = nowMs
    this.#schedule.refreshLater(nowMs)
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
    const bounds = this.#bounds
    if (bounds.passes(this.mtuBytes)) {
      if (stage.thenRaise || bounds.passing > this.mtuBytes) this.#raise(nowMs)
      else this.#confirm(nowMs)
      return
    }
    bounds.forgetFailed()
    bounds.failed([this.mtuBytes, ...bounds.pending(stage.sizes)])
    this.#use(bounds.passing, bounds.anyPasses)
    this.#narrow(nowMs)
  }

  #searched(stage: Stage, nowMs: number): void {
    const bounds = this.#bounds
    if (!bounds.anyPasses) {
      this.state = 'error'
      this.#use(bounds.floor, false)
      this.#rounds.stop()
      this.#schedule.retryLater(nowMs)
      return
    }
    bounds.failed(bounds.pending(stage.sizes))
    if (!bounds.met) this.#narrow(nowMs)
    else if (stage.purpose === 'raise' || bounds.allPasses) this.#complete(nowMs)
    else {
      this.#use(bounds.passing, true)
      this.#raise(nowMs)
    }
  }

  #narrow(nowMs: number): void {
    this.state = 'searching'
    this.#begin('search', this.#bounds.sizesBetween(), nowMs)
  }

  #complete(nowMs: number): void {
    this.state = 'complete'
    this.#use(this.#bounds.passing, true)
    this.#schedule.refreshLater(nowMs)
    this.#confirm(nowMs)
  }

  #confirm(nowMs: number): void {
    this.#rounds.stop()
    this.confirmedMs = nowMs
  }

  #use(mtuBytes: number, confirmed: boolean): void {
    if (mtuBytes < this.mtuBytes) this.#schedule.hints.forgetLarger()
    this.mtuBytes = mtuBytes
    this.confirmed = confirmed
  }
}

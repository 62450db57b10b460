import { answeredEnough, beginRound, type Probe, type Round, RoundTrip } from './round.js'
import { beginStage, copiesIn, isOver, type Purpose, type Stage, VERIFY_SPACING_MS } from './stage.js'

/** After this many rounds without any answer, the far end counts as silent. */
const SILENT_ROUNDS = 5

/** Runs one stage after another: when a round of it begins and ends, and what the answers say of the round. */
export class Rounds {
  #stage: Stage | undefined
  #round: Round | undefined
  /** How many rounds there were. */
  #begun = 0
  readonly #roundTrip = new RoundTrip()

  /** The stage that runs now. */
  get stage(): Stage | undefined {
    return this.#stage
  }

  /** @param thenRaise for `verify`: look for larger sizes afterwards */
  begin(purpose: Purpose, sizes: number[], nowMs: number, thenRaise: boolean): void {
    this.#round = undefined
    this.#stage = beginStage(purpose, sizes, thenRaise, this.#begun, nowMs)
  }

  /** No stage runs any more. */
  stop(): void {
    this.#round = undefined
    this.#stage = undefined
  }

  /** When a round of the stage ends or the next one begins; undefined if no stage runs. */
  get nextMs(): number | undefined {
    const stage = this.#stage
    const round = this.#round
    if (stage === undefined || round === undefined) return stage?.nextMs
    return round.answeredMs === undefined
      ? round.sentMs + this.#roundTrip.timeoutMs(stage.silent)
      : round.answeredMs + this.#roundTrip.graceMs
  }

  /**
   * Ends the round if it is time for that.
   * @returns `over` if it was the stage's last one; `silent` if the far end has not answered for too long
   */
  endRound(nowMs: number): 'over' | 'silent' | undefined {
    const stage = this.#stage
    const round = this.#round
    if (stage === undefined || round === undefined || nowMs < (this.nextMs as number)) return undefined
    this.#round = undefined
    if (round.answeredMs === undefined) {
      stage.nextMs = nowMs
      return ++stage.silent >= SILENT_ROUNDS ? 'silent' : undefined
    }
    stage.nextMs = Math.max(nowMs, round.sentMs + stage.spacingMs)
    return isOver(stage, answeredEnough(round)) ? 'over' : undefined
  }

  /** The stage, if its next round may begin now. */
  due(nowMs: number): Stage | undefined {
    const stage = this.#stage
    return stage === undefined || this.#round !== undefined || nowMs < stage.nextMs ? undefined : stage
  }

  /** Begins a round that tests these sizes. @returns the packets to send, in this order */
  beginRound(stage: Stage, sizes: readonly number[], nowMs: number): readonly Probe[] {
    const tested = Array.from({ length: copiesIn(stage) }, () => sizes).flat()
    const { round, probes } = beginRound(tested, ++this.#begun, nowMs)
    this.#round = round
    return probes
  }

  /** The far end has acknowledged this probe. */
  answered({ sizeBytes, sentMs, round: number, last }: Probe, nowMs: number): void {
    if (this.#stage !== undefined) this.#stage.silent = 0
    if (sizeBytes !== 0) return
    this.#roundTrip.took(nowMs - sentMs)
    const round = this.#round
    if (round?.number !== number) return
    round.answered++
    if (last) round.answeredMs ??= nowMs
  }

  /** The round was not sent as it should be. It does not count. */
  spoiled(nowMs: number): void {
    this.#round = undefined
    if (this.#stage !== undefined) this.#stage.nextMs = nowMs + VERIFY_SPACING_MS
  }
}

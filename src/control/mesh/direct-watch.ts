/** A peer from which something ought to come is asked after so long without anything from it, and then so often. */
const ASK_MS = 1_000
const ASK_AGAIN_MS = 500

/** The direct path to it is lost after so long without an answer. */
const LOST_MS = 3_000

/** The same, if it says something by way of an introducer: it may have found that the direct path is lost. */
const LEFT_MS = 2_000

/** What is known of a peer at one moment. The counts are since any time. */
export interface DirectMoment {
  readonly nowMs: number
  /** Frames for it: what ought to bring something from it. */
  readonly tried: number
  /** Messages that have come from it directly. */
  readonly heard: number
  /** Messages that have come from it by way of an introducer. */
  readonly relayed: number
}

export type DirectVerdict = 'good' | 'ask' | 'lost'

/** Whether the direct path to a peer still carries something in both directions. */
export class DirectWatch {
  #before: DirectMoment
  /** Since when something ought to come, and nothing has; undefined if that is not so. */
  #sinceMs: number | undefined
  /** Whether it has said something by way of an introducer since then. */
  #isRelayed = false
  #askedMs = Number.NEGATIVE_INFINITY

  constructor(start: DirectMoment) {
    this.#before = start
  }

  /** Must be called often. `ask`: send it a keepalive now. */
  look(moment: DirectMoment): DirectVerdict {
    const { nowMs, tried, heard, relayed } = moment
    const before = this.#before
    this.#before = moment
    if (heard !== before.heard) {
      this.#sinceMs = undefined
      this.#isRelayed = false
      return 'good'
    }
    if (relayed !== before.relayed) this.#isRelayed = true
    if (tried !== before.tried || relayed !== before.relayed) this.#sinceMs ??= nowMs
    if (this.#sinceMs === undefined) return 'good'
    const forMs = nowMs - this.#sinceMs
    if (forMs >= (this.#isRelayed ? LEFT_MS : LOST_MS)) return 'lost'
    if (forMs < ASK_MS || nowMs - this.#askedMs < ASK_AGAIN_MS) return 'good'
    this.#askedMs = nowMs
    return 'ask'
  }
}

/** A peer from which something ought to come is asked after so long and a round trip, and then so often. */
const ASK_MS = 300
const ASK_AGAIN_MS = 100

/** The way to it is lost after so many questions without an answer, and so long and two round trips after the last one. */
const ASKS = 8
const ANSWER_MS = 200

/** The same number, if it says something by another way: it may have found that this one is lost. */
const LEFT_ASKS = 3

/** How long there and back takes, if that is not known. */
const ROUND_TRIP_MS = 100

/** What is known of a peer at one moment. The counts are since any time. */
export interface DirectMoment {
  readonly nowMs: number
  /** Frames and keepalives for it: what ought to bring something from it. */
  readonly tried: number
  /** Messages that have come from it by the way that is watched. */
  readonly heard: number
  /** Messages that have come by another one. */
  readonly relayed: number
  /** How long a message there and back takes; undefined if that is not known. */
  readonly roundTripMs: number | undefined
}

export type DirectVerdict = 'good' | 'ask' | 'lost'

/**
 * Whether a way to a peer still carries something in both directions. What counts is how many questions are unanswered, and
 * not for how long: if this host itself stands still for a moment, it has not asked meanwhile. With a loss of a fifth, one in
 * 3,500 such series is lost as a whole.
 */
export class DirectWatch {
  #before: DirectMoment
  /** Since when something ought to come, and nothing has; undefined if that is not so. */
  #sinceMs: number | undefined
  /** Whether it has said something by another way since then. */
  #isRelayed = false
  /** How often it was asked since then, and last when. */
  #asks = 0
  #askedMs = 0

  constructor(start: DirectMoment) {
    this.#before = start
  }

  /** Since when nothing has come that ought to; undefined if all is well. */
  get sinceMs(): number | undefined {
    return this.#sinceMs
  }

  /** Must be called often. `ask`: send it a keepalive now. `lost` stays until something comes. */
  look(moment: DirectMoment): DirectVerdict {
    const { nowMs, tried, heard, relayed, roundTripMs = ROUND_TRIP_MS } = moment
    const before = this.#before
    this.#before = moment
    if (heard !== before.heard) {
      this.#sinceMs = undefined
      this.#isRelayed = false
      this.#asks = 0
      return 'good'
    }
    if (relayed !== before.relayed) this.#isRelayed = true
    if (tried !== before.tried || relayed !== before.relayed) this.#sinceMs ??= nowMs
    if (this.#sinceMs === undefined) return 'good'
    if (nowMs < this.#dueMs(this.#sinceMs, roundTripMs)) return 'good'
    if (this.#asks >= this.#enough) return 'lost'
    this.#asks++
    this.#askedMs = nowMs
    return 'ask'
  }

  get #enough(): number {
    return this.#isRelayed ? LEFT_ASKS : ASKS
  }

  /** When the next question is due, or the last one should be answered. */
  #dueMs(sinceMs: number, roundTripMs: number): number {
    if (this.#asks === 0) return sinceMs + (this.#isRelayed ? 0 : ASK_MS + roundTripMs)
    if (this.#asks >= this.#enough) return this.#askedMs + ANSWER_MS + 2 * roundTripMs
    return this.#askedMs + Math.max(ASK_AGAIN_MS, roundTripMs / 4)
  }
}

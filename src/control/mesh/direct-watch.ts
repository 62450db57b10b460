/** A peer to which something has gone is asked after so long without anything from it, and then so often. */
const ASK_MS = 1_000

/** The direct path to it is lost after so long without an answer. */
const LOST_MS = 4_000

/** What is known of a peer at one moment. The counts are since any time. */
export interface DirectMoment {
  readonly nowMs: number
  /** Frames that have gone to it. */
  readonly sent: number
  /** Messages that have come from it directly. */
  readonly heard: number
}

export type DirectVerdict = 'good' | 'ask' | 'lost'

/** Whether the direct path to a peer still carries something in both directions. */
export class DirectWatch {
  #sent: number
  #heard: number
  /** Since when something has gone there and nothing has come; undefined if nothing waits for an answer. */
  #sinceMs: number | undefined
  #askedMs = Number.NEGATIVE_INFINITY

  constructor({ sent, heard }: DirectMoment) {
    this.#sent = sent
    this.#heard = heard
  }

  /** Must be called often. `ask`: send it a keepalive now. */
  look({ nowMs, sent, heard }: DirectMoment): DirectVerdict {
    if (heard !== this.#heard) this.#sinceMs = undefined
    else if (sent !== this.#sent) this.#sinceMs ??= nowMs
    this.#heard = heard
    this.#sent = sent
    if (this.#sinceMs === undefined) return 'good'
    const forMs = nowMs - this.#sinceMs
    if (forMs >= LOST_MS) return 'lost'
    if (forMs < ASK_MS || nowMs - this.#askedMs < ASK_MS) return 'good'
    this.#askedMs = nowMs
    return 'ask'
  }
}

/**
 * How a peer is. `new`: nothing has come from it yet. `up`: something came lately. `silent`: nothing has come
 * for a while though something should have. `down`: it answers keepalives, and has missed several.
 */
export const PEER_STATES = ['new', 'up', 'silent', 'down'] as const

export type PeerState = (typeof PEER_STATES)[number]

/** How often a peer that is not otherwise heard is asked whether it is there. */
const HELLO_MS = 5_000

/** Nothing heard for so long, of an end that answers keepalives: at least one answer is missing. */
const SILENT_MS = 2 * HELLO_MS + 1_000

/** Nothing heard for so long, and no answer to {@link MISSED} keepalives. */
const DOWN_MS = 3 * HELLO_MS + 1_000
const MISSED = 3

/** An end that answers no keepalives is silent when frames went to it for so long and none came back. */
const QUIET_MS = 30_000

/** The longest pause between keepalives to an end of which nothing has been heard at all. */
const MAX_PAUSE_MS = 60_000

/** Keepalives that an end may leave unanswered, though it is heard, before it is asked no more. */
const PATIENCE = 3

/** One of which nothing has been heard at all is looked for elsewhere sooner. */
const NEW_QUIET_MS = 10_000

/** What is known of a peer at a moment. Counts are since the start. */
export interface PeerMoment {
  readonly nowMs: number
  readonly sentFrames: number
  readonly receivedFrames: number
}

/** What is to be done about a peer now. */
export interface PeerDuty {
  /** Send it a keepalive. */
  readonly hello: boolean
  /** Find out anew where it is, and try elsewhere. */
  readonly locate: boolean
}

/**
 * A peer's life, from what is heard of it: frames, and answers to keepalives, which an end other than
 * udptun-fast does not give and is then spared. The clock is passed in.
 */
export class PeerLife {
  #state: PeerState = 'new'
  #heardMs: number | undefined
  #received: number
  /** When frames last went there that nothing has answered since; undefined while none have. */
  #askedMs: number | undefined
  #sent: number
  /** Whether it has ever answered a keepalive, and how many it has left unanswered since it last did. */
  #answers = false
  #unanswered = 0
  #helloMs: number | undefined
  #locatedMs: number | undefined

  constructor(start: PeerMoment) {
    this.#received = start.receivedFrames
    this.#sent = start.sentFrames
  }

  get state(): PeerState {
    return this.#state
  }

  /** Whether it answers keepalives; undefined while that is not known. */
  get answersHello(): boolean | undefined {
    if (this.#answers) return true
    return this.#unanswered >= PATIENCE && this.#heardMs !== undefined ? false : undefined
  }

  /** When something last came from it, in the clock's terms. */
  get heardMs(): number | undefined {
    return this.#heardMs
  }

  /** It has answered a keepalive. */
  answered(nowMs: number): void {
    this.#answers = true
    this.#heard(nowMs)
  }

  /** It has sent a keepalive or a probe of its own, so it is one that answers. */
  asked(nowMs: number): void {
    this.answered(nowMs)
  }

  /** It is somewhere else now: whether it is there, and answers, is to be found out anew. */
  moved(): void {
    this.#helloMs = undefined
    this.#unanswered = 0
    this.#askedMs = undefined
  }

  /** To be called now and then. */
  tick(moment: PeerMoment): PeerDuty {
    const { nowMs, sentFrames, receivedFrames } = moment
    if (receivedFrames !== this.#received) this.#heard(nowMs)
    else if (sentFrames !== this.#sent) this.#askedMs ??= nowMs
    this.#received = receivedFrames
    this.#sent = sentFrames
    this.#state = this.#next(nowMs)
    const hello = this.#isHelloDue(nowMs)
    if (hello) {
      this.#helloMs = nowMs
      this.#unanswered++
    }
    return { hello, locate: this.#isLocateDue(nowMs) }
  }

  #heard(nowMs: number): void {
    // What was asked before it was there it could not answer.
    if (this.#heardMs === undefined) this.#unanswered = 0
    this.#heardMs = nowMs
    this.#askedMs = undefined
    this.#state = 'up'
    if (this.#answers) this.#unanswered = 0
  }

  #next(nowMs: number): PeerState {
    if (this.#heardMs === undefined) return 'new'
    const quietMs = nowMs - this.#heardMs
    if (this.#answers) {
      if (quietMs >= DOWN_MS && this.#unanswered >= MISSED) return 'down'
      return quietMs >= SILENT_MS && this.#unanswered > 0 ? 'silent' : 'up'
    }
    return this.#askedMs !== undefined && nowMs - this.#askedMs >= QUIET_MS ? 'silent' : 'up'
  }

  #isLost(nowMs: number): boolean {
    if (this.#state !== 'new') return this.#state !== 'up'
    return this.#askedMs !== undefined && nowMs - this.#askedMs >= NEW_QUIET_MS
  }

  /** Once when it is lost, and then once in {@link QUIET_MS}. */
  #isLocateDue(nowMs: number): boolean {
    if (!this.#isLost(nowMs)) {
      this.#locatedMs = undefined
      return false
    }
    if (this.#locatedMs !== undefined && nowMs - this.#locatedMs < QUIET_MS) return false
    this.#locatedMs = nowMs
    return true
  }

  #isHelloDue(nowMs: number): boolean {
    if (this.#helloMs === undefined) return true
    if (this.answersHello === false) return false
    const heardMs = this.#heardMs ?? Number.NEGATIVE_INFINITY
    if (this.#answers) return nowMs - Math.max(heardMs, this.#helloMs) >= HELLO_MS
    const pauseMs = this.#heardMs === undefined ? 1_000 * 2 ** Math.min(this.#unanswered - 1, 6) : 1_000
    return nowMs - this.#helloMs >= Math.min(pauseMs, MAX_PAUSE_MS)
  }
}

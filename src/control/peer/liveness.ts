/**
 * The states of a peer. `new`: nothing has come from it yet. `up`: something came lately. `silent`: nothing has
 * come for a while, though something should have. `down`: it answers keepalives, and has missed several.
 */
export const PEER_STATES = ['new', 'up', 'silent', 'down'] as const

export type PeerState = (typeof PEER_STATES)[number]

/** How often we send a keepalive to a peer that we do not hear otherwise. */
export const HELLO_MS = 5_000

/**
 * The same for a peer that may be one of many, and to which nobody has anything to say: it keeps a NAT's mapping open. Peers
 * are looked at once a second, so there are 20 s at the most between two.
 */
export const QUIET_HELLO_MS = 19_000

/** Of two ends that would ask each other at the same time, one waits so much longer. */
export const SECOND_MS = 3_000

/** For a peer that answers keepalives: after this long without a message, at least one answer is missing. */
const SILENT_MS = 2 * HELLO_MS + 1_000
const ANSWER_MS = HELLO_MS

/** Such a peer is down after this long without a message, and {@link MISSED} keepalives without an answer. */
const DOWN_MS = 3 * HELLO_MS + 1_000
const MISSED = 3

/** A peer that does not answer keepalives is silent if frames went to it, and none came back for this long. */
const QUIET_MS = 30_000

/** The longest pause between keepalives to a peer that was never heard. */
const MAX_PAUSE_MS = 60_000

/** If a peer is heard but leaves this many keepalives unanswered, we send it no more. */
const PATIENCE = 3

/** A peer that was never heard is looked for elsewhere after this shorter time. */
const NEW_QUIET_MS = 10_000

/** What is known of a peer at one moment. The counts are since the start. */
export interface PeerMoment {
  readonly nowMs: number
  readonly sentFrames: number
  readonly receivedFrames: number
  /** Whether something else than a frame waits for an answer: the first handshake of a private tunnel. */
  readonly asks?: boolean
  /** How often it is asked while it owes no answer, if it answers keepalives; the default is {@link HELLO_MS}. */
  readonly helloMs?: number
}

/** What must be done for a peer now. */
export interface PeerDuty {
  /** Send it a keepalive. */
  readonly hello: boolean
  /** Look for its endpoint again, and try another one. */
  readonly locate: boolean
}

/**
 * The state of a peer, from what is heard of it: frames and answers to keepalives. Only udptun-fast answers
 * keepalives, so other ends soon get none. The clock is passed in.
 */
export class PeerLife {
  #state: PeerState = 'new'
  #heardMs: number | undefined
  #received: number
  /** When we first sent frames that nothing has answered yet; undefined if there are none. */
  #askedMs: number | undefined
  #sent: number
  /** Whether it has ever answered a keepalive, and how many are unanswered since its last answer. */
  #answers = false
  #unanswered = 0
  /** When the first of those was sent. */
  #unansweredMs = 0
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

  /** When something last came from it, on the clock of the caller. */
  get heardMs(): number | undefined {
    return this.#heardMs
  }

  /** It has answered a keepalive. */
  answered(nowMs: number): void {
    this.#answers = true
    this.#heard(nowMs)
  }

  /** It has sent a keepalive or a probe of its own, so it is an end that answers. */
  asked(nowMs: number): void {
    this.answered(nowMs)
  }

  /** Its endpoint has changed. We find out again whether it is there and answers. What came before counts no more. */
  moved({ sentFrames, receivedFrames }: Pick<PeerMoment, 'sentFrames' | 'receivedFrames'>): void {
    this.#received = receivedFrames
    this.#sent = sentFrames
    this.#helloMs = undefined
    this.#unanswered = 0
    this.#askedMs = undefined
  }

  /** Must be called regularly. */
  tick(moment: PeerMoment): PeerDuty {
    const { nowMs, sentFrames, receivedFrames, asks = false, helloMs = HELLO_MS } = moment
    if (receivedFrames !== this.#received) this.#heard(nowMs)
    else if (sentFrames !== this.#sent || asks) this.#askedMs ??= nowMs
    this.#received = receivedFrames
    this.#sent = sentFrames
    // Only what is heard makes it better.
    this.#state = worse(this.#state, this.#next(nowMs))
    const hello = this.#isHelloDue(nowMs, helloMs)
    if (hello) {
      if (this.#unanswered === 0) this.#unansweredMs = nowMs
      this.#helloMs = nowMs
      this.#unanswered++
    }
    return { hello, locate: this.#isLocateDue(nowMs) }
  }

  #heard(nowMs: number): void {
    // It could not answer keepalives that were sent before it was there.
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
      const isMissing = this.#unanswered > 0 && nowMs - this.#unansweredMs >= ANSWER_MS
      return quietMs >= SILENT_MS && isMissing ? 'silent' : 'up'
    }
    return this.#askedMs !== undefined && nowMs - this.#askedMs >= QUIET_MS ? 'silent' : 'up'
  }

  #isLost(nowMs: number): boolean {
    if (this.#state !== 'new') return this.#state !== 'up'
    return this.#askedMs !== undefined && nowMs - this.#askedMs >= NEW_QUIET_MS
  }

  /** True when the peer gets lost, and then once every {@link QUIET_MS}. */
  #isLocateDue(nowMs: number): boolean {
    if (!this.#isLost(nowMs)) {
      this.#locatedMs = undefined
      return false
    }
    if (this.#locatedMs !== undefined && nowMs - this.#locatedMs < QUIET_MS) return false
    this.#locatedMs = nowMs
    return true
  }

  #isHelloDue(nowMs: number, helloMs: number): boolean {
    if (this.#helloMs === undefined) return true
    if (this.answersHello === false) return false
    const heardMs = this.#heardMs ?? Number.NEGATIVE_INFINITY
    const owes = this.#unanswered > 0 || this.#askedMs !== undefined
    if (this.#answers) return nowMs - Math.max(heardMs, this.#helloMs) >= (owes ? HELLO_MS : helloMs)
    const pauseMs = this.#heardMs === undefined ? 1_000 * 2 ** Math.min(this.#unanswered - 1, 6) : 1_000
    return nowMs - this.#helloMs >= Math.min(pauseMs, MAX_PAUSE_MS)
  }
}

function worse(a: PeerState, b: PeerState): PeerState {
  return PEER_STATES[Math.max(PEER_STATES.indexOf(a), PEER_STATES.indexOf(b))]
}

import type { Introduction, Position, ToldMember } from '../../wire/introduction.js'
import { Introductions } from './introductions.js'

/** A member that knows of changes that it has not got asks so often. */
const MISSING_MS = 300

/** One that has all asks so often whether that is so. An introducer that has lost track of it learns where it is. */
const COMPLETE_MS = 10_000

/** An introducer that has not answered so often in a row may be one that introduces nobody, or be away. */
const PATIENCE = 5
const IMPATIENT_MS = 60_000

/** A member's part with one introducer: when it asks, and what it has learnt. */
export class IntroducerClient {
  readonly #introductions = new Introductions()
  #session: number | undefined
  #unanswered = 0
  /** Otherwise it may be one that introduces nobody. */
  #hasAnswered = false
  #askedMs = Number.NEGATIVE_INFINITY
  #mustAcknowledge = false
  #relays = false

  /** The public keys of those that it introduces, in base64. */
  get keys(): readonly string[] {
    return this.#introductions.keys
  }

  /** What it tells of the host with this public key, in base64; undefined if it does not introduce that. */
  member(key: string): ToldMember | undefined {
    return this.#introductions.member(key)
  }

  /** Whether it relays between its members. */
  get relays(): boolean {
    return this.#relays
  }

  /** This host has something else to say of itself, which goes with a question. */
  tell(): void {
    this.#mustAcknowledge = true
  }

  /** @returns the public keys, in base64, of the members that are others now */
  take(introduction: Introduction): string[] {
    this.#relays = introduction.relays === true
    this.#unanswered = 0
    this.#hasAnswered = true
    if (introduction.kind !== 'nothing') this.#mustAcknowledge = true
    return this.#introductions.take(introduction)
  }

  /**
   * Must be called often.
   * @param session when the keys in use with the introducer were made; undefined if there are none
   * @returns what it asks for now; undefined if it does not
   */
  ask(session: number | undefined, nowMs: number): Position | undefined {
    if (session === undefined) return undefined
    // After a restart of the introducer there are new keys.
    const isNew = session !== this.#session
    if (isNew) this.#unanswered = this.#hasAnswered ? 0 : Math.min(this.#unanswered, PATIENCE - 1)
    this.#session = session
    if (!isNew && !this.#mustAcknowledge && nowMs - this.#askedMs < this.#pauseMs) return undefined
    this.#mustAcknowledge = false
    this.#askedMs = nowMs
    this.#unanswered++
    return this.#introductions.position
  }

  /**
   * Whether so many questions are unanswered that the introducer may have restarted, and have lost the keys. Without
   * other traffic, nobody would find out before the keys are renewed.
   */
  get isLost(): boolean {
    return this.#hasAnswered && this.#unanswered >= PATIENCE
  }

  get #pauseMs(): number {
    if (this.#unanswered >= PATIENCE) return IMPATIENT_MS
    return this.#unanswered > 0 || !this.#introductions.isComplete ? MISSING_MS : COMPLETE_MS
  }
}

import type { TransportKeys } from './handshake.js'
import type { Keypairs } from './keypairs.js'

/** One keypair, as its timers see it. */
export interface Keypair {
  readonly index: number
  /** Whether this end has begun the handshake that it is of. */
  readonly initiator: boolean
  readonly establishedMs: number
  /** How much later than usual it is renewed. */
  readonly lateMs: number
}

/** What a handshake has given. */
export interface NewKeys {
  readonly index: number
  /** By which the other end calls it. */
  readonly remoteIndex: number
  /** They are wiped when they are stored. */
  readonly keys: TransportKeys
}

/**
 * The keypairs with one peer. There are three: the previous one, the one in use, and the next one, which the other end has
 * not used yet.
 */
export class SessionKeys {
  /** When the keypair in use was made. */
  handshakeMs: number | undefined
  readonly #row: number
  readonly #keypairs: Keypairs
  readonly #rejectAfterMs: number
  #previous: Keypair | undefined
  #current: Keypair | undefined
  #next: Keypair | undefined
  /** When all are wiped, if there is no new handshake until then; undefined if there is nothing to wipe. */
  #wipeDueMs: number | undefined

  constructor(row: number, keypairs: Keypairs, rejectAfterMs: number) {
    this.#row = row
    this.#keypairs = keypairs
    this.#rejectAfterMs = rejectAfterMs
  }

  /** The one in use. */
  get current(): Keypair | undefined {
    return this.#current
  }

  get next(): Keypair | undefined {
    return this.#next
  }

  get any(): boolean {
    return (this.#current ?? this.#next ?? this.#previous) !== undefined
  }

  /** The peer has begun a handshake, and is answered. The keypair waits until it uses it; see {@link confirm}. */
  responded(made: NewKeys, nowMs: number): void {
    // The white paper's implementations drop the previous keypair, too. But if both ends began at once, the other end
    // may still seal with it, until it gets this response. Everything would be lost until then.
    this.#drop(this.#next)
    this.#next = this.#establish(made, false, nowMs, 0)
  }

  /** The peer has answered a handshake of this end. The keypair is in use at once. */
  initiated(made: NewKeys, nowMs: number, lateMs: number): void {
    const keypair = this.#establish(made, true, nowMs, lateMs)
    this.#drop(this.#previous)
    this.#previous = this.#current
    if (this.#next !== undefined) {
      this.#drop(this.#current)
      this.#previous = this.#next
      this.#next = undefined
    }
    this.#use(keypair)
  }

  /** The peer has used the next keypair for the first time, so this end uses it, too. */
  confirm(): void {
    const next = this.#next
    if (next === undefined) return
    this.#drop(this.#previous)
    this.#previous = this.#current
    this.#next = undefined
    this.#use(next)
  }

  /** Drops those that are too old. */
  expire(nowMs: number): void {
    const isOver = (keypair: Keypair | undefined) =>
      keypair !== undefined && nowMs - keypair.establishedMs >= this.#rejectAfterMs
    if (isOver(this.#current)) {
      this.#keypairs.sealWith(this.#row, undefined)
      this.#drop(this.#current)
      this.#current = undefined
    }
    if (isOver(this.#previous)) {
      this.#drop(this.#previous)
      this.#previous = undefined
    }
    if (isOver(this.#next)) {
      this.#drop(this.#next)
      this.#next = undefined
    }
  }

  /** There may never be a new handshake. */
  wipeLater(nowMs: number): void {
    this.#wipeDueMs ??= nowMs + this.#rejectAfterMs * 3
  }

  /** Whether there was no new handshake for so long that all must be wiped. */
  isWipeDue(nowMs: number): boolean {
    return this.#wipeDueMs !== undefined && nowMs >= this.#wipeDueMs
  }

  wipe(): void {
    this.#keypairs.sealWith(this.#row, undefined)
    for (const keypair of [this.#previous, this.#current, this.#next]) this.#drop(keypair)
    this.#previous = undefined
    this.#current = undefined
    this.#next = undefined
    this.#wipeDueMs = undefined
  }

  #establish(
    { index, remoteIndex, keys }: NewKeys,
    initiator: boolean,
    nowMs: number,
    lateMs: number,
  ): Keypair {
    this.#keypairs.establish(index, remoteIndex, keys, nowMs + this.#rejectAfterMs)
    this.#wipeDueMs = nowMs + this.#rejectAfterMs * 3
    return { index, initiator, establishedMs: nowMs, lateMs }
  }

  #use(keypair: Keypair): void {
    this.#current = keypair
    this.handshakeMs = keypair.establishedMs
    this.#keypairs.sealWith(this.#row, keypair.index)
  }

  #drop(keypair: Keypair | undefined): void {
    if (keypair !== undefined) this.#keypairs.release(keypair.index)
  }
}

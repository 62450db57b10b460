import { wipe } from '../crypto/primitives.js'
import { RESPONSE } from '../wire/wireguard.js'
import type { HandshakeContext } from './context.js'
import {
  createInitiation,
  type Initiated,
  type KnownPeer,
  readResponse,
  type TransportKeys,
} from './handshake.js'
import { tai64n } from './tai64n.js'
import type { Times } from './times.js'

/** Retries are spread by up to a third of a second, so that two ends do not keep sending at the same moment. */
const JITTER_MS = 334

/** A handshake that this end has begun. */
interface Attempt {
  readonly index: number
  readonly initiated: Initiated
  /** When the first of these tries was sent. */
  readonly startedMs: number
  readonly retransmitHandshakeMs: number
  /** When this try was sent: later than its start, by what its arithmetic took. */
  readonly sentMs: number
  /** Whether it looks for the peer, and so went elsewhere than to its endpoint. */
  readonly seeks: boolean
}

/** What the peer's answer has given. */
export interface Answer {
  readonly index: number
  readonly keys: TransportKeys
  /** When the initiation was sent. */
  readonly sentMs: number
}

export interface InitiatorOptions {
  readonly row: number
  readonly acquaintance: KnownPeer
  readonly times: Times
  /** Writes the macs into a message with this index. */
  readonly stamp: (message: Buffer, index: number, nowMs: number) => void
  /** An initiation is sent. */
  readonly onSend: (nowMs: number) => void
}

/**
 * For so long after an answer, no initiation is sent. Linux waits for REKEY_TIMEOUT (5 s). But if a NAT lets only one end
 * begin, and answers are lost, the two ends would wait for each other again and again.
 */
const ANSWERED_MS = 1_000

/** The handshakes that this end begins with one peer: one at a time, tried again until it is answered or given up. */
export class Initiator {
  readonly #context: HandshakeContext
  readonly #options: InitiatorOptions
  #attempt: Attempt | undefined
  #sentMs = Number.NEGATIVE_INFINITY
  #answeredMs = Number.NEGATIVE_INFINITY

  constructor(context: HandshakeContext, options: InitiatorOptions) {
    this.#context = context
    this.#options = options
  }

  /** Whether a handshake is unanswered. */
  get isRunning(): boolean {
    return this.#attempt !== undefined
  }

  /** When the last initiation was sent. */
  get sentMs(): number {
    return this.#sentMs
  }

  /**
   * This end has answered the peer's own initiation. Its keys come with the peer's first message, so no handshake is needed
   * meanwhile. If the answer is lost, either end may try again.
   */
  answered(nowMs: number): void {
    this.#answeredMs = nowMs
  }

  /** Begins a handshake. If one is running, its tries are counted from now. */
  initiate(nowMs: number): void {
    if (this.#attempt !== undefined) this.#attempt = { ...this.#attempt, startedMs: nowMs }
    this.#send(nowMs, nowMs)
  }

  /** Begins a handshake with a peer that may be at any of these places. */
  seek(places: readonly Uint8Array[], nowMs: number): void {
    this.#begin(places, nowMs, nowMs, true)
  }

  #send(nowMs: number, startedMs: number): void {
    const { row, times } = this.#options
    const endpoint = this.#context.endpointOf(row)
    if (endpoint === undefined) return
    if (nowMs - this.#sentMs < times.rekeyTimeoutMs || nowMs - this.#answeredMs < ANSWERED_MS) return
    this.#begin([endpoint], nowMs, startedMs, false)
  }

  #begin(places: readonly Uint8Array[], nowMs: number, startedMs: number, seeks: boolean): void {
    const { protocol, own, keypairs, random } = this.#context
    const { row, acquaintance, times, stamp, onSend } = this.#options
    if (own === undefined) return
    this.end()
    const index = keypairs.reserve(row)
    if (index === undefined) return
    const timestamp = tai64n(this.#context.unixMs())
    const { message, initiated } = createInitiation(
      protocol,
      own,
      acquaintance,
      index,
      this.#context.ephemeral(),
      timestamp,
    )
    stamp(message, index, nowMs)
    const retryMs = nowMs + times.rekeyTimeoutMs + (random(1)[0] / 256) * JITTER_MS
    const sentMs = this.#context.nowMs?.() ?? nowMs
    this.#attempt = { index, initiated, startedMs, retransmitHandshakeMs: retryMs, sentMs, seeks }
    this.#sentMs = nowMs
    onSend(nowMs)
    for (const place of places) this.#context.send(message, place)
  }

  /** Gives up a handshake that is running. */
  end(): void {
    if (this.#attempt === undefined) return
    wipe(this.#attempt.initiated.chainingKey, this.#attempt.initiated.hash)
    this.#context.keypairs.release(this.#attempt.index)
    this.#attempt = undefined
  }

  /** This end is another one from now on, and may begin at once. */
  reset(): void {
    this.end()
    this.#sentMs = Number.NEGATIVE_INFINITY
    this.#answeredMs = Number.NEGATIVE_INFINITY
  }

  /**
   * Must be called often: tries again when it is time.
   * @param hasKeypair whether there are keys by another handshake
   * @returns whether it was tried for too long, and is given up
   */
  retry(nowMs: number, hasKeypair: boolean): boolean {
    const attempt = this.#attempt
    if (attempt === undefined || nowMs < attempt.retransmitHandshakeMs) return false
    if (attempt.seeks && hasKeypair) {
      // There was another way all the time.
      this.end()
      return false
    }
    if (nowMs - attempt.startedMs < this.#options.times.rekeyAttemptMs) {
      this.#send(nowMs, attempt.startedMs)
      return false
    }
    this.end()
    return true
  }

  /**
   * Takes the response. The handshake is over only if the caller {@link finish}es it.
   * @returns or why it is not taken
   */
  open(message: Buffer, nowMs: number): Answer | 'old' | 'not authentic' {
    const attempt = this.#attempt
    const { own } = this.#context
    const { acquaintance, times } = this.#options
    if (
      attempt === undefined ||
      own === undefined ||
      attempt.index !== message.readUInt32LE(RESPONSE.receiver)
    )
      return 'not authentic'
    // The response may have waited here during a suspend. The other end's keys may have expired meanwhile.
    if (nowMs - attempt.sentMs >= times.rejectAfterMs) return 'old'
    const keys = readResponse(attempt.initiated, own, acquaintance, message)
    return keys === undefined ? 'not authentic' : { index: attempt.index, keys, sentMs: attempt.sentMs }
  }

  /** The handshake has given keys. Its index is that of the keypair now. */
  finish(): void {
    if (this.#attempt === undefined) return
    wipe(this.#attempt.initiated.chainingKey, this.#attempt.initiated.hash)
    this.#attempt = undefined
  }
}

import { timingSafeEqual } from 'node:crypto'
import { wipe } from '../crypto/primitives.js'
import {
  COOKIE_REPLY,
  KEEPALIVE_TIMEOUT_MS,
  REJECT_AFTER_TIME_MS,
  REKEY_AFTER_TIME_MS,
  REKEY_ATTEMPT_TIME_MS,
  REKEY_TIMEOUT_MS,
  RESPONSE,
  TIMESTAMP_BYTES,
} from '../wire/wireguard.js'
import {
  type Authenticated,
  createInitiation,
  createResponse,
  type Initiated,
  type KnownPeer,
  knowAgain,
  type Protocol,
  readResponse,
  type TransportKeys,
} from './handshake.js'
import type { Activity, Keypairs } from './keypairs.js'
import type { OwnIdentity } from './keys.js'
import { MacStamp } from './macs.js'
import { tai64n } from './tai64n.js'

/**
 * A keypair is renewed after this many messages. The white paper allows 2^60. Message numbers here have only 32
 * bits, so that one atomic addition takes a number (memory/keypair-table.ts). At a million messages a second,
 * they last an hour.
 */
const REKEY_AFTER_MESSAGES = 2 ** 31

/** Retries are spread by up to a third of a second, so that two ends do not keep sending at the same moment. */
const JITTER_MS = 334

/** The least time between two initiations that we accept from one peer (the white paper: 50 a second). */
const INITIATION_INTERVAL_MS = 20

/** What the keypairs and handshakes of a peer need from outside. */
export interface HandshakeContext {
  readonly protocol: Protocol
  /** Undefined while this end has no private key. It then begins no handshake, and answers none. It may change. */
  readonly own: OwnIdentity | undefined
  readonly keypairs: Keypairs
  /** Secret random bytes. */
  random(bytes: number): Uint8Array
  /** Milliseconds since 1970. */
  unixMs(): number
  /** The present time of the clock that all times are of, if a caller's time may be older. */
  nowMs?(): number
  /** Sends a handshake message. @param to a socket address, as bytes */
  send(message: Uint8Array, to: Uint8Array): void
  /** Seals an empty message with the keypair in use, and sends it. */
  sendKeepalive(row: number): void
  /** The endpoint of a peer as a socket address; undefined while it is not known. */
  endpointOf(row: number): Uint8Array | undefined
  /**
   * An authentic message of a peer came from `source`. The peer is there from now on.
   * @param answers whether it answers a message of this end, so that the way there is known to be good
   * @returns false if no peer can be there; the peer has not moved then
   */
  roamed(row: number, source: Uint8Array, answers: boolean): boolean
  /** The default is {@link TIMES}. */
  readonly times?: Partial<Times>
}

export interface Times {
  readonly rekeyAfterMs: number
  readonly rejectAfterMs: number
  readonly rekeyTimeoutMs: number
  readonly rekeyAttemptMs: number
  readonly keepaliveTimeoutMs: number
}

/** The white paper's times. */
export const TIMES: Times = {
  rekeyAfterMs: REKEY_AFTER_TIME_MS,
  rejectAfterMs: REJECT_AFTER_TIME_MS,
  rekeyTimeoutMs: REKEY_TIMEOUT_MS,
  rekeyAttemptMs: REKEY_ATTEMPT_TIME_MS,
  keepaliveTimeoutMs: KEEPALIVE_TIMEOUT_MS,
}

export interface PeerOptions {
  /** Its row, as in {@link Keypairs}. */
  readonly row: number
  readonly known: KnownPeer
  /** In milliseconds; 0 for none. */
  readonly persistentKeepaliveMs?: number
  /** The greatest timestamp of its initiations so far. Only a later initiation is accepted. */
  readonly greatestTimestamp?: Buffer | undefined
}

/** The settings that may change while the peer stays the same. */
export interface PeerChange {
  /** 32 bytes, zeros if there is none; undefined if it stays as it is. */
  readonly presharedKey: Uint8Array | undefined
  /** 0 for none. */
  readonly persistentKeepaliveMs: number
}

/**
 * The result of an authentic handshake message of this peer. `misplaced`: it came from where no peer can be.
 */
export type Taken = 'accepted' | 'old' | 'not authentic' | 'misplaced'

interface Keypair {
  readonly index: number
  readonly initiator: boolean
  readonly establishedMs: number
  /** How much later than usual it is renewed. */
  readonly lateMs: number
}

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

/**
 * One peer: its keypairs, its handshakes, and the timers of section 6 of the white paper. There are three
 * keypairs: the previous one, the one in use, and the next one, which the other end has not used yet. Times are
 * milliseconds on a clock that never runs backward. {@link tick} must be called often; it sets how exact the
 * timers are.
 */
export class Peer {
  readonly row: number
  readonly acquaintance: KnownPeer
  /** When the keypair in use was made. */
  handshakeMs: number | undefined
  /**
   * How long its last answer to this end's handshake took; undefined if it has not answered one. Only renewals count:
   * the first handshake is at a start, when both ends may have other things to do.
   */
  roundTripMs: number | undefined
  readonly #context: HandshakeContext
  readonly #times: Times
  readonly #macs: MacStamp
  #persistentKeepaliveMs: number
  #previous: Keypair | undefined
  #current: Keypair | undefined
  #next: Keypair | undefined
  #attempt: Attempt | undefined
  #initiationSentMs = Number.NEGATIVE_INFINITY
  #initiationTakenMs = Number.NEGATIVE_INFINITY
  #greatestTimestamp: Buffer
  #activity: Activity
  /** Whether there were keys at the last tick. */
  #hadKeys = false
  /** Deadlines; undefined while a timer is not running. */
  #newHandshakeDueMs: number | undefined
  /** Of keys with another preshared key. */
  #presharedKeyDueMs: number | undefined
  #sendKeepaliveDueMs: number | undefined
  #persistentKeepaliveDueMs: number | undefined
  #zeroKeyMaterialDueMs: number | undefined
  #needsAnotherKeepalive = false

  constructor(around: HandshakeContext, options: PeerOptions, nowMs: number) {
    this.row = options.row
    this.acquaintance = options.known
    this.#context = around
    this.#times = { ...TIMES, ...around.times }
    this.#macs = new MacStamp(options.known.identity)
    this.#persistentKeepaliveMs = options.persistentKeepaliveMs ?? 0
    this.#greatestTimestamp = options.greatestTimestamp ?? Buffer.alloc(TIMESTAMP_BYTES)
    this.#activity = around.keypairs.activity(this.row)
    if (this.#persistentKeepaliveMs > 0) this.#persistentKeepaliveDueMs = nowMs
  }

  get hasKeypair(): boolean {
    return this.#current !== undefined
  }

  /** Whether a handshake of this end is unanswered, and there are no keys without it. */
  get asks(): boolean {
    return this.#attempt !== undefined && this.#current === undefined
  }

  /** Its endpoint as a socket address; undefined while it is not known. */
  get endpoint(): Uint8Array | undefined {
    return this.#context.endpointOf(this.row)
  }

  /** The greatest timestamp of the initiations that were accepted; zeros before the first. */
  get greatestTimestamp(): Buffer {
    return this.#greatestTimestamp
  }

  /**
   * Changes its settings. The keys stay. After another preshared key, new ones are asked for; until they come, or the
   * old ones expire, the other end may not have that key yet.
   */
  change({ presharedKey, persistentKeepaliveMs }: PeerChange, nowMs: number): void {
    if (presharedKey !== undefined && !timingSafeEqual(presharedKey, this.acquaintance.presharedKey)) {
      this.acquaintance.presharedKey.set(presharedKey)
      this.#presharedKeyDueMs = Math.max(nowMs, this.#initiationSentMs + this.#times.rekeyTimeoutMs)
    }
    if (persistentKeepaliveMs === this.#persistentKeepaliveMs) return
    this.#persistentKeepaliveMs = persistentKeepaliveMs
    this.#persistentKeepaliveDueMs = persistentKeepaliveMs > 0 ? nowMs : undefined
  }

  /**
   * This end has another private key, or none. The session and the handshakes of the one before end. If there were any,
   * a new handshake begins.
   */
  identify(nowMs: number): void {
    const was = this.#attempt ?? this.#current ?? this.#next ?? this.#previous
    this.wipe()
    knowAgain(this.#context.own, this.acquaintance)
    this.#newHandshakeDueMs = undefined
    this.#presharedKeyDueMs = undefined
    this.#sendKeepaliveDueMs = undefined
    this.#initiationSentMs = Number.NEGATIVE_INFINITY
    if (was !== undefined) this.initiate(nowMs)
  }

  /** Begins a handshake. If one is running, its tries are counted from now. */
  initiate(nowMs: number): void {
    if (this.#attempt !== undefined) this.#attempt = { ...this.#attempt, startedMs: nowMs }
    this.#sendInitiation(nowMs, nowMs)
  }

  /**
   * Begins a handshake with a peer of which nobody knows where it is. Unlike {@link initiate}, it does not wait for the
   * answer to the one before, which went elsewhere or was lost at a firewall.
   * @param places where it may be, as in {@link endpoint}. It is where its answer comes from
   */
  seek(places: readonly Uint8Array[], nowMs: number): void {
    this.#begin(places, nowMs, nowMs, true)
  }

  #sendInitiation(nowMs: number, startedMs: number): void {
    const { endpoint } = this
    if (endpoint === undefined) return
    if (nowMs - this.#initiationSentMs < this.#times.rekeyTimeoutMs) return
    this.#begin([endpoint], nowMs, startedMs, false)
  }

  #begin(places: readonly Uint8Array[], nowMs: number, startedMs: number, seeks: boolean): void {
    const { protocol, own, keypairs, random } = this.#context
    if (own === undefined) return
    this.#endAttempt()
    const index = keypairs.reserve(this.row)
    if (index === undefined) return
    const timestamp = tai64n(this.#context.unixMs())
    const { message, initiated } = createInitiation(
      protocol,
      own,
      this.acquaintance,
      index,
      random(32),
      timestamp,
    )
    this.#stamp(message, index, nowMs)
    const retryMs = nowMs + this.#times.rekeyTimeoutMs + (random(1)[0] / 256) * JITTER_MS
    const sentMs = this.#context.nowMs?.() ?? nowMs
    this.#attempt = { index, initiated, startedMs, retransmitHandshakeMs: retryMs, sentMs, seeks }
    this.#initiationSentMs = nowMs
    this.#authenticatedPacketTraversed(nowMs)
    for (const place of places) this.#context.send(message, place)
  }

  #endAttempt(): void {
    if (this.#attempt === undefined) return
    wipe(this.#attempt.initiated.chainingKey, this.#attempt.initiated.hash)
    this.#context.keypairs.release(this.#attempt.index)
    this.#attempt = undefined
  }

  /** Answers an initiation of this peer. The result `old` also means that it was repeated, or came too soon. */
  takeInitiation(initiation: Authenticated, source: Uint8Array, nowMs: number): Taken {
    const { keypairs, random } = this.#context
    if (initiation.timestamp.compare(this.#greatestTimestamp) <= 0) return 'old'
    if (nowMs - this.#initiationTakenMs < INITIATION_INTERVAL_MS) return 'old'
    const index = keypairs.reserve(this.row)
    if (index === undefined) return 'old'
    // Treat the message as lost. It may still come from the right place.
    if (!this.#context.roamed(this.row, source, false)) {
      keypairs.release(index)
      return 'misplaced'
    }
    const response = createResponse(initiation, this.acquaintance, index, random(32))
    if (response === undefined) {
      keypairs.release(index)
      return 'not authentic'
    }
    this.#greatestTimestamp = initiation.timestamp
    this.#initiationTakenMs = nowMs
    this.#stamp(response.message, index, nowMs)
    // The white paper's implementations drop the previous keypair, too. But if both ends began at once, the other end
    // may still seal with it, until it gets this response. Everything would be lost until then.
    this.#drop(this.#next)
    this.#next = this.#establish(index, initiation.sender, response.keys, false, nowMs)
    this.#authenticatedPacketTraversed(nowMs)
    this.#context.send(response.message, source)
    return 'accepted'
  }

  /** Takes the response to this end's initiation. */
  takeResponse(message: Buffer, source: Uint8Array, nowMs: number): Taken {
    const attempt = this.#attempt
    const { own } = this.#context
    if (
      attempt === undefined ||
      own === undefined ||
      attempt.index !== message.readUInt32LE(RESPONSE.receiver)
    )
      return 'not authentic'
    // The response may have waited here during a suspend. The other end's keys may have expired meanwhile.
    if (nowMs - this.#initiationSentMs >= this.#times.rejectAfterMs) return 'old'
    const keys = readResponse(attempt.initiated, own, this.acquaintance, message)
    if (keys === undefined) return 'not authentic'
    if (!this.#context.roamed(this.row, source, true)) {
      wipe(keys.send, keys.receive)
      return 'misplaced'
    }
    wipe(attempt.initiated.chainingKey, attempt.initiated.hash)
    this.#attempt = undefined
    if (this.hasKeypair) this.roundTripMs = Math.max(0, nowMs - attempt.sentMs)
    // If both ends began at once, they would do so again at each renewal, and lose what is on its way then.
    const lateMs =
      this.#next === undefined ? 0 : (this.#context.random(1)[0] / 256) * this.#times.rekeyTimeoutMs
    const remoteIndex = message.readUInt32LE(RESPONSE.sender)
    const keypair = this.#establish(attempt.index, remoteIndex, keys, true, nowMs, lateMs)
    this.#drop(this.#previous)
    this.#previous = this.#current
    if (this.#next !== undefined) {
      this.#drop(this.#current)
      this.#previous = this.#next
      this.#next = undefined
    }
    this.#use(keypair)
    this.#authenticatedPacketTraversed(nowMs)
    // The responder may not send before it has received a message under the new keys.
    this.#sendKeepalive(nowMs)
    return 'accepted'
  }

  /** Takes a cookie, for the macs of later messages. */
  takeCookie(reply: Buffer, nowMs: number): boolean {
    if (!this.#macs.takeReply(reply, nowMs)) return false
    this.#context.keypairs.expectCookie(reply.readUInt32LE(COOKIE_REPLY.receiver), false)
    return true
  }

  #stamp(message: Buffer, index: number, nowMs: number): void {
    this.#macs.stamp(message, nowMs)
    this.#context.keypairs.expectCookie(index, true)
  }

  /** A message that was sealed with the keypair `index` has been opened for the first time. */
  confirm(index: number): void {
    const next = this.#next
    if (next?.index !== index) return
    // This end has what its own handshake was for.
    this.#endAttempt()
    this.#drop(this.#previous)
    this.#previous = this.#current
    this.#next = undefined
    this.#use(next)
  }

  /** Runs the timers of section 6. Must be called often. */
  tick(nowMs: number): void {
    this.#expire(nowMs)
    this.#observeTraffic(nowMs)
    if (due(this.#newHandshakeDueMs, nowMs)) {
      this.#newHandshakeDueMs = undefined
      this.initiate(nowMs)
    }
    if (due(this.#presharedKeyDueMs, nowMs)) {
      this.#presharedKeyDueMs = undefined
      if (this.hasKeypair) this.initiate(nowMs)
    }
    if (due(this.#sendKeepaliveDueMs, nowMs)) {
      this.#sendKeepaliveDueMs = this.#needsAnotherKeepalive
        ? nowMs + this.#times.keepaliveTimeoutMs
        : undefined
      this.#needsAnotherKeepalive = false
      this.#sendKeepalive(nowMs)
    }
    if (due(this.#persistentKeepaliveDueMs, nowMs)) {
      this.#persistentKeepaliveDueMs = nowMs + this.#persistentKeepaliveMs
      this.#sendKeepalive(nowMs)
    }
    this.#retry(nowMs)
  }

  /** Forgets all keys and handshakes. */
  wipe(): void {
    this.#endAttempt()
    this.#context.keypairs.sealWith(this.row, undefined)
    for (const keypair of [this.#previous, this.#current, this.#next]) this.#drop(keypair)
    this.#previous = undefined
    this.#current = undefined
    this.#next = undefined
    this.#zeroKeyMaterialDueMs = undefined
  }

  #retry(nowMs: number): void {
    const attempt = this.#attempt
    if (attempt === undefined || nowMs < attempt.retransmitHandshakeMs) return
    if (attempt.seeks && this.hasKeypair) {
      // There was another way all the time.
      this.#endAttempt()
      return
    }
    if (nowMs - attempt.startedMs < this.#times.rekeyAttemptMs) {
      this.#sendInitiation(nowMs, attempt.startedMs)
      return
    }
    this.#endAttempt()
    this.#sendKeepaliveDueMs = undefined
    this.#zeroKeyMaterialDueMs ??= nowMs + this.#times.rejectAfterMs * 3
  }

  /** Starts and stops timers, by the traffic since the last call. */
  #observeTraffic(nowMs: number): void {
    // Without keys there is none. One more look takes what came before they were gone.
    const hasKeys = (this.#current ?? this.#previous ?? this.#next) !== undefined
    const isOver = !hasKeys && !this.#hadKeys
    this.#hadKeys = hasKeys
    if (isOver) return
    const before = this.#activity
    const now = this.#context.keypairs.activity(this.row)
    this.#activity = now
    const current = this.#current
    if (now.sent !== before.sent) {
      this.#sendKeepaliveDueMs = undefined
      this.#needsAnotherKeepalive = false
    }
    if (now.receivedData !== before.receivedData) {
      if (this.#sendKeepaliveDueMs === undefined)
        this.#sendKeepaliveDueMs = nowMs + this.#times.keepaliveTimeoutMs
      else this.#needsAnotherKeepalive = true
    }
    if (now.received !== before.received) {
      this.#newHandshakeDueMs = undefined
      const { rejectAfterMs, keepaliveTimeoutMs, rekeyTimeoutMs } = this.#times
      const lastMinuteMs = rejectAfterMs - keepaliveTimeoutMs - rekeyTimeoutMs
      if (current?.initiator && nowMs - current.establishedMs >= lastMinuteMs) this.initiate(nowMs)
    } else if (now.sentData !== before.sentData) {
      this.#newHandshakeDueMs ??= nowMs + this.#times.keepaliveTimeoutMs + this.#times.rekeyTimeoutMs
    }
    if (now.sent !== before.sent || now.received !== before.received)
      this.#authenticatedPacketTraversed(nowMs)
    if (current !== undefined && now.sent !== before.sent && this.#isOld(current, nowMs)) this.initiate(nowMs)
  }

  #isOld(keypair: Keypair, nowMs: number): boolean {
    const ageMs = nowMs - keypair.establishedMs
    if (keypair.initiator && ageMs >= this.#times.rekeyAfterMs + keypair.lateMs) return true
    return this.#context.keypairs.sealed(keypair.index) >= REKEY_AFTER_MESSAGES
  }

  /** Drops keypairs that are too old. If there is no new handshake for long, wipes everything. */
  #expire(nowMs: number): void {
    const isOver = (keypair: Keypair | undefined) =>
      keypair !== undefined && nowMs - keypair.establishedMs >= this.#times.rejectAfterMs
    if (isOver(this.#current)) {
      this.#context.keypairs.sealWith(this.row, undefined)
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
    if (due(this.#zeroKeyMaterialDueMs, nowMs)) this.wipe()
  }

  #sendKeepalive(nowMs: number): void {
    if (this.#current === undefined) this.initiate(nowMs)
    else this.#context.sendKeepalive(this.row)
  }

  #establish(
    index: number,
    remoteIndex: number,
    keys: TransportKeys,
    initiator: boolean,
    nowMs: number,
    lateMs = 0,
  ): Keypair {
    this.#context.keypairs.establish(index, remoteIndex, keys, nowMs + this.#times.rejectAfterMs)
    this.#zeroKeyMaterialDueMs = nowMs + this.#times.rejectAfterMs * 3
    return { index, initiator, establishedMs: nowMs, lateMs }
  }

  #use(keypair: Keypair): void {
    this.#current = keypair
    this.handshakeMs = keypair.establishedMs
    this.#context.keypairs.sealWith(this.row, keypair.index)
  }

  #drop(keypair: Keypair | undefined): void {
    if (keypair !== undefined) this.#context.keypairs.release(keypair.index)
  }

  /** An authenticated message was sent or received, so the next persistent keepalive can wait. */
  #authenticatedPacketTraversed(nowMs: number): void {
    if (this.#persistentKeepaliveMs > 0) this.#persistentKeepaliveDueMs = nowMs + this.#persistentKeepaliveMs
  }
}

function due(deadlineMs: number | undefined, nowMs: number): boolean {
  return deadlineMs !== undefined && nowMs >= deadlineMs
}

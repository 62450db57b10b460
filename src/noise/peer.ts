import { timingSafeEqual } from 'node:crypto'
import { wipe } from '../crypto/primitives.js'
import { COOKIE_REPLY, RESPONSE, TIMESTAMP_BYTES } from '../wire/wireguard.js'
import type { HandshakeContext } from './context.js'
import { type Authenticated, createResponse, type KnownPeer, knowAgain } from './handshake.js'
import { Initiator } from './initiator.js'
import type { Activity } from './keypairs.js'
import { MacStamp } from './macs.js'
import { type Keypair, SessionKeys } from './session-keys.js'
import { TIMES, type Times } from './times.js'

/**
 * A keypair is renewed after this many messages. The white paper allows 2^60. Message numbers here have only 32
 * bits, so that one atomic addition takes a number (memory/keypair-table.ts). At a million messages a second,
 * they last an hour.
 */
const REKEY_AFTER_MESSAGES = 2 ** 31

/** The least time between two initiations that we accept from one peer (the white paper: 50 a second). */
const INITIATION_INTERVAL_MS = 20

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

/**
 * One peer: its keypairs, its handshakes, and the timers of section 6 of the white paper. Times are milliseconds on a
 * clock that never runs backward. {@link tick} must be called often; it sets how exact the timers are.
 */
export class Peer {
  readonly row: number
  readonly acquaintance: KnownPeer
  /**
   * How long its last answer to this end's handshake took; undefined if it has not answered one. Only renewals count:
   * the first handshake is at a start, when both ends may have other things to do.
   */
  roundTripMs: number | undefined
  readonly #context: HandshakeContext
  readonly #times: Times
  readonly #macs: MacStamp
  readonly #keys: SessionKeys
  readonly #initiator: Initiator
  #persistentKeepaliveMs: number
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
  #needsAnotherKeepalive = false

  constructor(around: HandshakeContext, options: PeerOptions, nowMs: number) {
    this.row = options.row
    this.acquaintance = options.known
    this.#context = around
    this.#times = { ...TIMES, ...around.times }
    this.#macs = new MacStamp(options.known.identity)
    this.#keys = new SessionKeys(this.row, around.keypairs, this.#times.rejectAfterMs)
    this.#initiator = new Initiator(around, {
      row: this.row,
      acquaintance: this.acquaintance,
      times: this.#times,
      stamp: (message, index, nowMs) => this.#stamp(message, index, nowMs),
      onSend: (nowMs) => this.#authenticatedPacketTraversed(nowMs),
    })
    this.#persistentKeepaliveMs = options.persistentKeepaliveMs ?? 0
    this.#greatestTimestamp = options.greatestTimestamp ?? Buffer.alloc(TIMESTAMP_BYTES)
    this.#activity = around.keypairs.activity(this.row)
    if (this.#persistentKeepaliveMs > 0) this.#persistentKeepaliveDueMs = nowMs
  }

  get hasKeypair(): boolean {
    return this.#keys.current !== undefined
  }

  /** When the keypair in use was made. */
  get handshakeMs(): number | undefined {
    return this.#keys.handshakeMs
  }

  /** Whether a handshake of this end is unanswered, and there are no keys without it. */
  get asks(): boolean {
    return this.#initiator.isRunning && !this.hasKeypair
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
      this.#presharedKeyDueMs = Math.max(nowMs, this.#initiator.sentMs + this.#times.rekeyTimeoutMs)
    }
    if (persistentKeepaliveMs === this.#persistentKeepaliveMs) return
    this.#persistentKeepaliveMs = persistentKeepaliveMs
    this.#persistentKeepaliveDueMs = persistentKeepaliveMs > 0 ? nowMs : undefined
  }

  /**
   * This end has another private key, or none. The session and the handshakes of the one before end. If there were any,
   * a new handshake is to begin.
   */
  identify(nowMs: number): void {
    const hadSome = this.#initiator.isRunning || this.#keys.any
    this.wipe()
    knowAgain(this.#context.own, this.acquaintance)
    this.#newHandshakeDueMs = undefined
    this.#presharedKeyDueMs = undefined
    this.#sendKeepaliveDueMs = undefined
    this.#initiator.reset()
    if (hadSome) this.#begin(nowMs)
  }

  /** Begins a handshake. If one is running, its tries are counted from now. */
  initiate(nowMs: number): void {
    this.#initiator.initiate(nowMs)
  }

  /**
   * Begins a handshake with a peer of which nobody knows where it is. Unlike {@link initiate}, it does not wait for the
   * answer to the one before, which went elsewhere or was lost at a firewall.
   * @param places where it may be, as in {@link endpoint}. It is where its answer comes from
   */
  seek(places: readonly Uint8Array[], nowMs: number): void {
    this.#initiator.seek(places, nowMs)
  }

  /** Answers an initiation of this peer. The result `old` also means that it was repeated, or came too soon. */
  takeInitiation(initiation: Authenticated, source: Uint8Array, nowMs: number): Taken {
    const { keypairs } = this.#context
    if (initiation.timestamp.compare(this.#greatestTimestamp) <= 0) return 'old'
    if (nowMs - this.#initiationTakenMs < INITIATION_INTERVAL_MS) return 'old'
    const index = keypairs.reserve(this.row)
    if (index === undefined) return 'old'
    // Treat the message as lost. It may still come from the right place.
    if (!this.#context.roamed(this.row, source, false)) {
      keypairs.release(index)
      return 'misplaced'
    }
    const response = createResponse(initiation, this.acquaintance, index, this.#context.ephemeral())
    if (response === undefined) {
      keypairs.release(index)
      return 'not authentic'
    }
    this.#greatestTimestamp = initiation.timestamp
    this.#initiationTakenMs = nowMs
    this.#stamp(response.message, index, nowMs)
    this.#keys.responded({ index, remoteIndex: initiation.sender, keys: response.keys }, nowMs)
    this.#authenticatedPacketTraversed(nowMs)
    this.#context.send(response.message, source)
    this.#initiator.answered(nowMs)
    return 'accepted'
  }

  /** Takes the response to this end's initiation. */
  takeResponse(message: Buffer, source: Uint8Array, nowMs: number): Taken {
    const answer = this.#initiator.open(message, nowMs)
    if (typeof answer === 'string') return answer
    const { index, keys, sentMs } = answer
    if (!this.#context.roamed(this.row, source, true)) {
      wipe(keys.send, keys.receive)
      return 'misplaced'
    }
    this.#initiator.finish()
    if (this.hasKeypair) this.roundTripMs = Math.max(0, nowMs - sentMs)
    // If both ends began at once, they would do so again at each renewal, and lose what is on its way then.
    const lateMs =
      this.#keys.next === undefined ? 0 : (this.#context.random(1)[0] / 256) * this.#times.rekeyTimeoutMs
    const remoteIndex = message.readUInt32LE(RESPONSE.sender)
    this.#keys.initiated({ index, remoteIndex, keys }, nowMs, lateMs)
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
    if (this.#keys.next?.index !== index) return
    // This end has what its own handshake was for.
    this.#initiator.end()
    this.#keys.confirm()
  }

  /** Runs the timers of section 6. Must be called often. */
  tick(nowMs: number): void {
    this.#keys.expire(nowMs)
    if (this.#keys.isWipeDue(nowMs)) this.wipe()
    this.#observeTraffic(nowMs)
    if (due(this.#newHandshakeDueMs, nowMs)) {
      this.#newHandshakeDueMs = undefined
      this.#begin(nowMs)
    }
    if (due(this.#presharedKeyDueMs, nowMs)) {
      this.#presharedKeyDueMs = undefined
      if (this.hasKeypair) this.#begin(nowMs)
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
    this.#initiator.end()
    this.#keys.wipe()
  }

  #retry(nowMs: number): void {
    if (!this.#initiator.retry(nowMs, this.hasKeypair)) return
    this.#sendKeepaliveDueMs = undefined
    this.#keys.wipeLater(nowMs)
  }

  /** Starts and stops timers, by the traffic since the last call. */
  #observeTraffic(nowMs: number): void {
    // Without keys there is none. One more look takes what came before they were gone.
    const hasKeys = this.#keys.any
    const isOver = !hasKeys && !this.#hadKeys
    this.#hadKeys = hasKeys
    if (isOver) return
    const before = this.#activity
    const now = this.#context.keypairs.activity(this.row)
    this.#activity = now
    const { current } = this.#keys
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

  #sendKeepalive(nowMs: number): void {
    if (!this.hasKeypair) this.#begin(nowMs)
    else this.#context.sendKeepalive(this.row)
  }

  /** Begins a handshake that nothing waits for yet. */
  #begin(nowMs: number): void {
    if (this.#context.begin === undefined) this.initiate(nowMs)
    else this.#context.begin(this.row)
  }

  /** An authenticated message was sent or received, so the next persistent keepalive can wait. */
  #authenticatedPacketTraversed(nowMs: number): void {
    if (this.#persistentKeepaliveMs > 0) this.#persistentKeepaliveDueMs = nowMs + this.#persistentKeepaliveMs
  }
}

function due(deadlineMs: number | undefined, nowMs: number): boolean {
  return deadlineMs !== undefined && nowMs >= deadlineMs
}

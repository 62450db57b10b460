/**
 * mac1, mac2 and cookies (white paper, sections 5.3, 5.4.4 and 5.4.7): who sends handshake messages must know
 * whom it sends them to, and, when the receiver is under load, must get its mail where it says it lives.
 */
import { timingSafeEqual } from 'node:crypto'
import {
  COOKIE_BYTES,
  COOKIE_LIFETIME_MS,
  COOKIE_NONCE_BYTES,
  COOKIE_REPLY,
  MAC_BYTES,
  MESSAGE,
} from '../wire/wireguard.js'
import type { Identity } from './keys.js'
import { mac, openCookie, sealCookie, wipe } from './primitives.js'

/** Latency that a cookie may have lost on its way. */
const COOKIE_LATENCY_MS = 5_000

const SECRET_BYTES = 32

/** The macs of what is sent to one peer. */
export class MacStamp {
  readonly #peer: Identity
  #lastMac1: Buffer | undefined
  #cookie: { bytes: Uint8Array; atMs: number } | undefined

  constructor(peer: Identity) {
    this.#peer = peer
  }

  /** Writes both macs: they are the last 32 bytes of a handshake message. */
  stamp(message: Buffer, nowMs: number): void {
    const mac1At = message.length - 2 * MAC_BYTES
    const mac2At = message.length - MAC_BYTES
    message.set(mac(this.#peer.mac1Key, message.subarray(0, mac1At)), mac1At)
    this.#lastMac1 = Buffer.from(message.subarray(mac1At, mac2At))
    if (this.#cookie !== undefined && nowMs - this.#cookie.atMs < COOKIE_LIFETIME_MS - COOKIE_LATENCY_MS)
      message.set(mac(this.#cookie.bytes, message.subarray(0, mac2At)), mac2At)
  }

  /** Takes a cookie reply; false for what is none, or none to the message sent last. */
  takeReply(reply: Buffer, nowMs: number): boolean {
    if (this.#lastMac1 === undefined) return false
    const nonce = reply.subarray(COOKIE_REPLY.nonce, COOKIE_REPLY.cookie)
    const sealed = reply.subarray(COOKIE_REPLY.cookie, COOKIE_REPLY.size)
    const bytes = openCookie(this.#peer.cookieKey, nonce, sealed, this.#lastMac1)
    if (bytes === undefined) return false
    this.#lastMac1 = undefined
    this.#cookie = { bytes, atMs: nowMs }
    return true
  }
}

/** The macs of what this end receives. */
export class MacCheck {
  readonly #own: Identity
  readonly #random: (bytes: number) => Uint8Array
  #secret = new Uint8Array(SECRET_BYTES)
  #secretMs = Number.NEGATIVE_INFINITY

  /** @param random secret bytes, as many as asked for */
  constructor(own: Identity, random: (bytes: number) => Uint8Array) {
    this.#own = own
    this.#random = random
  }

  /** Whether the sender knows this end's public key. */
  isMac1Right(message: Buffer): boolean {
    const at = message.length - 2 * MAC_BYTES
    const right = mac(this.#own.mac1Key, message.subarray(0, at))
    return timingSafeEqual(right, message.subarray(at, at + MAC_BYTES))
  }

  /** Whether the sender has a cookie of this end's, for the address that it sends from. */
  isMac2Right(message: Buffer, source: Uint8Array, nowMs: number): boolean {
    if (nowMs - this.#secretMs >= COOKIE_LIFETIME_MS) return false
    const at = message.length - MAC_BYTES
    const right = mac(mac(this.#secret, source), message.subarray(0, at))
    return timingSafeEqual(right, message.subarray(at))
  }

  /**
   * The cookie reply to a handshake message, whose sender's index it is for.
   * @param source the address it came from, as bytes, port included
   */
  reply(message: Buffer, sender: number, source: Uint8Array, nowMs: number): Buffer {
    if (nowMs - this.#secretMs >= COOKIE_LIFETIME_MS) {
      wipe(this.#secret)
      this.#secret = Uint8Array.from(this.#random(SECRET_BYTES))
      this.#secretMs = nowMs
    }
    const mac1At = message.length - 2 * MAC_BYTES
    const mac1 = message.subarray(mac1At, mac1At + MAC_BYTES)
    const cookie = mac(this.#secret, source).subarray(0, COOKIE_BYTES)
    const nonce = this.#random(COOKIE_NONCE_BYTES)
    const reply = Buffer.alloc(COOKIE_REPLY.size)
    reply.writeUInt32LE(MESSAGE.cookieReply, COOKIE_REPLY.type)
    reply.writeUInt32LE(sender, COOKIE_REPLY.receiver)
    reply.set(nonce, COOKIE_REPLY.nonce)
    reply.set(sealCookie(this.#own.cookieKey, nonce, cookie, mac1), COOKIE_REPLY.cookie)
    return reply
  }
}

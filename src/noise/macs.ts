/**
 * mac1, mac2 and cookies (white paper, sections 5.3, 5.4.4 and 5.4.7). The sender of a handshake message must
 * know the public key of the receiver. When the receiver is under load, the sender must also receive at its
 * source address. This file is the sender's part. The receiver's part is in a worker
 * (worker/inbound/mac-check.ts).
 */

import { mac, openCookie } from '../crypto/primitives.js'
import { COOKIE_LIFETIME_MS, COOKIE_REPLY, MAC_BYTES } from '../wire/wireguard.js'
import type { Identity } from './keys.js'

/** How much of its lifetime a cookie may have lost on its way. */
const COOKIE_LATENCY_MS = 5_000

/** Computes the macs of what is sent to one peer. */
export class MacStamp {
  readonly #peer: Identity
  #lastMac1: Buffer | undefined
  #cookie: { bytes: Uint8Array; atMs: number } | undefined

  constructor(peer: Identity) {
    this.#peer = peer
  }

  /** Writes both macs into the last 32 bytes of a handshake message. */
  stamp(message: Buffer, nowMs: number): void {
    const mac1At = message.length - 2 * MAC_BYTES
    const mac2At = message.length - MAC_BYTES
    message.set(mac(this.#peer.mac1Key, message.subarray(0, mac1At)), mac1At)
    this.#lastMac1 = Buffer.from(message.subarray(mac1At, mac2At))
    if (this.#cookie !== undefined && nowMs - this.#cookie.atMs < COOKIE_LIFETIME_MS - COOKIE_LATENCY_MS)
      message.set(mac(this.#cookie.bytes, message.subarray(0, mac2At)), mac2At)
  }

  /** Takes a cookie reply; false if it is not a valid one for the last message sent. */
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

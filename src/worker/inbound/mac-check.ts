import { randomFillSync } from 'node:crypto'
import type { CookieSealer, KeyedHash } from '../../crypto/ciphers.js'
import type { NativeMemory } from '../../linux/memory.js'
import { SOCKADDR_BYTES } from '../../linux/sockaddr.js'
import {
  COOKIE_BYTES,
  COOKIE_LIFETIME_MS,
  COOKIE_NONCE_BYTES,
  COOKIE_REPLY,
  INITIATION,
  MAC_BYTES,
  MESSAGE,
} from '../../wire/wireguard.js'

export interface MacCheckOptions {
  readonly memory: NativeMemory
  /** Has the key of mac1 in messages to this end, until {@link MacCheck.setKeys}. */
  readonly mac1: KeyedHash
  /** For cookies, and for mac2. Its key changes with each use. */
  readonly mac2: KeyedHash
  readonly sealer: CookieSealer
  /** Offset of {@link MAC_CHECK_SCRATCH_BYTES} bytes, a multiple of 64. */
  readonly scratch: number
}

export const MAC_CHECK_SCRATCH_BYTES = 192

const SECRET_BYTES = 32
/** Offsets in the scratch memory. */
const SECRET = 0
const COOKIE = 64
const REPLY = 128

/** Nonces made at once. */
const NONCES = 256

/**
 * Checks the macs of messages to this end (white paper, sections 5.3, 5.4.4 and 5.4.7), in the worker that
 * receives them. Messages and socket addresses are offsets in the memory, and nothing is allocated. The secret
 * for cookies never leaves the worker. When the worker needs the secret and the last one is two minutes old, it
 * makes a new one.
 */
export class MacCheck {
  /** Offset of the message that {@link writeReply} writes. */
  readonly reply: number
  readonly #options: MacCheckOptions
  readonly #u8: Uint8Array
  readonly #secret: number
  readonly #cookie: number
  readonly #nonces = new Uint8Array(NONCES * COOKIE_NONCE_BYTES)
  #nextNonce = NONCES
  #secretMs = Number.NEGATIVE_INFINITY

  constructor(options: MacCheckOptions) {
    this.#options = options
    this.#u8 = options.memory.u8
    this.#secret = options.scratch + SECRET
    this.#cookie = options.scratch + COOKIE
    this.reply = options.scratch + REPLY
  }

  /**
   * This end has another public key. Cookies that were given before are worth nothing any more.
   * @param mac1 and `cookie`: offsets of the keys that follow from it, 32 bytes each
   */
  setKeys(mac1: number, cookie: number): void {
    this.#options.mac1.setKey(mac1, SECRET_BYTES)
    this.#options.sealer.setKey(cookie)
    this.#secretMs = Number.NEGATIVE_INFINITY
  }

  /**
   * Whether the sender knows this end's public key.
   * @param bytes of the whole message
   */
  isMac1Right(message: number, bytes: number): boolean {
    const at = bytes - 2 * MAC_BYTES
    return this.#options.mac1.isRight(message, at, message + at)
  }

  /** Whether the sender has a cookie of this end, made for its socket address `name`. */
  isMac2Right(message: number, bytes: number, name: number, nowMs: number): boolean {
    const at = bytes - MAC_BYTES
    if (nowMs - this.#secretMs >= COOKIE_LIFETIME_MS || this.#isZero(message + at)) return false
    this.#makeCookie(name)
    this.#options.mac2.setKey(this.#cookie, COOKIE_BYTES)
    return this.#options.mac2.isRight(message, at, message + at)
  }

  /** Writes the cookie reply to an initiation from the socket address `name`. The reply is at {@link reply}. */
  writeReply(initiation: number, name: number, nowMs: number): void {
    if (nowMs - this.#secretMs >= COOKIE_LIFETIME_MS) this.#renewSecret(nowMs)
    this.#makeCookie(name)
    const u8 = this.#u8
    const reply = this.reply
    this.#options.memory.u32[(reply + COOKIE_REPLY.type) >>> 2] = MESSAGE.cookieReply
    u8.copyWithin(
      reply + COOKIE_REPLY.receiver,
      initiation + INITIATION.sender,
      initiation + INITIATION.ephemeral,
    )
    this.#takeNonce(reply + COOKIE_REPLY.nonce)
    this.#options.sealer.seal(
      reply + COOKIE_REPLY.nonce,
      this.#cookie,
      initiation + INITIATION.mac1,
      reply + COOKIE_REPLY.cookie,
    )
  }

  #makeCookie(name: number): void {
    this.#options.mac2.setKey(this.#secret, SECRET_BYTES)
    this.#options.mac2.write(name, SOCKADDR_BYTES, this.#cookie)
  }

  #isZero(mac: number): boolean {
    let bits = 0
    for (let i = 0; i < MAC_BYTES; i++) bits |= this.#u8[mac + i]
    return bits === 0
  }

  #renewSecret(nowMs: number): void {
    const secret = randomFillSync(new Uint8Array(SECRET_BYTES))
    this.#u8.set(secret, this.#secret)
    secret.fill(0)
    this.#secretMs = nowMs
  }

  #takeNonce(at: number): void {
    if (this.#nextNonce === NONCES) {
      randomFillSync(this.#nonces)
      this.#nextNonce = 0
    }
    const from = this.#nextNonce++ * COOKIE_NONCE_BYTES
    for (let i = 0; i < COOKIE_NONCE_BYTES; i++) this.#u8[at + i] = this.#nonces[from + i]
  }
}

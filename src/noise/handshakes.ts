import { wipe } from '../crypto/primitives.js'
import { formatKey } from '../key-text.js'
import { COOKIE_REPLY, INITIATION, MESSAGE, RESPONSE } from '../wire/wireguard.js'
import type { HandshakeContext } from './context.js'
import { authenticate, readInitiation } from './handshake.js'
import { Peer, type PeerOptions } from './peer.js'

/**
 * The result of a handshake message: `accepted` if it was authentic and useful, otherwise the reason. Only an
 * accepted initiation gets an answer.
 */
export type Verdict =
  | 'accepted'
  | 'malformed'
  | 'unknown peer'
  | 'unknown index'
  | 'not authentic'
  | 'old'
  | 'misplaced'

/**
 * For how many removed peers we remember the timestamp. Beyond that, we forget those that were removed first.
 */
const MAX_FORMER = 4_096

/** All handshakes of this end. Finds out which peer a message is from. Does not answer anybody else. */
export class Handshakes {
  readonly #context: HandshakeContext
  readonly #peers: (Peer | undefined)[] = []
  readonly #byKey = new Map<string, Peer>()
  /** The greatest timestamps of removed peers. If such a peer is added again, it accepts no old initiation. */
  readonly #former = new Map<string, Buffer>()

  constructor(around: HandshakeContext) {
    this.#context = around
  }

  add(options: PeerOptions, nowMs: number): Peer {
    const key = formatKey(options.known.identity.publicKey)
    const peer = new Peer(this.#context, { greatestTimestamp: this.#former.get(key), ...options }, nowMs)
    this.#former.delete(key)
    this.#peers[peer.row] = peer
    this.#byKey.set(key, peer)
    return peer
  }

  /** Forgets a peer and wipes its keys. */
  remove(peer: Peer): void {
    const { staticSecret, presharedKey } = peer.acquaintance
    peer.wipe()
    wipe(staticSecret, presharedKey)
    this.#peers[peer.row] = undefined
    const key = formatKey(peer.acquaintance.identity.publicKey)
    this.#byKey.delete(key)
    this.#former.set(key, peer.greatestTimestamp)
    for (const first of this.#former.keys()) {
      if (this.#former.size <= MAX_FORMER) break
      this.#former.delete(first)
    }
  }

  /**
   * This end has another private key, or none. All sessions end, because the other ends know this end by its public key.
   * @param apart as in {@link tick}
   */
  identify(nowMs: number, apart: (row: number, work: () => void) => void = (_, work) => work()): void {
    for (const peer of this.#peers) if (peer !== undefined) apart(peer.row, () => peer.identify(nowMs))
  }

  /** The peer in this row. */
  peer(row: number): Peer | undefined {
    return this.#peers[row]
  }

  /**
   * Must be called often.
   * @param apart does the work for the peer in one row, and keeps its errors from the others
   */
  tick(nowMs: number, apart: (row: number, work: () => void) => void = (_, work) => work()): void {
    for (const peer of this.#peers) if (peer !== undefined) apart(peer.row, () => peer.tick(nowMs))
  }

  /**
   * Takes a message that is not transport data. It may hold any bytes. But initiations and responses come here
   * only after their macs were checked (worker/inbound/gate.ts).
   * @param source the socket address that it came from
   */
  take(message: Buffer, source: Uint8Array, nowMs: number): Verdict {
    switch (kindOf(message)) {
      case MESSAGE.initiation:
        return this.#takeInitiation(message, source, nowMs)
      case MESSAGE.response:
        return this.#takeResponse(message, source, nowMs)
      case MESSAGE.cookieReply:
        return this.#takeCookie(message, nowMs)
      default:
        return 'malformed'
    }
  }

  #takeInitiation(message: Buffer, source: Uint8Array, nowMs: number): Verdict {
    const { protocol, own } = this.#context
    const introduction = own && readInitiation(protocol, own, message)
    if (introduction === undefined) return 'not authentic'
    const peer = this.#byKey.get(formatKey(introduction.publicKey))
    if (peer === undefined) return 'unknown peer'
    const initiation = authenticate(introduction, peer.acquaintance)
    if (initiation === undefined) return 'not authentic'
    return peer.takeInitiation(initiation, source, nowMs)
  }

  #takeResponse(message: Buffer, source: Uint8Array, nowMs: number): Verdict {
    const peer = this.#peerOf(message.readUInt32LE(RESPONSE.receiver))
    if (peer === undefined) return 'unknown index'
    return peer.takeResponse(message, source, nowMs)
  }

  #takeCookie(message: Buffer, nowMs: number): Verdict {
    const peer = this.#peerOf(message.readUInt32LE(COOKIE_REPLY.receiver))
    if (peer === undefined) return 'unknown index'
    return peer.takeCookie(message, nowMs) ? 'accepted' : 'not authentic'
  }

  #peerOf(index: number): Peer | undefined {
    const row = this.#context.keypairs.rowOf(index)
    return row === undefined ? undefined : this.#peers[row]
  }
}

/** The type of a handshake message, or 0 if its length is wrong. */
function kindOf(message: Buffer): number {
  const type = message.length < 4 ? 0 : message.readUInt32LE(0)
  const size = SIZES.get(type)
  return message.length === size ? type : 0
}

const SIZES: ReadonlyMap<number, number> = new Map([
  [MESSAGE.initiation, INITIATION.size],
  [MESSAGE.response, RESPONSE.size],
  [MESSAGE.cookieReply, COOKIE_REPLY.size],
])

import { wipe } from '../crypto/primitives.js'
import { formatKey } from '../key-text.js'
import { COOKIE_REPLY, INITIATION, MESSAGE, RESPONSE } from '../wire/wireguard.js'
import { authenticate, readInitiation } from './handshake.js'
import { type HandshakeContext, Peer, type PeerOptions } from './peer.js'

/**
 * What became of a handshake message: `accepted` when it was authentic and of use; else why it was not. To all
 * but an accepted initiation the answer is silence.
 */
export type Verdict =
  | 'accepted'
  | 'malformed'
  | 'unknown peer'
  | 'unknown index'
  | 'not authentic'
  | 'old'
  | 'misplaced'

/** Peers that have been removed, whose timestamps are remembered; of more, those that went first are forgotten. */
const MAX_FORMER = 4_096

/** All handshakes of this end: finds out which peer a message is from, and is silent to everybody else. */
export class Handshakes {
  readonly #context: HandshakeContext
  readonly #peers: (Peer | undefined)[] = []
  readonly #byKey = new Map<string, Peer>()
  /** The greatest timestamps of peers that have been removed: one that comes back takes no old initiation. */
  readonly #former = new Map<string, Buffer>()

  constructor(around: HandshakeContext) {
    this.#context = around
  }

  add(options: PeerOptions, nowMs: number): Peer {
    const key = formatKey(options.known.identity.publicKey)
    const peer = new Peer(this.#context, { greatestTimestamp: this.#former.get(key), ...options }, nowMs)
    this.#former.delete(key)
    this.#peers[peer.number] = peer
    this.#byKey.set(key, peer)
    return peer
  }

  /** Forgets a peer and wipes its keys. */
  remove(peer: Peer): void {
    const { staticSecret, presharedKey } = peer.acquaintance
    peer.wipe()
    wipe(staticSecret, presharedKey)
    this.#peers[peer.number] = undefined
    const key = formatKey(peer.acquaintance.identity.publicKey)
    this.#byKey.delete(key)
    this.#former.set(key, peer.greatestTimestamp)
    for (const first of this.#former.keys()) {
      if (this.#former.size <= MAX_FORMER) break
      this.#former.delete(first)
    }
  }

  /** The peer of that number. */
  peer(number: number): Peer | undefined {
    return this.#peers[number]
  }

  /**
   * To be called often.
   * @param apart does the work for one peer, by its number, and keeps what it throws from the others
   */
  tick(nowMs: number, apart: (peer: number, work: () => void) => void = (_, work) => work()): void {
    for (const peer of this.#peers) if (peer !== undefined) apart(peer.number, () => peer.tick(nowMs))
  }

  /**
   * Takes a message that is not transport data. Any bytes may come in, though of initiations and responses only
   * those whose macs have been found right (worker/inbound/gate.ts).
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
    const introduction = readInitiation(protocol, own, message)
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
    const number = this.#context.keypairs.peerOf(index)
    return number === undefined ? undefined : this.#peers[number]
  }
}

/** The type of a handshake message of the right length, or 0. */
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

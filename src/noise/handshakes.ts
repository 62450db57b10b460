import { COOKIE_REPLY, INITIATION, MESSAGE, RESPONSE } from '../wire/wireguard.js'
import { authenticate, readInitiation } from './handshake.js'
import { formatKey } from './key-text.js'
import { MacCheck } from './macs.js'
import { Peer, type PeerOptions, type Surroundings } from './peer.js'
import { wipe } from './primitives.js'
import { RateLimit } from './rate-limit.js'

/**
 * What became of a handshake message: `accepted` when it was authentic and of use; else why it was not. To all
 * but `cookie` and an accepted initiation the answer is silence.
 */
export type Verdict =
  | 'accepted'
  | 'malformed'
  | 'wrong mac1'
  | 'cookie'
  | 'too many'
  | 'unknown peer'
  | 'unknown index'
  | 'not authentic'
  | 'old'
  | 'misplaced'

/** Where a handshake message came from. */
export interface Source {
  /** The socket address as bytes, to send answers to and to bind cookies to. */
  readonly address: Uint8Array
  /** The host, without the port, of IPv6 its /64: what one host has many of must not help it. */
  readonly host: string
  /** Whether a peer is there. */
  readonly known: boolean
}

/** What a host that has proved where it is may have under load, a second and at once; as in wireguard-go and Linux. */
const PER_SECOND = 20
const BURST = 5

/**
 * Cookies for strangers, a second and at once. Spoofed addresses of the same Ethernet answer no ARP, and what is
 * sent there waits in the socket's send buffer for three seconds.
 */
const COOKIES_PER_SECOND = 250
const COOKIES_BURST = 250

/** Peers that have been removed, whose timestamps are remembered; of more, those that went first are forgotten. */
const MAX_FORMER = 4_096

/** All handshakes of this end: finds out which peer a message is from, and is silent to everybody else. */
export class Handshakes {
  readonly #around: Surroundings
  readonly #macs: MacCheck
  readonly #limit = new RateLimit(PER_SECOND, BURST)
  readonly #cookies = new RateLimit(COOKIES_PER_SECOND, COOKIES_BURST)
  readonly #peers: (Peer | undefined)[] = []
  readonly #byKey = new Map<string, Peer>()
  /** The greatest timestamps of peers that have been removed: one that comes back takes no old initiation. */
  readonly #former = new Map<string, Buffer>()

  constructor(around: Surroundings) {
    this.#around = around
    this.#macs = new MacCheck(around.own, around.random)
  }

  add(options: PeerOptions, nowMs: number): Peer {
    const key = formatKey(options.acquaintance.identity.publicKey)
    const peer = new Peer(this.#around, { greatestTimestamp: this.#former.get(key), ...options }, nowMs)
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

  tick(nowMs: number): void {
    for (const peer of this.#peers) peer?.tick(nowMs)
  }

  /**
   * Takes a message that is not transport data. Any bytes may come in.
   * @param underLoad whether there are so many that a sender has to prove first where it is
   */
  take(message: Buffer, source: Source, nowMs: number, underLoad: boolean): Verdict {
    switch (kindOf(message)) {
      case MESSAGE.initiation:
        return this.#screen(message, source, nowMs, underLoad) ?? this.#takeInitiation(message, source, nowMs)
      case MESSAGE.response:
        return this.#screen(message, source, nowMs, underLoad) ?? this.#takeResponse(message, source, nowMs)
      case MESSAGE.cookieReply:
        return this.#takeCookie(message, nowMs)
      default:
        return 'malformed'
    }
  }

  /** What is wrong with a message as far as its macs tell; undefined for nothing. */
  #screen(message: Buffer, source: Source, nowMs: number, underLoad: boolean): Verdict | undefined {
    if (!this.#macs.isMac1Right(message)) return 'wrong mac1'
    if (!underLoad) return undefined
    if (this.#macs.isMac2Right(message, source.address, nowMs)) {
      return this.#limit.allows(source.host, nowMs) ? undefined : 'too many'
    }
    if (!source.known && !this.#cookies.allows('', nowMs)) return 'too many'
    const sender = message.readUInt32LE(INITIATION.sender)
    this.#around.send(this.#macs.reply(message, sender, source.address, nowMs), source.address)
    return 'cookie'
  }

  #takeInitiation(message: Buffer, source: Source, nowMs: number): Verdict {
    const { protocol, own } = this.#around
    const introduction = readInitiation(protocol, own, message)
    if (introduction === undefined) return 'not authentic'
    const peer = this.#byKey.get(formatKey(introduction.publicKey))
    if (peer === undefined) return 'unknown peer'
    const initiation = authenticate(introduction, peer.acquaintance)
    if (initiation === undefined) return 'not authentic'
    return peer.takeInitiation(initiation, source.address, nowMs)
  }

  #takeResponse(message: Buffer, source: Source, nowMs: number): Verdict {
    const peer = this.#peerOf(message.readUInt32LE(RESPONSE.receiver))
    if (peer === undefined) return 'unknown index'
    return peer.takeResponse(message, source.address, nowMs)
  }

  #takeCookie(message: Buffer, nowMs: number): Verdict {
    const peer = this.#peerOf(message.readUInt32LE(COOKIE_REPLY.receiver))
    if (peer === undefined) return 'unknown index'
    return peer.takeCookie(message, nowMs) ? 'accepted' : 'not authentic'
  }

  #peerOf(index: number): Peer | undefined {
    const number = this.#around.keypairs.peerOf(index)
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

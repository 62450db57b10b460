import type { NativeMemory } from '../../linux/memory.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import type { KeypairTable } from '../../memory/keypair-table.js'
import type { Mailbox } from '../../memory/mailbox.js'
import { NAME_BYTES, NAME as NAME_WORD } from '../../memory/name.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { Rates } from '../../rates.js'
import { COOKIE_REPLY, INITIATION, MESSAGE, RESPONSE } from '../../wire/wireguard.js'
import type { CookieOutlet } from './cookie-socket.js'
import { HostRates } from './host-rates.js'
import type { MacCheck } from './mac-check.js'
import type { Neighbours } from './neighbours.js'

export interface GateOptions {
  readonly memory: NativeMemory
  readonly table: KeypairTable
  readonly peers: PeerTable
  readonly macs: MacCheck
  /** Hosts of the same link that a cookie goes to at once. */
  readonly neighbours: Pick<Neighbours, 'isResolved'>
  /**
   * The mailbox for handshake messages. Behind each message is the name it came from. The record has
   * the peer's row.
   */
  readonly handshakes: Mailbox
  readonly tellMain: () => void
  /** Sends cookie replies. They are where {@link macs} writes them. */
  readonly outlet: CookieOutlet
  /** A clock that never runs backward. */
  readonly nowMs: () => number
  /** Offset of {@link GATE_SCRATCH_BYTES} bytes, a multiple of 64. */
  readonly scratch: number
  readonly drops: Drops
}

export const GATE_SCRATCH_BYTES = 320

/** Offsets in the scratch memory: a message and its name; a name, aligned to words. */
const MESSAGE_ROOM = 0
const NAME = 256

/** The longest connectivity check. */
const MOST_CHECK_BYTES = 128

/**
 * How full the mailbox of handshakes may be before the next message, by what its sender has proved. Senders
 * that have not proved their address get less room than those that have. This includes strangers, and senders
 * that only claim a peer's address. Answers to messages of this end may use all the room.
 */
const SHARE = {
  stranger: 1 / 8,
  peer: 1 / 4,
  provenStranger: 5 / 8,
  check: 3 / 4,
  provenPeer: 7 / 8,
  answer: 1,
} as const

/**
 * Connectivity checks and their answers from one peer: per second, and in a burst. A peer that looks for better ways sends
 * fewer (control/mesh/tries.ts), and answers no more than it is asked.
 */
const CHECKS_PER_SECOND = 40
const CHECKS_BURST = 64

/**
 * If an initiation of one kind does not fit, the next ones of that kind must prove their address, for this
 * long.
 */
const LOAD_MS = 1_000

/**
 * Answers accepted for one index: per second, and in a burst. Someone on the path can send any number of them.
 */
const ANSWERS_PER_SECOND = 40
const ANSWERS_BURST = 5

/**
 * Initiations accepted under load from a host that has proved its address: per second, and in a burst. The
 * figures are those of wireguard-go and Linux.
 */
const PROVEN_PER_SECOND = 20
const PROVEN_BURST = 5

/**
 * Cookie replies per second, and in a burst. Peers' addresses and strangers are counted apart. A worker that
 * could not run for a while finds up to a second of initiations at once. The one that matters may be among
 * them.
 */
const COOKIES_PER_SECOND = 25_000
const COOKIES_BURST = 25_000

/**
 * Bytes of the send buffer that may be in use while cookie replies are sent. A datagram to a spoofed address of
 * the same Ethernet waits in the buffer for three seconds. The kernel counts 768 bytes for each. For one such
 * address at most 208 KiB wait (`unres_qlen_bytes`, arp(7)).
 */
const CALM_BYTES = { stranger: 256 * 1024, peer: 1024 * 1024 } as const

/**
 * How long a reading of the send buffer stays valid. In this time the buffer fills no faster than the cookie
 * rate.
 */
const BUFFER_SEEN_MS = 1

/**
 * Limits if the buffer or the rate above is exceeded: per second and in a burst, for all hosts together and for
 * each.
 */
const FEW_PER_SECOND = 250
const FEW_BURST = 250
const HOST_FEW_PER_SECOND = 1 / 3
const HOST_FEW_BURST = 1

const STRANGER = 0
const PEER = 1

/**
 * Checks handshake messages on arrival: some go on to main, some are answered with a cookie, the others are
 * dropped. The amount of a flood that main sees is bounded, and so is the amount that is sent in answer to it.
 * Room is kept for what a peer needs for a handshake.
 *
 * Answers (responses, cookie replies) go on only if this end has asked for them. This end chose their index, of
 * 32 bits. A sender that does not see this end's messages cannot know it. Initiations go on while there
 * is room. If there is no room they must have a right mac2. Those without one are answered with a cookie.
 *
 * A relayed initiation has no source address to prove. But the introducer has authenticated the member that it is
 * from. So it needs no cookie, and each member may send so many.
 */
export class Gate {
  readonly #options: GateOptions
  readonly #memory: NativeMemory
  readonly #name: number
  /** Until when initiations must have a right mac2: those of strangers, and those from peers' addresses. */
  readonly #loadUntilMs = new Float64Array(2)
  readonly #answers: Rates
  #bufferSeenMs = Number.NEGATIVE_INFINITY
  #bufferUsedBytes = 0
  readonly #proven: HostRates
  /** Of relayed initiations, by the row of the peer that they are said to be from. */
  readonly #relayed: Rates
  readonly #checks: Rates
  readonly #cookies = new Rates(2, COOKIES_PER_SECOND, COOKIES_BURST)
  readonly #few = new Rates(1, FEW_PER_SECOND, FEW_BURST)
  readonly #hostFew: HostRates

  constructor(options: GateOptions) {
    const { memory, table, scratch } = options
    this.#options = options
    this.#memory = memory
    this.#name = scratch + NAME
    this.#answers = new Rates(table.rows, ANSWERS_PER_SECOND, ANSWERS_BURST)
    this.#proven = new HostRates(memory, PROVEN_PER_SECOND, PROVEN_BURST)
    this.#relayed = new Rates(options.peers.rows, PROVEN_PER_SECOND, PROVEN_BURST)
    this.#checks = new Rates(options.peers.rows, CHECKS_PER_SECOND, CHECKS_BURST)
    this.#hostFew = new HostRates(memory, HOST_FEW_PER_SECOND, HOST_FEW_BURST)
  }

  /**
   * Takes a message that is not transport data, of 32 bytes or more.
   * @param name offset of the name that it is from
   */
  take(message: number, bytes: number, name: number): void {
    const type = this.#memory.view.getUint32(message, true)
    if (type === MESSAGE.initiation && bytes === INITIATION.size) this.#takeInitiation(message, name)
    else if (type === MESSAGE.response && bytes === RESPONSE.size) this.#takeResponse(message, name)
    else if (type === MESSAGE.cookieReply && bytes === COOKIE_REPLY.size) this.#takeCookie(message, name)
    else this.#options.drops.ofNobody(C.dropNotPrivate, 1)
  }

  #takeInitiation(message: number, name: number): void {
    const { macs, peers, nowMs: clock } = this.#options
    if (!macs.isMac1Right(message, INITIATION.size)) {
      this.#options.drops.ofNobody(C.dropWrongMac1, 1)
      return
    }
    const nowMs = clock()
    if (this.#memory.u32[(name + NAME_WORD.via) >>> 2] !== 0) {
      this.#takeRelayed(message, name, nowMs)
      return
    }
    const row = peers.find(name)
    const who = row < 0 ? STRANGER : PEER
    if (nowMs >= this.#loadUntilMs[who]) {
      if (this.#pass(message, INITIATION.size, name, row, row < 0 ? SHARE.stranger : SHARE.peer)) return
      this.#loadUntilMs[who] = nowMs + LOAD_MS
    }
    this.#memory.u8.copyWithin(this.#name, name, name + NAME_BYTES)
    if (!macs.isMac2Right(message, INITIATION.size, name, nowMs)) this.#answer(message, who, nowMs)
    else if (!this.#proven.allows(this.#name, nowMs)) this.#options.drops.ofNobody(C.dropHandshakeRefused, 1)
    else {
      const share = row < 0 ? SHARE.provenStranger : SHARE.provenPeer
      if (!this.#pass(message, INITIATION.size, name, row, share))
        this.#options.drops.ofNobody(C.dropHandshakesFull, 1)
    }
  }

  #takeRelayed(initiation: number, name: number, nowMs: number): void {
    const { drops } = this.#options
    const row = this.#memory.u32[(name + NAME_WORD.far) >>> 2]
    if (!this.#relayed.allows(row, nowMs)) drops.ofNobody(C.dropHandshakeRefused, 1)
    else if (!this.#pass(initiation, INITIATION.size, name, row, SHARE.provenPeer))
      drops.ofNobody(C.dropHandshakesFull, 1)
  }

  #takeResponse(message: number, name: number): void {
    const { table, macs } = this.#options
    const keyRow = table.keyRowOf(this.#memory.view.getUint32(message + RESPONSE.receiver, true))
    if (keyRow < 0 || table.isEstablished(keyRow)) this.#options.drops.ofNobody(C.dropUnasked, 1)
    else if (!macs.isMac1Right(message, RESPONSE.size)) this.#options.drops.ofNobody(C.dropWrongMac1, 1)
    else this.#passAnswer(message, RESPONSE.size, name, keyRow)
  }

  #takeCookie(message: number, name: number): void {
    const { table } = this.#options
    const keyRow = table.keyRowOf(this.#memory.view.getUint32(message + COOKIE_REPLY.receiver, true))
    if (keyRow < 0 || !table.expectsCookie(keyRow)) this.#options.drops.ofNobody(C.dropUnasked, 1)
    else this.#passAnswer(message, COOKIE_REPLY.size, name, keyRow)
  }

  #passAnswer(message: number, bytes: number, name: number, keyRow: number): void {
    const { drops, nowMs, table } = this.#options
    if (!this.#answers.allows(keyRow, nowMs())) drops.ofNobody(C.dropHandshakeRefused, 1)
    else if (!this.#pass(message, bytes, name, table.row(keyRow), SHARE.answer))
      drops.ofNobody(C.dropHandshakesFull, 1)
  }

  /**
   * Passes on an opened connectivity check, which main wants to know the source of. In the mailbox it is told from
   * handshake messages by its first bytes.
   * @param row of the peer that has sealed it
   */
  passCheck(frame: number, bytes: number, name: number, row: number): void {
    const { drops, nowMs } = this.#options
    if (bytes > MOST_CHECK_BYTES) drops.inbound(C.dropControlMalformed, row, 1)
    else if (!this.#checks.allows(row, nowMs()) || !this.#pass(frame, bytes, name, row, SHARE.check))
      drops.inbound(C.dropControlFull, row, 1)
  }

  /** Puts a message into the mailbox. False if there is no room. */
  #pass(message: number, bytes: number, name: number, row: number, share: number): boolean {
    const { handshakes, tellMain, scratch } = this.#options
    const { u8 } = this.#memory
    const room = scratch + MESSAGE_ROOM
    u8.copyWithin(room, message, message + bytes)
    u8.copyWithin(room + bytes, name, name + NAME_BYTES)
    if (!handshakes.put(room, bytes + NAME_BYTES, row, share)) return false
    if (handshakes.mustTell()) tellMain()
    return true
  }

  #answer(initiation: number, who: number, nowMs: number): void {
    const { macs, outlet } = this.#options
    if (!this.#mayAnswer(who, nowMs)) {
      this.#options.drops.ofNobody(C.dropHandshakesFull, 1)
      return
    }
    macs.writeReply(initiation, this.#name, nowMs)
    this.#options.drops.ofNobody(outlet.send(this.#name) ? C.dropCookie : C.dropHandshakesFull, 1)
  }

  #mayAnswer(who: number, nowMs: number): boolean {
    const calmBytes = who === PEER ? CALM_BYTES.peer : CALM_BYTES.stranger
    // A cookie to a resolved neighbour does not wait in the send buffer, however full that is of others.
    const goesAtOnce =
      this.#sendBufferUsed(nowMs) < calmBytes || this.#options.neighbours.isResolved(this.#name, nowMs)
    if (goesAtOnce && this.#cookies.allows(who, nowMs)) return true
    return this.#hostFew.allows(this.#name, nowMs) && this.#few.allows(0, nowMs)
  }

  /** Bytes of the send buffer in use, as the kernel counts them. */
  #sendBufferUsed(nowMs: number): number {
    if (nowMs - this.#bufferSeenMs >= BUFFER_SEEN_MS) {
      this.#bufferSeenMs = nowMs
      this.#bufferUsedBytes = this.#options.outlet.usedBytes()
    }
    return this.#bufferUsedBytes
  }
}

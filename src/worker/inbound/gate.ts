import { MSG_DONTWAIT, SIOCOUTQ } from '../../linux/constants.js'
import { ioctl, sendto } from '../../linux/libc.js'
import type { NativeMemory } from '../../linux/memory.js'
import { SOCKADDR_BYTES } from '../../linux/sockaddr.js'
import { C } from '../../memory/counters.js'
import type { KeypairTable } from '../../memory/keypair-table.js'
import type { ControlQueue } from '../../memory/mailbox.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { Rates } from '../../rates.js'
import { COOKIE_REPLY, INITIATION, MESSAGE, RESPONSE } from '../../wire/wireguard.js'
import { HostRates } from './host-rates.js'
import type { MacCheck } from './mac-check.js'

export interface GateOptions {
  readonly memory: NativeMemory
  readonly table: KeypairTable
  readonly peers: PeerTable
  readonly macs: MacCheck
  /** Where handshake messages go, each with the socket address that it came from behind it, and the peer there. */
  readonly handshakes: ControlQueue
  readonly tellMain: () => void
  /** What cookie replies are sent by, and the length of its socket addresses. */
  readonly fd: number
  readonly sockaddrBytes: number
  /** Offset of {@link GATE_SCRATCH_BYTES} bytes, a multiple of 64. */
  readonly scratch: number
  readonly counters: Float64Array
}

export const GATE_SCRATCH_BYTES = 384

/** Offsets in the scratch memory: a message and its socket address; a socket address on words; a number. */
const MESSAGE_ROOM = 0
const NAME = 256
const USED = 320

/**
 * How full the queue of handshakes may be, so that there is room for the next one, by what its sender has shown.
 * Strangers, and who only says that it is where a peer is, find less room than who has proved where it is; and
 * all of it is there for answers to what this end has asked.
 */
const SHARE = { stranger: 1 / 8, peer: 1 / 4, provenStranger: 5 / 8, provenPeer: 7 / 8, answer: 1 } as const

/** When initiations of one kind do not fit, those that come within so long must prove first where they are from. */
const LOAD_MS = 1_000

/** Answers with one index that are looked at, a second and at once: who is on the way can send any number. */
const ANSWERS_PER_SECOND = 40
const ANSWERS_BURST = 5

/** What a host that has proved where it is may have under load, a second and at once; as in wireguard-go and Linux. */
const PROVEN_PER_SECOND = 20
const PROVEN_BURST = 5

/**
 * Cookie replies, a second and at once: to where a peer is, and to strangers. A worker that was kept from its core
 * for a while finds a second's worth at once, the one that matters among them.
 */
const COOKIES_PER_SECOND = 25_000
const COOKIES_BURST = 25_000

/**
 * Bytes of the send buffer that may be in use for that. What is sent to spoofed addresses of the same Ethernet
 * waits there for three seconds, 768 bytes each as the kernel counts; what waits for one such address is 208 KiB
 * at the most (`unres_qlen_bytes`, arp(7)).
 */
const CALM_BYTES = { stranger: 256 * 1024, peer: 1024 * 1024 } as const

/** How long what was seen of the send buffer holds: what fills it meanwhile is no more than a cookie's rate. */
const BUFFER_SEEN_MS = 1

/** Beyond either, so many a second and at once for all hosts, and for each of them. */
const FEW_PER_SECOND = 250
const FEW_BURST = 250
const HOST_FEW_PER_SECOND = 1 / 3
const HOST_FEW_BURST = 1

const STRANGER = 0
const PEER = 1

/**
 * Handshake messages where they come in: which go on to main, which are answered with a cookie, and which are
 * dropped. What main is shown of a flood, and what is sent in answer to it, is bounded; what a peer needs for a
 * handshake finds room beside.
 *
 * Answers (responses, cookie replies) go on only if this end has asked for them: their index is one that it has
 * made up, of 32 bits, and who does not see its messages cannot know it. Initiations go on while there is room.
 * Where there is none they must have a right mac2; those that have none are answered with a cookie.
 */
export class Gate {
  readonly #options: GateOptions
  readonly #memory: NativeMemory
  readonly #counters: Float64Array
  readonly #replyAddress: bigint
  readonly #name: number
  readonly #nameAddress: bigint
  readonly #usedAddress: bigint
  /** Until when initiations of strangers, and from where peers are, must have a right mac2. */
  readonly #loadUntilMs = new Float64Array(2)
  readonly #answers: Rates
  #bufferSeenMs = Number.NEGATIVE_INFINITY
  readonly #proven: HostRates
  readonly #cookies = new Rates(2, COOKIES_PER_SECOND, COOKIES_BURST)
  readonly #few = new Rates(1, FEW_PER_SECOND, FEW_BURST)
  readonly #hostFew: HostRates

  constructor(options: GateOptions) {
    const { memory, table, macs, scratch } = options
    this.#options = options
    this.#memory = memory
    this.#counters = options.counters
    this.#replyAddress = memory.address(macs.reply)
    this.#name = scratch + NAME
    this.#nameAddress = memory.address(this.#name)
    this.#usedAddress = memory.address(scratch + USED)
    this.#answers = new Rates(table.rows, ANSWERS_PER_SECOND, ANSWERS_BURST)
    this.#proven = new HostRates(memory, PROVEN_PER_SECOND, PROVEN_BURST)
    this.#hostFew = new HostRates(memory, HOST_FEW_PER_SECOND, HOST_FEW_BURST)
  }

  /**
   * Takes a message that is not transport data, of 32 bytes or more.
   * @param name offset of the socket address that it is from
   */
  take(message: number, bytes: number, name: number): void {
    const type = this.#memory.view.getUint32(message, true)
    if (type === MESSAGE.initiation && bytes === INITIATION.size) this.#takeInitiation(message, name)
    else if (type === MESSAGE.response && bytes === RESPONSE.size) this.#takeResponse(message, name)
    else if (type === MESSAGE.cookieReply && bytes === COOKIE_REPLY.size) this.#takeCookie(message, name)
    else this.#counters[C.dropNotPrivate]++
  }

  #takeInitiation(message: number, name: number): void {
    const { macs, peers } = this.#options
    if (!macs.isMac1Right(message, INITIATION.size)) {
      this.#counters[C.dropWrongMac1]++
      return
    }
    const nowMs = performance.now()
    const peer = peers.find(name)
    const who = peer < 0 ? STRANGER : PEER
    if (nowMs >= this.#loadUntilMs[who]) {
      if (this.#pass(message, INITIATION.size, name, peer, peer < 0 ? SHARE.stranger : SHARE.peer)) return
      this.#loadUntilMs[who] = nowMs + LOAD_MS
    }
    this.#memory.u8.copyWithin(this.#name, name, name + SOCKADDR_BYTES)
    if (!macs.isMac2Right(message, INITIATION.size, name, nowMs)) this.#answer(message, who, nowMs)
    else if (!this.#proven.allows(this.#name, nowMs)) this.#counters[C.dropHandshakeRefused]++
    else {
      const share = peer < 0 ? SHARE.provenStranger : SHARE.provenPeer
      if (!this.#pass(message, INITIATION.size, name, peer, share)) this.#counters[C.dropHandshakesFull]++
    }
  }

  #takeResponse(message: number, name: number): void {
    const { table, macs } = this.#options
    const row = table.rowOf(this.#memory.view.getUint32(message + RESPONSE.receiver, true))
    if (row < 0 || table.isEstablished(row)) this.#counters[C.dropUnasked]++
    else if (!macs.isMac1Right(message, RESPONSE.size)) this.#counters[C.dropWrongMac1]++
    else this.#passAnswer(message, RESPONSE.size, name, row)
  }

  #takeCookie(message: number, name: number): void {
    const { table } = this.#options
    const row = table.rowOf(this.#memory.view.getUint32(message + COOKIE_REPLY.receiver, true))
    if (row < 0 || !table.expectsCookie(row)) this.#counters[C.dropUnasked]++
    else this.#passAnswer(message, COOKIE_REPLY.size, name, row)
  }

  #passAnswer(message: number, bytes: number, name: number, row: number): void {
    if (!this.#answers.allows(row, performance.now())) this.#counters[C.dropHandshakeRefused]++
    else if (!this.#pass(message, bytes, name, this.#options.table.peer(row), SHARE.answer))
      this.#counters[C.dropHandshakesFull]++
  }

  /** Puts a message where main finds it; false where there is no room. */
  #pass(message: number, bytes: number, name: number, peer: number, share: number): boolean {
    const { handshakes, tellMain, scratch } = this.#options
    const { u8 } = this.#memory
    const room = scratch + MESSAGE_ROOM
    u8.copyWithin(room, message, message + bytes)
    u8.copyWithin(room + bytes, name, name + SOCKADDR_BYTES)
    if (!handshakes.put(room, bytes + SOCKADDR_BYTES, peer, share)) return false
    if (handshakes.mustTell()) tellMain()
    return true
  }

  #answer(initiation: number, who: number, nowMs: number): void {
    const { macs, fd, sockaddrBytes } = this.#options
    if (!this.#mayAnswer(who, nowMs)) {
      this.#counters[C.dropHandshakesFull]++
      return
    }
    macs.writeReply(initiation, this.#name, nowMs)
    // Once more where it fails: an ICMP error that waits fails a send that has nothing to do with it.
    for (let tries = 0; tries < 2; tries++) {
      this.#counters[C.syscalls]++
      if (
        sendto(fd, this.#replyAddress, COOKIE_REPLY.size, MSG_DONTWAIT, this.#nameAddress, sockaddrBytes) >= 0
      ) {
        this.#counters[C.dropCookie]++
        return
      }
    }
    this.#counters[C.dropHandshakesFull]++
  }

  #mayAnswer(who: number, nowMs: number): boolean {
    const calmBytes = who === PEER ? CALM_BYTES.peer : CALM_BYTES.stranger
    if (this.#sendBufferUsed(nowMs) < calmBytes && this.#cookies.allows(who, nowMs)) return true
    return this.#hostFew.allows(this.#name, nowMs) && this.#few.allows(0, nowMs)
  }

  /** Bytes, as the kernel counts them. */
  #sendBufferUsed(nowMs: number): number {
    const { scratch, fd } = this.#options
    const used = (scratch + USED) >>> 2
    if (nowMs - this.#bufferSeenMs >= BUFFER_SEEN_MS) {
      this.#bufferSeenMs = nowMs
      this.#counters[C.syscalls]++
      if (ioctl(fd, SIOCOUTQ, this.#usedAddress) < 0) this.#memory.u32[used] = 0
    }
    return this.#memory.u32[used]
  }
}

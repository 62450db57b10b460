import { MSG_DONTWAIT, MSG_TRUNC, SO_EE_ORIGIN_LOCAL } from '../linux/constants.js'
import { EAGAIN, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH } from '../linux/errno.js'
import { ErrorQueue } from '../linux/errqueue.js'
import { lastErrno, recvmmsg } from '../linux/libc.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { PADDING_BYTES, TRANSPORT_OVERHEAD_BYTES } from '../wire/wireguard.js'
import { C } from './counters.js'
import type { Opener } from './opener.js'
import { P, PEER_STRIDE } from './peer-counters.js'
import type { PeerTable } from './peers.js'
import { StateWord } from './plan.js'
import { BLOCKED, DONE, MORE, type Progress, type Source } from './port.js'
import { datagramsIn, ReceiveVector } from './receive-vector.js'
import { framesOffset, KIND_RUN, Records, SEALED } from './record.js'
import type { Ring } from './ring.js'
import type { Scratch } from './scratch.js'

/** Messages that one call receives at the most, while each is a single datagram. */
const BATCH = 16

/** After a sleep: most often one has come, and a call that finds fewer than it asks for has found them all. */
const AFTER_SLEEP = 2

/** What `UDP_GRO` may make of many datagrams: no longer than one IP packet. */
const MESSAGE_BYTES = 65_536

/**
 * Not a power of two, and odd in cache lines: single datagrams then come to lie in different sets of the
 * caches. Ends on 2 in 4, so that an IP header behind an Ethernet header lies on a word.
 */
const SLOT_BYTES = MESSAGE_BYTES + 27 * 64
const SLOT_SKEW = 2

export interface UdpSourceOptions {
  readonly fd: number
  readonly peers: PeerTable
  readonly peerCounters: Float64Array
  /** Offset of the state words. */
  readonly state: number
  /** Called with what an ICMP error says of the path to a peer: what passes, or 0. */
  readonly onTooBig: (peer: number, mtuBytes: number) => void
  /** Opens everything, where the tunnel is private. */
  readonly opener?: Opener | undefined
}

/**
 * Receives datagrams into the ring: of each message, its segment size goes into the record, so that what
 * `UDP_GRO` has put together is a run of frames where it lies.
 */
export class UdpSource implements Source {
  readonly fd: number
  readonly recordBytes = framesOffset(BATCH) + BATCH * SLOT_BYTES
  readonly #options: UdpSourceOptions
  readonly #counters: Float64Array
  readonly #records: Records
  readonly #i32: Int32Array
  readonly #receive: ReceiveVector
  readonly #errors: ErrorQueue
  /**
   * Messages to ask for next: many while they are single datagrams that come fast; one while each is a long
   * run, to pass it on while it is cached; after a sleep one more than there may be, to pass that one on at once
   * and be told in the same call that it was the last.
   */
  #slots = AFTER_SLEEP
  #peer = 0

  constructor(options: UdpSourceOptions, scratch: Scratch, counters: Float64Array) {
    this.fd = options.fd
    this.#options = options
    this.#counters = counters
    this.#records = new Records(scratch.memory)
    this.#i32 = scratch.memory.i32
    this.#receive = new ReceiveVector(scratch, BATCH, SOCKADDR_BYTES)
    this.#errors = new ErrorQueue(scratch.memory, scratch.take(ErrorQueue.BYTES))
  }

  fill(ring: Ring): Progress {
    const slots = this.#slots
    const record = ring.reserve(framesOffset(BATCH) + slots * SLOT_BYTES)
    if (record < 0) return BLOCKED
    const first = record + framesOffset(BATCH) + SLOT_SKEW
    for (let i = 0; i < slots; i++) this.#receive.prepare(i, first + i * SLOT_BYTES, MESSAGE_BYTES)
    const received = recvmmsg(this.fd, this.#receive.address, slots, MSG_DONTWAIT, null)
    this.#counters[C.syscalls]++
    if (received < 0) return this.#receiveFailed()
    let count = 0
    let end = first
    let run = false
    for (let i = 0; i < received; i++) {
      const offset = first + i * SLOT_BYTES
      const bytes = this.#receive.bytes(i)
      const gsoSize = this.#receive.gsoSize(i)
      if (gsoSize !== 0) run = true
      if (!this.#take(i, offset, bytes, gsoSize)) continue
      this.#records.setEntry(record, count++, offset, bytes, gsoSize, this.#peer)
      end = offset + bytes
    }
    this.#slots = received < slots ? AFTER_SLEEP : run ? 1 : BATCH
    if (count > 0) {
      this.#records.setCount(record, count)
      ring.commit(end - record, KIND_RUN)
    }
    return received === slots ? MORE : DONE
  }

  /** Nothing there, or an ICMP error was: that one is taken off, and poll tells whether there is more. */
  #receiveFailed(): Progress {
    this.#slots = AFTER_SLEEP
    if (lastErrno() !== EAGAIN) this.handleError()
    return DONE
  }

  /** Whether there is something for the device in a message; then {@link #peer} is who sent it. */
  #take(message: number, offset: number, bytes: number, gsoSize: number): boolean {
    const { opener } = this.#options
    const frames = datagramsIn(bytes, gsoSize)
    if (opener !== undefined) {
      this.#peer = SEALED
      if (bytes === 0) this.#counters[C.dropEmpty]++
      else if (this.#isOversize(message, gsoSize || bytes, TRANSPORT_OVERHEAD_BYTES + PADDING_BYTES))
        this.#counters[C.dropOversize] += frames
      else return opener.open(offset, bytes, gsoSize || bytes, this.#receive.name(message))
      return false
    }
    this.#peer = this.#sender(message, frames)
    if (this.#peer < 0 || !this.#accept(message, this.#peer, bytes, gsoSize, frames)) return false
    this.#countReceived(this.#peer, frames, bytes)
    return true
  }

  /** The peer that sent a message, -1 for a stranger, who is counted. */
  #sender(message: number, frames: number): number {
    const peer = this.#options.peers.find(this.#receive.name(message))
    if (peer >= 0) return peer
    const acceptAny = (this.#options.state >>> 2) + StateWord.acceptAny
    const row = Atomics.load(this.#i32, acceptAny) - 1
    if (row >= 0) return row
    this.#counters[C.dropForeign] += frames
    return -1
  }

  #countReceived(peer: number, frames: number, bytes: number): void {
    this.#counters[C.receivedFrames] += frames
    this.#counters[C.receivedBytes] += bytes
    const at = peer * PEER_STRIDE
    this.#options.peerCounters[at + P.receivedFrames] += frames
    this.#options.peerCounters[at + P.receivedBytes] += bytes
  }

  #accept(message: number, peer: number, bytes: number, gsoSize: number, frames: number): boolean {
    if (bytes === 0) {
      this.#counters[C.dropEmpty]++
    } else if (this.#isOversize(message, gsoSize || bytes, 0)) {
      this.#counters[C.dropOversize] += frames
    } else {
      return true
    }
    this.#options.peerCounters[peer * PEER_STRIDE + P.droppedInbound] += frames
    return false
  }

  /** @param more bytes that come to a frame */
  #isOversize(message: number, frameBytes: number, more: number): boolean {
    const limit = Atomics.load(this.#i32, (this.#options.state >>> 2) + StateWord.maxFrameBytes)
    return frameBytes > limit + more || (this.#receive.flags(message) & MSG_TRUNC) !== 0
  }

  handleError(): void {
    while (this.#errors.next(this.fd)) {
      const { errno, origin, info, destination } = this.#errors.error
      this.#counters[C.syscalls]++
      if (origin === SO_EE_ORIGIN_LOCAL) continue
      if (errno === EMSGSIZE) {
        this.#counters[C.icmpTooBig]++
        const peer = this.#options.peers.find(destination)
        if (peer >= 0) this.#options.onTooBig(peer, info)
      } else if (errno === ECONNREFUSED || errno === EHOSTUNREACH || errno === ENETUNREACH) {
        this.#counters[C.icmpUnreachable]++
      } else this.#counters[C.icmpOther]++
    }
    this.#counters[C.syscalls]++
  }
}

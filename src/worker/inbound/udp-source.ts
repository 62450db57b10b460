import { MSG_DONTWAIT, MSG_TRUNC } from '../../linux/constants.js'
import { recvmmsg } from '../../linux/libc.js'
import { SOCKADDR_BYTES } from '../../linux/sockaddr.js'
import { takeError } from '../../linux/udp.js'
import { C } from '../../memory/counters.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { StateWord } from '../../memory/plan.js'
import { framesOffset, KIND_RUN, Records, SEALED } from '../../memory/record.js'
import type { Ring } from '../../memory/ring.js'
import { PADDING_BYTES, TRANSPORT_OVERHEAD_BYTES } from '../../wire/wireguard.js'
import { BLOCKED, DONE, MORE, type Progress, type Source } from '../port.js'
import type { Scratch } from '../scratch.js'
import type { Opener } from './opener.js'
import { datagramsIn, ReceiveVector } from './receive-vector.js'

/** The most messages that one call receives, while each is a single datagram. */
const BATCH = 16

/**
 * Messages to ask for after a sleep. Mostly one has come. A call that finds fewer than it asks for has found
 * all.
 */
const AFTER_SLEEP = 2

/** The most bytes that `UDP_GRO` joins: no more than one IP packet. */
const MESSAGE_BYTES = 65_536

/**
 * Bytes from one message's buffer to the next. This is not a power of two, and is an odd number of cache lines.
 * So single datagrams lie in different sets of the caches. A buffer starts 2 bytes after a word boundary. So an
 * IP header behind an Ethernet header is aligned to a word.
 */
const SLOT_BYTES = MESSAGE_BYTES + 27 * 64
const SLOT_SKEW = 2

export interface UdpSourceOptions {
  readonly fd: number
  readonly peers: PeerTable
  readonly peerCounters: Float64Array
  /** Offset of the state words. */
  readonly state: number
  /** Opens all messages, if the tunnel is private. */
  readonly opener?: Opener | undefined
}

/**
 * Receives datagrams into the ring. The record has each message's segment size. So the datagrams that `UDP_GRO`
 * has joined are a run of frames in place.
 */
export class UdpSource implements Source {
  readonly fd: number
  readonly recordBytes = framesOffset(BATCH) + BATCH * SLOT_BYTES
  readonly #options: UdpSourceOptions
  readonly #counters: Float64Array
  readonly #records: Records
  readonly #i32: Int32Array
  readonly #receive: ReceiveVector
  /**
   * Messages to ask for next:
   * - many, while single datagrams come fast;
   * - one, while each is a long run, so that the run is passed on while it is cached;
   * - two after a sleep: one more than is expected. So the one is passed on at once, and the same call shows
   *   that it was the last.
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
  }

  fill(ring: Ring): Progress {
    const slots = this.#slots
    const record = ring.reserve(framesOffset(BATCH) + slots * SLOT_BYTES)
    if (record < 0) return BLOCKED
    const first = record + framesOffset(BATCH) + SLOT_SKEW
    for (let i = 0; i < slots; i++) this.#receive.prepare(i, first + i * SLOT_BYTES, MESSAGE_BYTES)
    const received = recvmmsg(this.fd, this.#receive.address, slots, MSG_DONTWAIT, null)
    this.#counters[C.syscalls]++
    if (received < 0) {
      // Nothing was there, or there was an error, which this call has cleared.
      this.#slots = AFTER_SLEEP
      return DONE
    }
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

  /** Whether a message has something for the device. If so, `#peer` is its sender. */
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

  /** The peer that sent a message; -1 for a stranger, whose frames are counted. */
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

  /** @param more bytes that are added to a frame */
  #isOversize(message: number, frameBytes: number, more: number): boolean {
    const limit = Atomics.load(this.#i32, (this.#options.state >>> 2) + StateWord.maxFrameBytes)
    return frameBytes > limit + more || (this.#receive.flags(message) & MSG_TRUNC) !== 0
  }

  /**
   * Clears the socket's error. Otherwise it would end every sleep at once, also while the ring is full and
   * nothing is received.
   */
  handleError(): void {
    takeError(this.fd)
    this.#counters[C.syscalls]++
  }
}

import type { Encap } from '../../encap/encap.js'
import { MSG_DONTWAIT, MSG_TRUNC } from '../../linux/constants.js'
import { recvmmsg } from '../../linux/libc.js'
import type { NativeMemory } from '../../linux/memory.js'
import { sockaddr_in } from '../../linux/structs.js'
import { takeError } from '../../linux/udp.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { framesOffset, Records, SEALED } from '../../memory/record.js'
import type { Ring } from '../../memory/ring.js'
import type { StateWords } from '../../memory/state-words.js'
import type { Stranger } from '../../memory/stranger.js'
import { type ByteOperations, swap16 } from '../../offload/bytes.js'
import { checksumsHold } from '../../offload/checksums.js'
import { RELAY_HEADER_BYTES } from '../../wire/relay.js'
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
  /** Length of the socket's addresses. */
  readonly sockaddrBytes: number
  readonly peers: PeerTable
  readonly stranger: Stranger
  readonly peerCounters: Float64Array
  readonly drops: Drops
  readonly encap: Encap
  readonly sum: ByteOperations['sum']
  readonly words: StateWords
  /** With VXLAN, the port of all peers. The source ports of their datagrams vary, and say nothing. */
  readonly port?: number | undefined
  /** Wakes main, unless it has been told and has not looked since. */
  readonly tellMain: () => void
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
  filledBytes = 0
  readonly #options: UdpSourceOptions
  /** The most bytes that a datagram has more than the frame in it. */
  readonly #moreBytes: number
  readonly #counters: Float64Array
  readonly #memory: NativeMemory
  readonly #records: Records
  readonly #receive: ReceiveVector
  /**
   * Messages to ask for next:
   * - many, while single datagrams come fast;
   * - one, while each is a long run, so that the run is passed on while it is cached;
   * - two after a sleep: one more than is expected. So the one is passed on at once, and the same call shows
   *   that it was the last.
   */
  #slots = AFTER_SLEEP
  #row = 0
  /** {@link UdpSourceOptions.port} as it lies in memory; -1 if there is none. */
  readonly #portWord: number

  constructor(options: UdpSourceOptions, scratch: Scratch, counters: Float64Array) {
    this.fd = options.fd
    this.#options = options
    // What an introducer relays has one header more.
    this.#moreBytes = options.encap.mostBytes + (options.opener === undefined ? 0 : RELAY_HEADER_BYTES)
    this.#counters = counters
    this.#memory = scratch.memory
    this.#portWord = options.port === undefined ? -1 : swap16(options.port)
    this.#records = new Records(scratch.memory)
    this.#receive = new ReceiveVector(scratch, BATCH, options.sockaddrBytes)
  }

  fill(ring: Ring): Progress {
    this.filledBytes = 0
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
    let filledBytes = 0
    let run = false
    for (let i = 0; i < received; i++) {
      const offset = first + i * SLOT_BYTES
      const bytes = this.#receive.bytes(i)
      const gsoSize = this.#receive.gsoSize(i)
      this.#receive.readLocal(i)
      const dsField = this.#receive.dsField(i)
      if (gsoSize !== 0) run = true
      if (!this.#take(i, offset, bytes, gsoSize, dsField)) continue
      this.#records.setEntry(record, count++, offset, bytes, gsoSize, this.#row, dsField)
      end = offset + bytes
      filledBytes += bytes
    }
    // Before the ring's other side may have the record.
    this.#options.opener?.flush()
    this.#slots = received < slots ? AFTER_SLEEP : run ? 1 : BATCH
    if (count > 0) {
      this.filledBytes = filledBytes
      this.#records.setCount(record, count)
      ring.commit(end - record)
    }
    return received === slots ? MORE : DONE
  }

  /** Whether a message has something for the device. If so, `#row` is its sender's row. */
  #take(message: number, offset: number, bytes: number, gsoSize: number, dsField: number): boolean {
    const { opener, drops } = this.#options
    const frames = datagramsIn(bytes, gsoSize)
    if (opener !== undefined) {
      this.#row = SEALED
      if (bytes === 0) drops.ofNobody(C.dropEmpty, 1)
      else if (this.#isOversize(message, gsoSize || bytes)) drops.ofNobody(C.dropOversize, frames)
      else return opener.open(offset, bytes, gsoSize || bytes, this.#receive.name(message), dsField)
      return false
    }
    this.#row = this.#sender(message, frames)
    if (this.#row < 0 || !this.#accept(message, this.#row, bytes, gsoSize, frames)) return false
    if (!this.#isSummed(offset, bytes, gsoSize)) return false
    this.#countReceived(this.#row, frames, bytes)
    return true
  }

  /** The row of the peer that sent a message; -1 for a stranger, whose frames are counted. */
  #sender(message: number, frames: number): number {
    const { peers, stranger, tellMain } = this.#options
    const name = this.#receive.name(message)
    const row = this.#portWord < 0 ? peers.find(name) : this.#findByAddress(name)
    if (row >= 0) {
      if (!peers.speaksTo(row, name) && peers.noteLocal(row, name)) tellMain()
      return row
    }
    const only = this.#options.words.acceptAny
    if (only >= 0) return only
    this.#options.drops.ofNobody(C.dropForeign, frames)
    stranger.note(name)
    return -1
  }

  #findByAddress(name: number): number {
    const { u16 } = this.#memory
    const at = (name + sockaddr_in.sin_port) >>> 1
    const port = u16[at]
    u16[at] = this.#portWord
    const row = this.#options.peers.find(name)
    if (row < 0) u16[at] = port
    return row
  }

  #countReceived(row: number, frames: number, bytes: number): void {
    this.#counters[C.receivedFrames] += frames
    this.#counters[C.receivedBytes] += bytes
    const at = row * PEER_STRIDE
    this.#options.peerCounters[at + P.receivedFrames] += frames
    this.#options.peerCounters[at + P.receivedBytes] += bytes
  }

  #accept(message: number, row: number, bytes: number, gsoSize: number, frames: number): boolean {
    const { drops } = this.#options
    if (bytes === 0) drops.inbound(C.dropEmpty, row, frames)
    else if (this.#mayBeUncut(row)) return true
    else if (this.#isOversize(message, gsoSize || bytes)) drops.inbound(C.dropOversize, row, frames)
    else return true
    return false
  }

  /**
   * A datagram of the other kernel's own datapath has no UDP checksum, and over a virtual underlay the checksums in it
   * are not filled in. The kernel joins only datagrams that have one.
   */
  #isSummed(offset: number, bytes: number, gsoSize: number): boolean {
    const { peers, encap, drops, sum } = this.#options
    // With VXLAN, the tap sink fills them in.
    if (gsoSize !== 0 || this.#portWord >= 0 || !peers.lacksSums(this.#row)) return true
    if (checksumsHold(this.#memory, sum, offset, bytes, encap.l2Bytes)) return true
    drops.inbound(C.dropChecksum, this.#row, 1)
    return false
  }

  /** Whether VXLAN may bring a whole super-frame of another kernel, which the tap sink looks at. */
  #mayBeUncut(row: number): boolean {
    return this.#portWord >= 0 && this.#options.peers.lacksSums(row)
  }

  #isOversize(message: number, datagramBytes: number): boolean {
    const limit = this.#options.words.maxFrameBytes
    return datagramBytes > limit + this.#moreBytes || (this.#receive.flags(message) & MSG_TRUNC) !== 0
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

import { MSG_DONTWAIT, VIRTIO_NET_HDR_F_NEEDS_CSUM } from '../linux/constants.js'
import {
  EACCES,
  EAGAIN,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENOBUFS,
  EOPNOTSUPP,
  EPERM,
} from '../linux/errno.js'
import { lastErrno, sendmmsg } from '../linux/libc.js'
import type { NativeMemory } from '../linux/memory.js'
import { virtio_net_hdr } from '../linux/structs.js'
import type { ByteOperations } from '../offload/bytes.js'
import { clampMss } from '../offload/mss.js'
import { l3Offset } from '../offload/parse.js'
import { Segmenter } from '../offload/segment.js'
import { isControl } from '../wire/control.js'
import { C } from './counters.js'
import type { Offloads } from './offloads.js'
import { FRAGMENTED, type Passage, type Passing, QUOTE_BYTES, REFUSED } from './passage.js'
import { P, PEER_STRIDE } from './peer-counters.js'
import type { PeerTable } from './peers.js'
import { StateWord } from './plan.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink } from './port.js'
import { KIND_RUN, Records } from './record.js'
import type { Ring } from './ring.js'
import type { Scratch } from './scratch.js'
import { SendBatch } from './send-batch.js'

/** How long a full send buffer is waited for before the frames in hand are dropped. */
const SEND_PATIENCE_MS = 100

/** What the kernel refuses `UDP_SEGMENT` with: EIO without checksum offload (before 6.11). */
const OFFLOAD_ERRORS: ReadonlySet<number> = new Set([EIO, EINVAL, EOPNOTSUPP])

export interface UdpSinkOptions {
  readonly fd: number
  /** Bytes of a frame before the IP header: 14, or 0 in tun mode. */
  readonly l2Bytes: number
  /** Length of a socket address of the socket's family. */
  readonly sockaddrBytes: number
  readonly peers: PeerTable
  readonly peerCounters: Float64Array
  readonly offloads: Offloads
  readonly passage: Passage
  /** Offset of the state words. */
  readonly state: number
  /** The system call, for a test to come between. */
  readonly sendmmsg?: typeof sendmmsg
}

/**
 * Sends what the device gave: each frame, and each segment of a super-frame, is a datagram and nothing else,
 * complete with its checksums. Every frame of a record has a `virtio_net_hdr` right before it.
 */
export class UdpSink implements Sink {
  readonly fd: number
  readonly #l2Bytes: number
  readonly #peers: PeerTable
  readonly #peerCounters: Float64Array
  readonly #offloads: Offloads
  readonly #passage: Passage
  readonly #memory: NativeMemory
  /** Index of the word that says what the MSS of connections is to fit. */
  readonly #clampWord: number
  readonly #sendmmsg: typeof sendmmsg
  readonly #counters: Float64Array
  readonly #records: Records
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #bytes: ByteOperations
  readonly #segmenter: Segmenter
  readonly #batch: SendBatch
  /** The entry of the ring's oldest record that comes next, and its segment, of so many once it is taken up. */
  #entry = 0
  #segment = 0
  #segments = 0
  /** Whether the batch's datagrams may be fragmented. */
  #fragmented = false
  /** Messages of the batch that are done with. */
  #sent = 0
  /** The message whose send has failed once: a pending ICMP error fails one unrelated send. */
  #retried = -1
  /** When the send buffer was found full, in `performance.now()` terms; 0 while it is not. */
  #blockedSinceMs = 0

  constructor(options: UdpSinkOptions, scratch: Scratch, bytes: ByteOperations, counters: Float64Array) {
    const { memory } = scratch
    this.fd = options.fd
    this.#l2Bytes = options.l2Bytes
    this.#peers = options.peers
    this.#peerCounters = options.peerCounters
    this.#offloads = options.offloads
    this.#passage = options.passage
    this.#memory = memory
    this.#clampWord = (options.state >>> 2) + StateWord.clampFrameBytes
    this.#sendmmsg = options.sendmmsg ?? sendmmsg
    this.#counters = counters
    this.#records = new Records(memory)
    this.#view = memory.view
    this.#u8 = memory.u8
    this.#bytes = bytes
    this.#segmenter = new Segmenter(memory, bytes)
    this.#batch = new SendBatch(scratch, options.sockaddrBytes)
  }

  drain(ring: Ring): Progress {
    if (this.#batch.count !== 0 && !this.#flush()) return BLOCKED
    const record = ring.peek()
    if (record < 0) return DONE
    if (this.#records.kind(record) === KIND_RUN) {
      const count = this.#records.count(record)
      while (this.#entry < count) {
        const taken = this.#take(record)
        if ((!taken || this.#batch.full || this.#entry === count) && !this.#flush()) return BLOCKED
      }
      this.#entry = 0
    }
    ring.release()
    return MORE
  }

  /**
   * Puts as much of the next entry into the batch as there is room for, and moves on.
   * @returns false when the batch is to be sent first, for it goes otherwise
   */
  #take(record: number): boolean {
    const frame = this.#records.offset(record, this.#entry)
    const bytes = this.#records.bytes(record, this.#entry)
    const peer = this.#records.peer(record, this.#entry)
    const name = this.#peers.address(peer)
    if (this.#records.gsoSize(record, this.#entry) === 0) {
      if (isControl(this.#view, frame, bytes, this.#l2Bytes !== 0)) {
        this.#counters[C.dropControlLocal]++
        this.#entry++
        return true
      }
      const passing = this.#passage.judge(peer, bytes)
      if (passing === REFUSED) {
        this.#refuse(peer, frame, bytes, bytes, 1)
        this.#entry++
        return true
      }
      if (!this.#opens(passing)) return false
      this.#entry++
      this.#completeChecksum(frame, bytes)
      const clampBytes = this.#memory.i32[this.#clampWord]
      if (clampBytes !== 0 && clampMss(this.#memory, frame, bytes, this.#l2Bytes, clampBytes))
        this.#counters[C.mssClamped]++
      this.#batch.addFrame(frame, bytes, peer, name)
      return true
    }
    if (this.#segments === 0 && !this.#begin(frame, bytes)) {
      this.#counters[C.dropMalformed]++
      this.#entry++
      return true
    }
    const segmenter = this.#segmenter
    const segmentBytes = segmenter.headerBytes + segmenter.payloadBytes(0)
    const passing = this.#passage.judge(peer, segmentBytes)
    if (passing === REFUSED) {
      this.#refuseSegments(peer, segmentBytes, this.#segments - this.#segment)
      this.#endSegments()
      return true
    }
    if (!this.#opens(passing)) return false
    while (this.#segment < this.#segments && !this.#batch.full) {
      const segment = this.#segment++
      segmenter.writeHeader(segment, this.#batch.headerSlot)
      const payload = segmenter.payloadOffset(segment)
      this.#batch.addSegment(segmenter.headerBytes, payload, segmenter.payloadBytes(segment), peer, name)
    }
    if (this.#segment === this.#segments) this.#endSegments()
    return true
  }

  #endSegments(): void {
    this.#segment = 0
    this.#segments = 0
    this.#entry++
  }

  /** Whether the batch takes frames that pass so; an empty one becomes one that does. */
  #opens(passing: Passing): boolean {
    const fragmented = passing === FRAGMENTED
    if (this.#batch.count === 0) {
      this.#fragmented = fragmented
      this.#batch.segments = !fragmented && this.#offloads.isOn('udp_segment')
    }
    return this.#fragmented === fragmented
  }

  #refuse(peer: number, frame: number, available: number, bytes: number, frames: number): void {
    this.#passage.refuse(peer, frame, available, bytes, frames)
    this.#peerCounters[peer * PEER_STRIDE + P.droppedOutbound] += frames
  }

  /** The first segment stands for all in an answer. */
  #refuseSegments(peer: number, segmentBytes: number, segments: number): void {
    const { quote } = this.#passage
    const segmenter = this.#segmenter
    const { headerBytes } = segmenter
    segmenter.writeHeader(0, quote)
    const payload = segmenter.payloadOffset(0)
    const available = Math.min(segmentBytes, QUOTE_BYTES)
    this.#u8.copyWithin(quote + headerBytes, payload, payload + available - headerBytes)
    this.#refuse(peer, quote, available, segmentBytes, segments)
  }

  #begin(frame: number, bytes: number): boolean {
    const hdr = frame - virtio_net_hdr.size
    this.#segments = this.#segmenter.begin(
      frame,
      bytes,
      l3Offset(this.#view, frame, this.#l2Bytes),
      this.#view.getUint16(hdr + virtio_net_hdr.csum_start, true),
      this.#u8[hdr + virtio_net_hdr.gso_type],
      this.#view.getUint16(hdr + virtio_net_hdr.gso_size, true),
    )
    return this.#segments > 0
  }

  /** The kernel leaves a checksum to be completed: the field holds the pseudo header's sum. */
  #completeChecksum(frame: number, bytes: number): void {
    const hdr = frame - virtio_net_hdr.size
    if ((this.#u8[hdr + virtio_net_hdr.flags] & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return
    const start = this.#view.getUint16(hdr + virtio_net_hdr.csum_start, true)
    const at = frame + start + this.#view.getUint16(hdr + virtio_net_hdr.csum_offset, true)
    if (at + 2 > frame + bytes) return
    const checksum = ~this.#bytes.sum(frame + start, bytes - start, 0) & 0xffff
    this.#view.setUint16(at, checksum === 0 ? 0xffff : checksum, true)
  }

  /** Sends what is left of the batch; false when the send buffer is full and worth waiting for. */
  #flush(): boolean {
    if (!this.#fragmented) return this.#send()
    this.#passage.setFragmenting(true)
    const sent = this.#send()
    this.#passage.setFragmenting(false)
    return sent
  }

  #send(): boolean {
    const batch = this.#batch
    if (this.#sent === 0) batch.seal()
    while (this.#sent < batch.count) {
      const left = batch.count - this.#sent
      const sent = this.#sendmmsg(this.fd, batch.addressOf(this.#sent), left, MSG_DONTWAIT)
      this.#counters[C.syscalls]++
      if (sent > 0) this.#countSent(sent)
      else if (!this.#sendFailed(lastErrno())) return false
    }
    batch.clear()
    this.#sent = 0
    return true
  }

  #countSent(sent: number): void {
    for (let i = 0; i < sent; i++) {
      const message = this.#sent + i
      this.#count(this.#batch.peerOf(message), this.#batch.framesIn(message), this.#batch.bytesIn(message))
    }
    this.#sent += sent
    this.#retried = -1
    this.#blockedSinceMs = 0
  }

  #count(peer: number, frames: number, bytes: number): void {
    this.#counters[C.sentFrames] += frames
    this.#counters[C.sentBytes] += bytes
    if (this.#fragmented) this.#counters[C.fragmentedFrames] += frames
    const at = peer * PEER_STRIDE
    this.#peerCounters[at + P.sentFrames] += frames
    this.#peerCounters[at + P.sentBytes] += bytes
  }

  /** Deals with the failure of the next message's send; false when it is to be tried again after a poll. */
  #sendFailed(errno: number): boolean {
    if (errno === EAGAIN) {
      const now = performance.now()
      if (this.#blockedSinceMs === 0) this.#blockedSinceMs = now
      if (now - this.#blockedSinceMs < SEND_PATIENCE_MS) return false
      for (; this.#sent < this.#batch.count; this.#sent++) this.#drop(errno, this.#batch.framesIn(this.#sent))
      this.#blockedSinceMs = 0
      return true
    }
    if (this.#retried !== this.#sent) {
      this.#retried = this.#sent
      return true
    }
    this.#retried = -1
    if (this.#batch.framesIn(this.#sent) > 1) this.#sendOneByOne(errno)
    else this.#drop(errno, 1)
    this.#sent++
    return true
  }

  /**
   * A run was refused. Its frames alone tell why: where the first, as long as any, is taken, and the errno is
   * one of the offload's, it was the offload, which is given up; else it was the way, as when ICMP errors come
   * thick.
   */
  #sendOneByOne(errno: number): void {
    const frames = this.#batch.framesIn(this.#sent)
    const bytes = this.#batch.bytesIn(this.#sent)
    let delivered = 0
    let firstTaken = false
    for (let i = 0; i < frames; i++) {
      this.#batch.single(this.#sent, i)
      const sent = this.#sendmmsg(this.fd, this.#batch.addressOf(this.#sent), 1, MSG_DONTWAIT)
      this.#counters[C.syscalls]++
      if (sent === 1) {
        delivered++
        if (i === 0) firstTaken = true
      } else this.#drop(lastErrno(), 1)
    }
    this.#count(this.#batch.peerOf(this.#sent), delivered, Math.round((bytes * delivered) / frames))
    if (firstTaken && OFFLOAD_ERRORS.has(errno)) this.#offloads.set('udp_segment', false)
  }

  /** Frames of the message that is being sent. */
  #drop(errno: number, frames: number): void {
    this.#counters[dropCounter(errno)] += frames
    this.#peerCounters[this.#batch.peerOf(this.#sent) * PEER_STRIDE + P.droppedOutbound] += frames
  }
}

function dropCounter(errno: number): number {
  switch (errno) {
    case EMSGSIZE:
      return C.dropTooBig
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ECONNREFUSED:
      return C.dropUnreachable
    case EPERM:
    case EACCES:
      return C.dropForbidden
    case EAGAIN:
    case ENOBUFS:
      return C.dropSendBufferFull
    default:
      return C.dropSendFailed
  }
}

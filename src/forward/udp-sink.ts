import { VIRTIO_NET_HDR_F_NEEDS_CSUM } from '../linux/constants.js'
import type { NativeMemory } from '../linux/memory.js'
import { virtio_net_hdr } from '../linux/structs.js'
import type { ByteOperations } from '../offload/bytes.js'
import { clampMss } from '../offload/mss.js'
import { l3Offset } from '../offload/parse.js'
import { Segmenter } from '../offload/segment.js'
import { isControl } from '../wire/control.js'
import { UDP } from '../wire/udp.js'
import { C } from './counters.js'
import type { Forwarding } from './forwarding.js'
import { FRAGMENTED, type Passage, type Passing, QUOTE_BYTES, REFUSED, WHOLE } from './passage.js'
import type { PeerTable } from './peers.js'
import { StateWord } from './plan.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink } from './port.js'
import { KIND_RUN, Records } from './record.js'
import type { Ring } from './ring.js'
import type { Scratch } from './scratch.js'
import type { SendBatch } from './send-batch.js'
import { Sender, type SenderOptions } from './sender.js'
import { dropCounterOf, FLOOD } from './target.js'

/** Messages to each peer that one batch should have room for, or it is sent first. */
const FLOOD_MESSAGES = 4

export interface UdpSinkOptions extends SenderOptions {
  /** Bytes of a frame before the IP header: 14, or 0 in tun mode. */
  readonly l2Bytes: number
  readonly peers: PeerTable
  readonly forwarding: Forwarding
  /** Offset of the state words. */
  readonly state: number
}

/**
 * Sends what the device gave to the peer it is for, or to all: each frame, and each segment of a super-frame, is
 * a datagram and nothing else, complete with its checksums. Every frame of a record has a `virtio_net_hdr` right
 * before it. What goes to all is cut and checksummed once; the peers' messages are of the same memory.
 */
export class UdpSink implements Sink {
  readonly fd: number
  readonly #l2Bytes: number
  readonly #peers: PeerTable
  readonly #forwarding: Forwarding
  readonly #passage: Passage
  readonly #memory: NativeMemory
  /** Index of the word that says what the MSS of connections is to fit. */
  readonly #clampWord: number
  readonly #counters: Float64Array
  readonly #records: Records
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #bytes: ByteOperations
  readonly #segmenter: Segmenter
  readonly #sender: Sender
  readonly #batch: SendBatch
  /** The entry of the ring's oldest record that comes next. */
  #entry = 0
  /** Whether it has been taken up; its segments, 0 for a single frame; the next one; and where it goes. */
  #begun = false
  #segments = 0
  #segment = 0
  #target = FLOOD as number
  /** In a private tunnel, of what goes to all: the peer whose turn it is. */
  #turn = 0
  #keysChanged = false
  /** Of what goes to all, each peer that gets no more of the entry; and whether there is one. */
  readonly #leftOut: Uint8Array
  #leavesOut = false
  /** Bytes of the longest datagram it becomes. */
  #longestBytes = 0

  constructor(options: UdpSinkOptions, scratch: Scratch, bytes: ByteOperations, counters: Float64Array) {
    const { memory } = scratch
    this.fd = options.fd
    this.#l2Bytes = options.l2Bytes
    this.#peers = options.peers
    this.#forwarding = options.forwarding
    this.#passage = options.passage
    this.#memory = memory
    this.#clampWord = (options.state >>> 2) + StateWord.clampFrameBytes
    this.#counters = counters
    this.#records = new Records(memory)
    this.#leftOut = new Uint8Array(options.peers.rows)
    this.#view = memory.view
    this.#u8 = memory.u8
    this.#bytes = bytes
    this.#segmenter = new Segmenter(memory, bytes)
    this.#sender = new Sender(options, scratch, counters)
    this.#batch = this.#sender.batch
  }

  drain(ring: Ring): Progress {
    if (!this.#sender.flush()) return BLOCKED
    if (this.#keysChanged && !this.#sendWaiting()) return BLOCKED
    const record = ring.peek()
    if (record < 0) return DONE
    if (this.#records.kind(record) === KIND_RUN) {
      this.#forwarding.begin()
      const count = this.#records.count(record)
      while (this.#entry < count) {
        const full = !this.#take(record)
        if ((full || this.#entry === count) && !this.#sender.flush()) return BLOCKED
      }
      this.#entry = 0
    }
    ring.release()
    return MORE
  }

  /** Puts as much of the next entry into the batch as there is room for, and moves on; false when it is full. */
  #take(record: number): boolean {
    const frame = this.#records.offset(record, this.#entry)
    const bytes = this.#records.bytes(record, this.#entry)
    if (!this.#begun) {
      this.#begun = this.#begin(frame, bytes, this.#records.gsoSize(record, this.#entry) !== 0)
      if (!this.#begun) {
        this.#entry++
        return true
      }
    }
    const fitted = this.#addWhereTo(frame, bytes)
    if (fitted && this.#segment === this.#segments) {
      this.#begun = false
      this.#entry++
    }
    return fitted && !this.#batch.full
  }

  #addWhereTo(frame: number, bytes: number): boolean {
    if (this.#target !== FLOOD) return this.#addTo(frame, bytes, this.#target)
    return this.#sender.seals ? this.#addToEach(frame, bytes) : this.#addToAll(frame, bytes)
  }

  /** Takes an entry up: makes it ready to be sent, and finds out where to; false where that is nowhere. */
  #begin(frame: number, bytes: number, isSuper: boolean): boolean {
    this.#segment = 0
    this.#segments = 0
    this.#turn = 0
    if (this.#leavesOut) this.#leftOut.fill(0)
    this.#leavesOut = false
    if (isSuper) {
      this.#segments = this.#beginSegments(frame, bytes)
      if (this.#segments === 0) {
        this.#counters[C.dropMalformed]++
        return false
      }
    } else if (isControl(this.#view, frame, bytes, this.#l2Bytes !== 0)) {
      this.#counters[C.dropControlLocal]++
      return false
    }
    const frames = this.#segments || 1
    const only = this.#peers.onlyInUse
    const target = this.#forwarding.fromDevice(frame, bytes, only >= 0 ? 0 : frames)
    if (target < FLOOD) {
      this.#counters[dropCounterOf(target)] += frames
      return false
    }
    const gone = target >= 0 && !this.#peers.inUse(target)
    if (gone && this.#l2Bytes === 0) {
      this.#sender.dropFor(target, frames)
      return false
    }
    // To all, where there is but one, is to that one.
    this.#target = target !== FLOOD && !gone ? target : only >= 0 ? only : FLOOD
    if (isSuper) this.#longestBytes = this.#segmenter.headerBytes + this.#segmenter.payloadBytes(0)
    else {
      this.#longestBytes = bytes
      this.#completeChecksum(frame, bytes)
      const clampBytes = this.#memory.i32[this.#clampWord]
      if (clampBytes !== 0 && clampMss(this.#memory, frame, bytes, this.#l2Bytes, clampBytes))
        this.#counters[C.mssClamped]++
    }
    return true
  }

  /**
   * There may be keys that frames wait for: they are looked at with the next {@link drain}. And there may be peers
   * less than before: what waits for keys to those is dropped.
   */
  keysChanged(): void {
    this.#keysChanged = true
    this.#sender.dropGone(this.#peers)
  }

  /** Whether there is anything in hand that could not be sent yet. */
  get holds(): boolean {
    return this.#batch.count !== 0
  }

  #sendWaiting(): boolean {
    this.#keysChanged = false
    return this.#sender.sendWaiting(this.#peers)
  }

  #beginSegments(frame: number, bytes: number): number {
    const hdr = frame - virtio_net_hdr.size
    return this.#segmenter.begin(
      frame,
      bytes,
      l3Offset(this.#view, frame, this.#l2Bytes),
      this.#view.getUint16(hdr + virtio_net_hdr.csum_start, true),
      this.#u8[hdr + virtio_net_hdr.flags],
      this.#u8[hdr + virtio_net_hdr.gso_type],
      this.#view.getUint16(hdr + virtio_net_hdr.gso_size, true),
    )
  }

  /** Adds what is left of the entry for one peer; false to send first. */
  #addTo(frame: number, bytes: number, peer: number): boolean {
    const passing = this.#passage.judge(peer, this.#longestBytes)
    if (passing === REFUSED) {
      this.#refuse(peer, frame, bytes, this.#left)
      this.#segment = this.#segments
      return true
    }
    const opens = this.#sender.opens(passing === FRAGMENTED, this.#passage.takesRuns(peer))
    if (!opens || !this.#sender.fits(this.#longestBytes)) return false
    this.#add(frame, bytes, peer, Number.MAX_SAFE_INTEGER)
    return true
  }

  /** The entry for all, where it is sealed for each: one peer after the other, in as many batches as that takes. */
  #addToEach(frame: number, bytes: number): boolean {
    const peers = this.#peers
    if (peers.countInUse === 0) this.#counters[C.dropUnreachable] += this.#segments || 1
    for (; this.#turn < peers.rowsInUse; this.#turn++) {
      if (!peers.inUse(this.#turn)) continue
      if (this.#batch.full) return false
      if (!this.#addTo(frame, bytes, this.#turn) || this.#segment !== this.#segments) return false
      this.#segment = 0
    }
    this.#segment = this.#segments
    return true
  }

  /** How the entry goes to all: as it must to any of those that it goes to. */
  #passingToAll(): Passing {
    const peers = this.#peers
    for (let peer = 0; peer < peers.rowsInUse; peer++) {
      if (peers.inUse(peer) && this.#passage.judge(peer, this.#longestBytes) === FRAGMENTED) return FRAGMENTED
    }
    return WHOLE
  }

  /** Their messages are of the same frames: runs for all, or for none. */
  #allTakeRuns(): boolean {
    const peers = this.#peers
    for (let peer = 0; peer < peers.rowsInUse; peer++)
      if (peers.inUse(peer) && !this.#passage.takesRuns(peer)) return false
    return true
  }

  /** Frames of the entry that have not been added. */
  get #left(): number {
    return this.#segments === 0 ? 1 : this.#segments - this.#segment
  }

  /**
   * What is left of the entry, `frames` frames, is too long for the way to a peer. The first segment stands for
   * all in an answer.
   */
  #refuse(peer: number, frame: number, bytes: number, frames: number): void {
    this.#sender.countFor(peer, frames)
    if (this.#segments === 0) {
      this.#passage.refuse(peer, frame, bytes, bytes, frames)
      return
    }
    const { quote } = this.#passage
    const segmenter = this.#segmenter
    const { headerBytes } = segmenter
    segmenter.writeHeader(0, quote)
    const payload = segmenter.payloadOffset(0)
    const available = Math.min(this.#longestBytes, QUOTE_BYTES)
    this.#u8.copyWithin(quote + headerBytes, payload, payload + available - headerBytes)
    this.#passage.refuse(peer, quote, available, this.#longestBytes, frames)
  }

  /**
   * Adds the entry for each peer in use, all of it or as much as there is room for; false to send first. A peer
   * that does not get one part of it gets none of what follows, which is counted at once.
   */
  #addToAll(frame: number, bytes: number): boolean {
    const batch = this.#batch
    const peers = this.#peers
    const room = Math.floor(batch.room / Math.max(1, peers.countInUse))
    if (room < FLOOD_MESSAGES && batch.count > 0) return false
    if (!this.#sender.opens(this.#passingToAll() === FRAGMENTED, this.#allTakeRuns())) return false
    const first = batch.count
    const left = this.#left
    let reached = false
    let end = -1
    batch.close()
    for (let peer = 0; peer < peers.rowsInUse; peer++) {
      if (!peers.inUse(peer)) continue
      reached = true
      if (this.#leftOut[peer] !== 0) continue
      if (this.#passage.judge(peer, this.#longestBytes) === REFUSED) {
        this.#leaveOut(peer)
        this.#refuse(peer, frame, bytes, left)
        continue
      }
      if (end < 0) {
        this.#add(frame, bytes, peer, first + room)
        end = batch.count
      } else if (batch.room >= end - first) batch.repeat(first, end, peer, peers.address(peer))
      else {
        this.#leaveOut(peer)
        this.#sender.dropFor(peer, left)
      }
    }
    batch.close()
    if (end >= 0) return true
    if (!reached) this.#counters[C.dropUnreachable] += left
    this.#segment = this.#segments
    return true
  }

  #leaveOut(peer: number): void {
    this.#leftOut[peer] = 1
    this.#leavesOut = true
  }

  /** Adds the entry for one peer, or of a super-frame as much as fits while there are fewer than `limit` messages. */
  #add(frame: number, bytes: number, peer: number, limit: number): void {
    const batch = this.#batch
    const name = this.#peers.address(peer)
    if (this.#segments === 0) {
      this.#sender.addFrame(frame, bytes, peer, name)
      return
    }
    const sender = this.#sender
    sender.expect(this.#segments - this.#segment)
    while (this.#segment < this.#segments && !batch.full && batch.count < limit) {
      if (!sender.fits(this.#longestBytes)) return
      sender.addSegment(this.#segmenter, this.#segment++, peer, name)
    }
  }

  /** The kernel leaves a checksum to be completed: the field holds the pseudo header's sum. */
  #completeChecksum(frame: number, bytes: number): void {
    const hdr = frame - virtio_net_hdr.size
    if ((this.#u8[hdr + virtio_net_hdr.flags] & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return
    const start = this.#view.getUint16(hdr + virtio_net_hdr.csum_start, true)
    const offset = this.#view.getUint16(hdr + virtio_net_hdr.csum_offset, true)
    const at = frame + start + offset
    if (at + 2 > frame + bytes) return
    const checksum = ~this.#bytes.sum(frame + start, bytes - start, 0) & 0xffff
    // Zero stands for none in UDP (RFC 768), which is told by where its checksum is; for TCP zero is zero.
    this.#view.setUint16(at, checksum === 0 && offset === UDP.checksum ? 0xffff : checksum, true)
  }
}

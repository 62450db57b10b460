import { VIRTIO_NET_HDR_F_NEEDS_CSUM } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { virtio_net_hdr } from '../../linux/structs.js'
import { C } from '../../memory/counters.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { StateWord } from '../../memory/plan.js'
import { KIND_RUN, Records } from '../../memory/record.js'
import type { Ring } from '../../memory/ring.js'
import { dropCounterOf, FLOOD } from '../../memory/target.js'
import type { ByteOperations } from '../../offload/bytes.js'
import { clampMss } from '../../offload/mss.js'
import { l3Offset } from '../../offload/parse.js'
import { Segmenter } from '../../offload/segment.js'
import { isControl } from '../../wire/control.js'
import { UDP } from '../../wire/udp.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink } from '../port.js'
import type { Scratch } from '../scratch.js'
import type { Forwarding } from '../switching/forwarding.js'
import { FRAGMENTED, type Passing, type PathPolicy, QUOTE_BYTES, REFUSED, WHOLE } from './path-policy.js'
import type { SendBatch } from './send-batch.js'
import { Sender, type SenderOptions } from './sender.js'

/** One batch should have room for this many messages to each peer. Otherwise the batch is sent first. */
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
 * Sends frames from the device to their peer, or to all peers. Each frame, and each segment of a super-frame,
 * is the whole payload of one datagram, with complete checksums. Every frame of a record has a `virtio_net_hdr`
 * right before it. A frame for all peers is segmented and checksummed only once. The messages to the peers
 * share this memory.
 */
export class UdpSink implements Sink {
  readonly fd: number
  readonly #l2Bytes: number
  readonly #peers: PeerTable
  readonly #forwarding: Forwarding
  readonly #pathPolicy: PathPolicy
  readonly #memory: NativeMemory
  /** Index of the word that says how long the frames of TCP connections may become (MSS clamping). */
  readonly #clampWord: number
  readonly #counters: Float64Array
  readonly #records: Records
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #bytes: ByteOperations
  readonly #segmenter: Segmenter
  readonly #sender: Sender
  readonly #batch: SendBatch
  /** The next entry of the ring's oldest record. */
  #entry = 0
  /**
   * Whether the entry has been taken up. If it has: the number of its segments (0 for a single frame), the next
   * segment, and the target.
   */
  #begun = false
  #segments = 0
  #segment = 0
  #target = FLOOD as number
  /** Only in a private tunnel, for an entry to all peers: the peer whose turn it is. */
  #turn = 0
  #keysChanged = false
  /**
   * For an entry to all peers: 1 for each peer that gets no more of the entry; and whether there is such a
   * peer.
   */
  readonly #leftOut: Uint8Array
  #leavesOut = false
  /** Bytes of the longest datagram that the entry becomes. */
  #longestBytes = 0

  constructor(options: UdpSinkOptions, scratch: Scratch, bytes: ByteOperations, counters: Float64Array) {
    const { memory } = scratch
    this.fd = options.fd
    this.#l2Bytes = options.l2Bytes
    this.#peers = options.peers
    this.#forwarding = options.forwarding
    this.#pathPolicy = options.pathPolicy
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

  /** Puts as much of the next entry into the batch as fits, and advances. False if the batch is full. */
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

  /** Takes an entry up: prepares it for sending, and finds its target. False if it goes nowhere. */
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
    // If only one peer is in use, a frame for all peers goes to that peer.
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
   * There may be new keys for waiting frames. The next {@link drain} looks at them. Peers may also have been
   * removed: frames that wait for keys to those are dropped.
   */
  keysChanged(): void {
    this.#keysChanged = true
    this.#sender.dropGone(this.#peers)
  }

  /** Whether a batch is still unsent. */
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

  /** Adds the rest of the entry for one peer. False if the batch must be sent first. */
  #addTo(frame: number, bytes: number, peer: number): boolean {
    const passing = this.#pathPolicy.judge(peer, this.#longestBytes)
    if (passing === REFUSED) {
      this.#refuse(peer, frame, bytes, this.#left)
      this.#segment = this.#segments
      return true
    }
    const opens = this.#sender.opens(passing === FRAGMENTED, this.#pathPolicy.takesRuns(peer))
    if (!opens || !this.#sender.fits(this.#longestBytes)) return false
    this.#add(frame, bytes, peer, Number.MAX_SAFE_INTEGER)
    return true
  }

  /**
   * Adds the entry for all peers if each message is sealed for its peer: one peer after the other, in as many
   * batches as needed.
   */
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

  /** How the entry goes to all peers: FRAGMENTED if it must be fragmented for any of them. */
  #passingToAll(): Passing {
    const peers = this.#peers
    for (let peer = 0; peer < peers.rowsInUse; peer++) {
      if (peers.inUse(peer) && this.#pathPolicy.judge(peer, this.#longestBytes) === FRAGMENTED)
        return FRAGMENTED
    }
    return WHOLE
  }

  /**
   * Whether all peers take runs. The messages to all peers share the same frames, so either all are runs or
   * none.
   */
  #allTakeRuns(): boolean {
    const peers = this.#peers
    for (let peer = 0; peer < peers.rowsInUse; peer++)
      if (peers.inUse(peer) && !this.#pathPolicy.takesRuns(peer)) return false
    return true
  }

  /** Frames of the entry that have not been added yet. */
  get #left(): number {
    return this.#segments === 0 ? 1 : this.#segments - this.#segment
  }

  /**
   * The rest of the entry, `frames` frames, is too long for the path to a peer. An answer quotes only the first
   * segment.
   */
  #refuse(peer: number, frame: number, bytes: number, frames: number): void {
    this.#sender.countFor(peer, frames)
    if (this.#segments === 0) {
      this.#pathPolicy.refuse(peer, frame, bytes, bytes, frames)
      return
    }
    const { quote } = this.#pathPolicy
    const segmenter = this.#segmenter
    const { headerBytes } = segmenter
    segmenter.writeHeader(0, quote)
    const payload = segmenter.payloadOffset(0)
    const available = Math.min(this.#longestBytes, QUOTE_BYTES)
    this.#u8.copyWithin(quote + headerBytes, payload, payload + available - headerBytes)
    this.#pathPolicy.refuse(peer, quote, available, this.#longestBytes, frames)
  }

  /**
   * Adds the entry for each peer in use, all of it or as much as fits. False if the batch must be sent first. A
   * peer that misses one part of the entry gets none of the following parts either. These are counted at once.
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
      if (this.#pathPolicy.judge(peer, this.#longestBytes) === REFUSED) {
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

  /**
   * Adds the entry for one peer. Of a super-frame, adds as many segments as fit while there are fewer than
   * `limit` messages.
   */
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

  /** Completes a checksum that the kernel left incomplete. The field holds the sum of the pseudo header. */
  #completeChecksum(frame: number, bytes: number): void {
    const hdr = frame - virtio_net_hdr.size
    if ((this.#u8[hdr + virtio_net_hdr.flags] & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return
    const start = this.#view.getUint16(hdr + virtio_net_hdr.csum_start, true)
    const offset = this.#view.getUint16(hdr + virtio_net_hdr.csum_offset, true)
    const at = frame + start + offset
    if (at + 2 > frame + bytes) return
    const checksum = ~this.#bytes.sum(frame + start, bytes - start, 0) & 0xffff
    // In UDP a zero checksum means that there is none (RFC 768), so 0xffff is sent instead. The field's offset
    // tells UDP from TCP. In TCP zero is an ordinary value.
    this.#view.setUint16(at, checksum === 0 && offset === UDP.checksum ? 0xffff : checksum, true)
  }
}

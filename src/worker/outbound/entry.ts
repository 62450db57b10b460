import type { Encap } from '../../encap/encap.js'
import type { NativeMemory } from '../../linux/memory.js'
import { virtio_net_hdr } from '../../linux/structs.js'
import type { ByteOperations } from '../../offload/bytes.js'
import { l3Offset } from '../../offload/parse.js'
import { Segmenter } from '../../offload/segment.js'
import { FRAGMENTED, type Passing, type PathPolicy, QUOTE_BYTES, REFUSED } from './path-policy.js'
import type { Sender } from './sender.js'

export interface EntryOptions {
  readonly encap: Encap
  readonly pathPolicy: PathPolicy
}

/**
 * The entry of the outbound ring that is being sent: a frame, or a super-frame, of which a batch may hold
 * only a part. There is one instance, which takes up one entry after the other.
 */
export class Entry {
  /** Bytes of the longest datagram that the entry becomes. */
  longestBytes = 0
  readonly #memory: NativeMemory
  readonly #l2Bytes: number
  readonly #pathPolicy: PathPolicy
  readonly #sender: Sender
  readonly #segmenter: Segmenter
  #frame = 0
  #bytes = 0
  /** The number of segments, 0 for a single frame; and the next segment to add. */
  #segments = 0
  #next = 0

  constructor(options: EntryOptions, sender: Sender, memory: NativeMemory, bytes: ByteOperations) {
    this.#memory = memory
    this.#l2Bytes = options.encap.l2Bytes
    this.#pathPolicy = options.pathPolicy
    this.#sender = sender
    this.#segmenter = new Segmenter(memory, bytes)
  }

  /** Takes up a frame. */
  beginFrame(frame: number, bytes: number): void {
    this.#frame = frame
    this.#bytes = bytes
    this.#segments = 0
    this.#next = 0
    this.longestBytes = bytes
  }

  /** Takes up a super-frame behind its `virtio_net_hdr`. False if it is not what it claims to be. */
  beginSuperFrame(frame: number, bytes: number): boolean {
    const { view, u8 } = this.#memory
    const hdr = frame - virtio_net_hdr.size
    this.#frame = frame
    this.#bytes = bytes
    this.#next = 0
    this.#segments = this.#segmenter.begin(
      frame,
      bytes,
      l3Offset(view, frame, this.#l2Bytes),
      view.getUint16(hdr + virtio_net_hdr.csum_start, true),
      u8[hdr + virtio_net_hdr.flags],
      u8[hdr + virtio_net_hdr.gso_type],
      view.getUint16(hdr + virtio_net_hdr.gso_size, true),
    )
    if (this.#segments === 0) return false
    this.longestBytes = this.#segmenter.longestBytes
    return true
  }

  /** How the entry goes to the peer in this row: as its longest frame does. */
  passingTo(row: number): Passing {
    return this.#pathPolicy.judge(row, this.longestBytes, this.#frame, this.#bytes)
  }

  /** Frames that the entry stands for. */
  get frames(): number {
    return this.#segments || 1
  }

  /** Frames of the entry that have not been added yet. */
  get left(): number {
    return this.#segments === 0 ? 1 : this.#segments - this.#next
  }

  /** Whether an addition that fitted was the last one. */
  get isAdded(): boolean {
    return this.#next === this.#segments
  }

  /** The entry is added from its start again, for another peer. */
  restart(): void {
    this.#next = 0
  }

  /** Nothing more of the entry is added. */
  finish(): void {
    this.#next = this.#segments
  }

  /**
   * Adds the rest of the entry for one peer, or drops what its path does not carry. False if the batch must
   * be sent first.
   */
  addTo(row: number): boolean {
    const passing = this.passingTo(row)
    if (passing === REFUSED) {
      this.refuse(row, this.left)
      this.finish()
      return true
    }
    const sender = this.#sender
    const opens = sender.opens(passing === FRAGMENTED, this.#pathPolicy.takesRuns(row))
    if (!opens || !sender.fits(this.longestBytes)) return false
    this.add(row, sender.room)
    return true
  }

  /** Adds the entry for one peer. Of a super-frame, adds as many segments as fit into `room` more messages. */
  add(row: number, room: number): void {
    if (this.#segments === 0) this.#sender.addFrame(this.#frame, this.#bytes, row)
    else this.#next = this.#sender.addSegments(this.#segmenter, this.#next, row, room)
  }

  /**
   * The rest of the entry, `frames` frames, is too long for the path to a peer. An answer quotes only the first
   * segment.
   */
  refuse(row: number, frames: number): void {
    if (this.#segments === 0) {
      this.#pathPolicy.refuse(row, this.#frame, this.#bytes, this.#bytes, frames)
      return
    }
    const { quote } = this.#pathPolicy
    const segmenter = this.#segmenter
    const { headerBytes } = segmenter
    segmenter.writeHeader(0, quote)
    const payload = segmenter.payloadOffset(0)
    const available = Math.min(this.longestBytes, QUOTE_BYTES)
    this.#memory.u8.copyWithin(quote + headerBytes, payload, payload + available - headerBytes)
    this.#pathPolicy.refuse(row, quote, available, this.longestBytes, frames)
  }
}

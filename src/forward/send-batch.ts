import { SOL_UDP, UDP_SEGMENT } from '../linux/constants.js'
import type { NativeMemory } from '../linux/memory.js'
import { cmsghdr, iovec, mmsghdr, msghdr } from '../linux/structs.js'
import { MAX_HEADER_BYTES } from '../offload/segment.js'
import type { Scratch } from './scratch.js'

/** Datagrams that one message may be cut into: what every kernel with `UDP_SEGMENT` takes (64; later 128). */
const MAX_SEGMENTS = 64

/** A UDP payload's greatest length over IPv4; a message is checked against it before it is cut. */
const MAX_MESSAGE_BYTES = 65_507

/** What one sendmmsg(2) takes at the most (`UIO_MAXIOV`): a few messages for each of as many peers as there can be. */
const MESSAGES = 1024
const FRAMES = 512
const CONTROL_BYTES = 32

/**
 * Frames on their way into one sendmmsg(2): an array of messages, each to one peer and each either one frame
 * or, with `UDP_SEGMENT` (udp(7)), a run of frames of equal length, of which the last may be shorter. A frame
 * is one piece of memory, or two: headers that were made for it and its payload where it lies.
 */
export class SendBatch {
  readonly #memory: NativeMemory
  readonly #messages: number
  readonly #iovecs: number
  readonly #controls: number
  readonly #headers: number
  /** Address of the array of `struct mmsghdr`, by the index of the first message meant. */
  readonly #addresses: readonly unknown[]
  readonly #sockaddrBytes: number
  /** Of each message: frames, bytes, bytes of its first frame, pieces of each, peer, first iovec. */
  readonly #frames = new Uint32Array(MESSAGES)
  readonly #bytes = new Uint32Array(MESSAGES)
  readonly #segmentBytes = new Uint32Array(MESSAGES)
  readonly #pieces = new Uint32Array(MESSAGES)
  readonly #peers = new Uint32Array(MESSAGES)
  readonly #firstIovec = new Uint32Array(MESSAGES)
  /** Messages in the batch, and iovecs and frames in use. */
  count = 0
  #usedIovecs = 0
  #usedFrames = 0
  /** The last message takes no more: its last frame was a shorter one. */
  #closed = true
  /** Whether runs may be sent as one message. */
  segments = true

  constructor(scratch: Scratch, sockaddrBytes: number) {
    this.#memory = scratch.memory
    this.#sockaddrBytes = sockaddrBytes
    this.#messages = scratch.take(MESSAGES * mmsghdr.size)
    this.#iovecs = scratch.take(2 * FRAMES * iovec.size)
    this.#controls = scratch.take(MESSAGES * CONTROL_BYTES)
    this.#headers = scratch.take(FRAMES * MAX_HEADER_BYTES)
    const addresses: unknown[] = []
    for (let i = 0; i < MESSAGES; i++) {
      const at = this.#messages + i * mmsghdr.size
      const control = this.#controls + i * CONTROL_BYTES
      this.#memory.writePointer(at + msghdr.msg_control, control)
      this.#memory.u32[(control + cmsghdr.cmsg_len) >>> 2] = cmsghdr.size + 2
      this.#memory.u32[(control + cmsghdr.cmsg_level) >>> 2] = SOL_UDP
      this.#memory.u32[(control + cmsghdr.cmsg_type) >>> 2] = UDP_SEGMENT
      addresses.push(this.#memory.address(at))
    }
    this.#addresses = addresses
  }

  /** Whether no further frame may be added before the batch has been sent. */
  get full(): boolean {
    return this.count === MESSAGES || this.#usedFrames === FRAMES
  }

  /** Messages that may still be added. */
  get room(): number {
    return MESSAGES - this.count
  }

  clear(): void {
    this.count = 0
    this.#usedIovecs = 0
    this.#usedFrames = 0
    this.#closed = true
  }

  /** Where the next frame's headers may be written: {@link MAX_HEADER_BYTES} bytes. */
  get headerSlot(): number {
    return this.#headers + this.#usedFrames * MAX_HEADER_BYTES
  }

  /** A frame in one piece, to the peer whose socket address lies at offset `name`. */
  addFrame(frame: number, bytes: number, peer: number, name: number): void {
    this.#place(bytes, 1, peer, name)
    this.#addIovec(frame, bytes)
  }

  /** A frame whose headers are in {@link headerSlot} and whose payload lies elsewhere. */
  addSegment(headerBytes: number, payload: number, payloadBytes: number, peer: number, name: number): void {
    const header = this.headerSlot
    this.#place(headerBytes + payloadBytes, 2, peer, name)
    this.#addIovec(header, headerBytes)
    this.#addIovec(payload, payloadBytes)
  }

  /** The next frame begins a message of its own. */
  close(): void {
    this.#closed = true
  }

  /** The messages from index `first` up to `end` once more, for another peer: of the same frames where they lie. */
  repeat(first: number, end: number, peer: number, name: number): void {
    for (let message = first; message < end; message++) {
      const index = this.count++
      this.#frames[index] = this.#frames[message]
      this.#bytes[index] = this.#bytes[message]
      this.#segmentBytes[index] = this.#segmentBytes[message]
      this.#pieces[index] = this.#pieces[message]
      this.#address(index, peer, name, this.#firstIovec[message])
    }
    this.#closed = true
  }

  #place(bytes: number, pieces: number, peer: number, name: number): void {
    const last = this.count - 1
    if (
      !this.#closed &&
      this.#peers[last] === peer &&
      this.#pieces[last] === pieces &&
      bytes <= this.#segmentBytes[last] &&
      this.#frames[last] < MAX_SEGMENTS &&
      this.#bytes[last] + bytes <= MAX_MESSAGE_BYTES
    ) {
      this.#frames[last]++
      this.#bytes[last] += bytes
      if (bytes < this.#segmentBytes[last]) this.#closed = true
    } else {
      this.#open(bytes, pieces, peer, name)
    }
    this.#usedFrames++
  }

  #open(bytes: number, pieces: number, peer: number, name: number): void {
    const index = this.count++
    this.#frames[index] = 1
    this.#bytes[index] = bytes
    this.#segmentBytes[index] = bytes
    this.#pieces[index] = pieces
    this.#closed = !this.segments
    this.#address(index, peer, name, this.#usedIovecs)
  }

  #address(index: number, peer: number, name: number, firstIovec: number): void {
    const at = this.#messages + index * mmsghdr.size
    this.#peers[index] = peer
    this.#firstIovec[index] = firstIovec
    this.#memory.writePointer(at + msghdr.msg_name, name)
    this.#memory.u32[(at + msghdr.msg_namelen) >>> 2] = this.#sockaddrBytes
    this.#memory.writePointer(at + msghdr.msg_iov, this.#iovecs + firstIovec * iovec.size)
  }

  #addIovec(offset: number, bytes: number): void {
    const at = this.#iovecs + this.#usedIovecs++ * iovec.size
    this.#memory.writePointer(at + iovec.iov_base, offset)
    this.#memory.u32[(at + iovec.iov_len) >>> 2] = bytes
  }

  /** Finishes the messages' headers; to be called before the batch is sent. */
  seal(): void {
    for (let index = 0; index < this.count; index++) {
      const at = this.#messages + index * mmsghdr.size
      const frames = this.#frames[index]
      this.#memory.u32[(at + msghdr.msg_iovlen) >>> 2] = frames * this.#pieces[index]
      this.#memory.u32[(at + msghdr.msg_controllen) >>> 2] = frames > 1 ? CMSG_SPACE : 0
      const control = this.#controls + index * CONTROL_BYTES
      this.#memory.u16[(control + cmsghdr.size) >>> 1] = this.#segmentBytes[index]
    }
  }

  /** Address of the array from message `index` on, for a call. */
  addressOf(index: number): bigint {
    return this.#addresses[index] as bigint
  }

  framesIn(index: number): number {
    return this.#frames[index]
  }

  peerOf(index: number): number {
    return this.#peers[index]
  }

  bytesIn(index: number): number {
    return this.#bytes[index]
  }

  /** Bytes of message `index`'s first frame. */
  firstBytesIn(index: number): number {
    return Math.min(this.#segmentBytes[index], this.#bytes[index])
  }

  /** How many frames of message `index` are as long as its first: all, or all but the last. */
  alikeIn(index: number): number {
    const frames = this.#frames[index]
    return frames * this.#segmentBytes[index] > this.#bytes[index] ? Math.max(frames - 1, 1) : frames
  }

  /** Makes message `index`, a run that the kernel refused, its first frame alone. */
  single(index: number): void {
    const at = this.#messages + index * mmsghdr.size
    this.#memory.u32[(at + msghdr.msg_iovlen) >>> 2] = this.#pieces[index]
    this.#memory.u32[(at + msghdr.msg_controllen) >>> 2] = 0
  }

  /** Leaves the first `frames` frames out of message `index`. What is left is a run, even of one frame. */
  leaveOut(index: number, frames: number): void {
    const at = this.#messages + index * mmsghdr.size
    const pieces = this.#pieces[index]
    this.#bytes[index] -= Math.min(frames * this.#segmentBytes[index], this.#bytes[index])
    this.#frames[index] -= frames
    this.#firstIovec[index] += frames * pieces
    this.#memory.writePointer(at + msghdr.msg_iov, this.#iovecs + this.#firstIovec[index] * iovec.size)
    this.#memory.u32[(at + msghdr.msg_iovlen) >>> 2] = this.#frames[index] * pieces
    this.#memory.u32[(at + msghdr.msg_controllen) >>> 2] = CMSG_SPACE
  }
}

/** `CMSG_SPACE(sizeof(uint16_t))` (cmsg(3)). */
const CMSG_SPACE = cmsghdr.size + 8

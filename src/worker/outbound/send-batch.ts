import { SOL_UDP, UDP_SEGMENT } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { cmsghdr, iovec, mmsghdr, msghdr } from '../../linux/structs.js'
import { MAX_HEADER_BYTES } from '../../offload/segment.js'
import type { Scratch } from '../scratch.js'

/** Datagrams that one message may be cut into: what every kernel with `UDP_SEGMENT` takes (64; later 128). */
const MAX_SEGMENTS = 64

/** A UDP payload's greatest length over IPv4; a message is checked against it before it is cut. */
const MAX_MESSAGE_BYTES = 65_507

/** What one sendmmsg(2) takes at the most (`UIO_MAXIOV`): a few messages for each of as many peers as there can be. */
const MESSAGES = 1024
const FRAMES = 512
const CONTROL_BYTES = 32

/** What is known of a message, in a row of words: one place in the caches, where arrays for each were six. */
const Word = { frames: 0, bytes: 1, segmentBytes: 2, pieces: 3, peer: 4, firstIovec: 5 } as const
const ROW_WORDS = 8

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
  /** Of each message a row of {@link Word}s: index of the first. */
  readonly #rows: number
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
    this.#rows = scratch.take(MESSAGES * ROW_WORDS * 4) >>> 2
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
    const { u32 } = this.#memory
    for (let message = first; message < end; message++) {
      const index = this.count++
      const from = this.#row(message)
      u32.copyWithin(this.#row(index), from, from + ROW_WORDS)
      this.#address(index, peer, name, u32[from + Word.firstIovec])
    }
    this.#closed = true
  }

  #row(index: number): number {
    return this.#rows + index * ROW_WORDS
  }

  #word(index: number, word: number): number {
    return this.#memory.u32[this.#rows + index * ROW_WORDS + word]
  }

  #place(bytes: number, pieces: number, peer: number, name: number): void {
    const { u32 } = this.#memory
    const last = this.#row(this.count - 1)
    if (
      !this.#closed &&
      u32[last + Word.peer] === peer &&
      u32[last + Word.pieces] === pieces &&
      bytes <= u32[last + Word.segmentBytes] &&
      u32[last + Word.frames] < MAX_SEGMENTS &&
      u32[last + Word.bytes] + bytes <= MAX_MESSAGE_BYTES
    ) {
      u32[last + Word.frames]++
      u32[last + Word.bytes] += bytes
      if (bytes < u32[last + Word.segmentBytes]) this.#closed = true
    } else {
      this.#open(bytes, pieces, peer, name)
    }
    this.#usedFrames++
  }

  #open(bytes: number, pieces: number, peer: number, name: number): void {
    const { u32 } = this.#memory
    const index = this.count++
    const row = this.#row(index)
    u32[row + Word.frames] = 1
    u32[row + Word.bytes] = bytes
    u32[row + Word.segmentBytes] = bytes
    u32[row + Word.pieces] = pieces
    this.#closed = !this.segments
    this.#address(index, peer, name, this.#usedIovecs)
  }

  #address(index: number, peer: number, name: number, firstIovec: number): void {
    const { u32 } = this.#memory
    const at = this.#messages + index * mmsghdr.size
    const row = this.#row(index)
    u32[row + Word.peer] = peer
    u32[row + Word.firstIovec] = firstIovec
    this.#memory.writePointer(at + msghdr.msg_name, name)
    u32[(at + msghdr.msg_namelen) >>> 2] = this.#sockaddrBytes
    this.#memory.writePointer(at + msghdr.msg_iov, this.#iovecs + firstIovec * iovec.size)
  }

  #addIovec(offset: number, bytes: number): void {
    const at = this.#iovecs + this.#usedIovecs++ * iovec.size
    this.#memory.writePointer(at + iovec.iov_base, offset)
    this.#memory.u32[(at + iovec.iov_len) >>> 2] = bytes
  }

  /** Finishes the messages' headers; to be called before the batch is sent. */
  seal(): void {
    const { u32, u16 } = this.#memory
    for (let index = 0; index < this.count; index++) {
      const at = this.#messages + index * mmsghdr.size
      const row = this.#row(index)
      const frames = u32[row + Word.frames]
      u32[(at + msghdr.msg_iovlen) >>> 2] = frames * u32[row + Word.pieces]
      u32[(at + msghdr.msg_controllen) >>> 2] = frames > 1 ? CMSG_SPACE : 0
      if (frames === 1) continue
      const control = this.#controls + index * CONTROL_BYTES
      u16[(control + cmsghdr.size) >>> 1] = u32[row + Word.segmentBytes]
    }
  }

  /** Address of the array from message `index` on, for a call. */
  addressOf(index: number): bigint {
    return this.#addresses[index] as bigint
  }

  framesIn(index: number): number {
    return this.#word(index, Word.frames)
  }

  peerOf(index: number): number {
    return this.#word(index, Word.peer)
  }

  bytesIn(index: number): number {
    return this.#word(index, Word.bytes)
  }

  /** Bytes of message `index`'s first frame. */
  firstBytesIn(index: number): number {
    return Math.min(this.#word(index, Word.segmentBytes), this.bytesIn(index))
  }

  /** How many frames of message `index` are as long as its first: all, or all but the last. */
  alikeIn(index: number): number {
    const frames = this.framesIn(index)
    return frames * this.#word(index, Word.segmentBytes) > this.bytesIn(index)
      ? Math.max(frames - 1, 1)
      : frames
  }

  /** Makes message `index`, a run that the kernel refused, its first frame alone. */
  single(index: number): void {
    const at = this.#messages + index * mmsghdr.size
    this.#memory.u32[(at + msghdr.msg_iovlen) >>> 2] = this.#word(index, Word.pieces)
    this.#memory.u32[(at + msghdr.msg_controllen) >>> 2] = 0
  }

  /** Leaves the first `frames` frames out of message `index`. What is left is a run, even of one frame. */
  leaveOut(index: number, frames: number): void {
    const { u32 } = this.#memory
    const at = this.#messages + index * mmsghdr.size
    const row = this.#row(index)
    const pieces = u32[row + Word.pieces]
    u32[row + Word.bytes] -= Math.min(frames * u32[row + Word.segmentBytes], u32[row + Word.bytes])
    u32[row + Word.frames] -= frames
    u32[row + Word.firstIovec] += frames * pieces
    this.#memory.writePointer(at + msghdr.msg_iov, this.#iovecs + u32[row + Word.firstIovec] * iovec.size)
    u32[(at + msghdr.msg_iovlen) >>> 2] = u32[row + Word.frames] * pieces
    u32[(at + msghdr.msg_controllen) >>> 2] = CMSG_SPACE
  }
}

/** `CMSG_SPACE(sizeof(uint16_t))` (cmsg(3)). */
const CMSG_SPACE = cmsghdr.size + 8

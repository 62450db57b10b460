import { SOL_UDP, UDP_SEGMENT } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { cmsghdr, iovec, mmsghdr, msghdr } from '../../linux/structs.js'
import { MAX_HEADER_BYTES } from '../../offload/segment.js'
import type { Scratch } from '../scratch.js'

/** The most datagrams in one message. Every kernel with `UDP_SEGMENT` takes 64; later kernels take 128. */
const MAX_SEGMENTS = 64

/** The longest UDP payload over IPv4. The kernel checks a message against it before segmentation. */
const MAX_MESSAGE_BYTES = 65_507

/**
 * The most messages that one sendmmsg(2) takes (`UIO_MAXIOV`). It allows a few for each of the most peers
 * possible.
 */
const MESSAGES = 1024
const FRAMES = 512
const CONTROL_BYTES = 32

/** The words of a message's row. One row is one place in the caches; separate arrays would be six. */
const Word = { frames: 0, bytes: 1, segmentBytes: 2, pieces: 3, peer: 4, firstIovec: 5 } as const
const ROW_WORDS = 8

/**
 * Frames for one sendmmsg(2). It is an array of messages, each to one peer. A message is one frame or, with
 * `UDP_SEGMENT` (udp(7)), a run of frames of equal length, of which the last may be shorter. A frame is one or
 * two pieces of memory. Two pieces are headers made for the frame, and its payload in place.
 */
export class SendBatch {
  readonly #memory: NativeMemory
  readonly #messages: number
  readonly #iovecs: number
  readonly #controls: number
  readonly #headers: number
  /** Addresses in the array of `struct mmsghdr`, one for each index of the first message to send. */
  readonly #addresses: readonly unknown[]
  readonly #sockaddrBytes: number
  /** Index of the first word of the rows. Each message has a row of {@link Word}s. */
  readonly #rows: number
  /** Messages in the batch, and iovecs and frames in use. */
  count = 0
  #usedIovecs = 0
  #usedFrames = 0
  /** The last message takes no more frames, for example because its last frame was a shorter one. */
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

  /** Whether the batch must be sent before another frame can be added. */
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

  /** Offset at which the next frame's headers may be written: {@link MAX_HEADER_BYTES} bytes. */
  get headerSlot(): number {
    return this.#headers + this.#usedFrames * MAX_HEADER_BYTES
  }

  /** Adds a frame in one piece, to the peer whose socket address is at offset `name`. */
  addFrame(frame: number, bytes: number, peer: number, name: number): void {
    this.#place(bytes, 1, peer, name)
    this.#addIovec(frame, bytes)
  }

  /** Adds a frame whose headers are in {@link headerSlot} and whose payload lies elsewhere. */
  addSegment(headerBytes: number, payload: number, payloadBytes: number, peer: number, name: number): void {
    const header = this.headerSlot
    this.#place(headerBytes + payloadBytes, 2, peer, name)
    this.#addIovec(header, headerBytes)
    this.#addIovec(payload, payloadBytes)
  }

  /** The next frame begins a new message. */
  close(): void {
    this.#closed = true
  }

  /**
   * Repeats the messages from index `first` to before `end` for another peer. They use the same frames in
   * place.
   */
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

  /** Completes the messages' headers. Call it before the batch is sent. */
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

  /** Address of the array from message `index` on, for the system call. */
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

  /** Reduces message `index`, a run that the kernel refused, to its first frame. */
  single(index: number): void {
    const at = this.#messages + index * mmsghdr.size
    this.#memory.u32[(at + msghdr.msg_iovlen) >>> 2] = this.#word(index, Word.pieces)
    this.#memory.u32[(at + msghdr.msg_controllen) >>> 2] = 0
  }

  /** Removes the first `frames` frames from message `index`. The rest is a run, even if it is one frame. */
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

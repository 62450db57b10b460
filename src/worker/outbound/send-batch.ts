import type { NativeMemory } from '../../linux/memory.js'
import { iovec, mmsghdr, msghdr } from '../../linux/structs.js'
import { NAME } from '../../memory/name.js'
import { MAX_HEADER_BYTES } from '../../offload/segment.js'
import { VXLAN_HEADER_BYTES } from '../../wire/vxlan.js'
import type { Scratch } from '../scratch.js'
import { ControlMessages } from './control-messages.js'

/** The most datagrams in one message. Every kernel with `UDP_SEGMENT` takes 64; later kernels take 128. */
const MAX_SEGMENTS = 64

/** The longest UDP payload over IPv4. The kernel checks a message against it before segmentation. */
const MAX_MESSAGE_BYTES = 65_507

/**
 * The most messages that one sendmmsg(2) takes (`UIO_MAXIOV`). What goes to more peers goes in several batches.
 */
export const MESSAGES = 1024
const FRAMES = 512

/** A frame's own headers, and VXLAN's before them: whole cache lines. */
const HEADER_SLOT_BYTES = VXLAN_HEADER_BYTES + MAX_HEADER_BYTES

/**
 * The words of a message's line. One line is one place in the caches; separate arrays would be six. `kind`: how many pieces
 * a frame has, and above {@link OUTER_SHIFT} the datagrams' {@link outerOf}. `row` is its peer's.
 * `sourceBytes`: of the control message with its source address, 0 if there is none. `pointsBytes`: the same as it was
 * when `msg_control` was last set. Both are for {@link ControlMessages.put}.
 */
const Word = {
  frames: 0,
  bytes: 1,
  segmentBytes: 2,
  kind: 3,
  row: 4,
  firstIovec: 5,
  sourceBytes: 6,
  pointsBytes: 7,
} as const
const LINE_WORDS = 8
const OUTER_SHIFT = 8
const PIECES_MASK = 0xff
const DS_MASK = 0xff
const SOCKET_SHIFT = OUTER_SHIFT + 8
/** Those of a message that may be repeated. */
const CONTENT_WORDS = Word.row

/**
 * What the outer headers of a datagram take from its frame: the DS field (`wire/ecn.ts`), and the source port, which is that of
 * a socket. Frames that differ in it are in different messages.
 * @param socket its number (flow-sockets.ts)
 */
export function outerOf(dsField: number, socket: number): number {
  return dsField | (socket << 8)
}

/** The DS field in a message's `kind`. */
function dsFieldOf(kind: number): number {
  return (kind >>> OUTER_SHIFT) & DS_MASK
}

/**
 * Frames for one sendmmsg(2). It is an array of messages, each to one peer. A message is one frame or, with
 * `UDP_SEGMENT` (udp(7)), a run of frames of equal length, of which the last may be shorter. A frame is one or
 * two pieces of memory. Two pieces are headers made for the frame, and its payload in place.
 */
export class SendBatch {
  readonly #memory: NativeMemory
  readonly #messages: number
  readonly #iovecs: number
  readonly #controls: ControlMessages
  readonly #headers: number
  /** Addresses in the array of `struct mmsghdr`, one for each index of the first message to send. */
  readonly #addresses: readonly unknown[]
  readonly #sockaddrBytes: number
  /** Index of the first word of the lines. Each message has a line of {@link Word}s. */
  readonly #lines: number
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
    this.#controls = new ControlMessages(scratch, MESSAGES, sockaddrBytes)
    this.#headers = scratch.take(FRAMES * HEADER_SLOT_BYTES)
    this.#lines = scratch.take(MESSAGES * LINE_WORDS * 4) >>> 2
    const addresses: unknown[] = []
    for (let i = 0; i < MESSAGES; i++) {
      const at = this.#messages + i * mmsghdr.size
      this.#controls.prepare(i, at)
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

  /** Offset at which the next frame's headers may be written: {@link HEADER_SLOT_BYTES} bytes. */
  get headerSlot(): number {
    return this.#headers + this.#usedFrames * HEADER_SLOT_BYTES
  }

  /**
   * Adds a frame in one piece, to the peer in row `row`, whose name is at offset `name`.
   * @param outer {@link outerOf} the datagram
   */
  addFrame(frame: number, bytes: number, row: number, name: number, outer = 0): void {
    this.#place(bytes, 1 | (outer << OUTER_SHIFT), row, name)
    this.#addIovec(frame, bytes)
  }

  /** Adds a frame whose headers are in {@link headerSlot} and whose payload lies elsewhere. */
  addSegment(
    headerBytes: number,
    payload: number,
    payloadBytes: number,
    row: number,
    name: number,
    outer = 0,
  ): void {
    const header = this.headerSlot
    this.#place(headerBytes + payloadBytes, 2 | (outer << OUTER_SHIFT), row, name)
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
  repeat(first: number, end: number, row: number, name: number): void {
    const { u32 } = this.#memory
    for (let message = first; message < end; message++) {
      const index = this.count++
      const from = this.#line(message)
      u32.copyWithin(this.#line(index), from, from + CONTENT_WORDS)
      this.#address(index, row, name, u32[from + Word.firstIovec])
    }
    this.#closed = true
  }

  #line(index: number): number {
    return this.#lines + index * LINE_WORDS
  }

  #word(index: number, word: number): number {
    return this.#memory.u32[this.#lines + index * LINE_WORDS + word]
  }

  #place(bytes: number, kind: number, row: number, name: number): void {
    const { u32 } = this.#memory
    const last = this.#line(this.count - 1)
    if (
      !this.#closed &&
      u32[last + Word.row] === row &&
      u32[last + Word.kind] === kind &&
      bytes <= u32[last + Word.segmentBytes] &&
      u32[last + Word.frames] < MAX_SEGMENTS &&
      u32[last + Word.bytes] + bytes <= MAX_MESSAGE_BYTES
    ) {
      u32[last + Word.frames]++
      u32[last + Word.bytes] += bytes
      if (bytes < u32[last + Word.segmentBytes]) this.#closed = true
    } else {
      this.#open(bytes, kind, row, name)
    }
    this.#usedFrames++
  }

  #open(bytes: number, kind: number, row: number, name: number): void {
    const { u32 } = this.#memory
    const index = this.count++
    const line = this.#line(index)
    u32[line + Word.frames] = 1
    u32[line + Word.bytes] = bytes
    u32[line + Word.segmentBytes] = bytes
    u32[line + Word.kind] = kind
    this.#closed = !this.segments
    this.#address(index, row, name, this.#usedIovecs)
  }

  #address(index: number, row: number, name: number, firstIovec: number): void {
    const { u32 } = this.#memory
    const at = this.#messages + index * mmsghdr.size
    const line = this.#line(index)
    u32[line + Word.row] = row
    u32[line + Word.firstIovec] = firstIovec
    this.#memory.writePointer(at + msghdr.msg_name, name)
    u32[(at + msghdr.msg_namelen) >>> 2] = this.#sockaddrBytes
    const bearsLocal = u32[(name + NAME.bearsLocal) >>> 2] !== 0
    u32[line + Word.sourceBytes] = bearsLocal ? this.#controls.setSource(index, name) : 0
    const dsField = dsFieldOf(u32[line + Word.kind])
    if (dsField !== 0) this.#controls.setDsField(index, name, dsField)
    this.#memory.writePointer(at + msghdr.msg_iov, this.#iovecs + firstIovec * iovec.size)
  }

  #addIovec(offset: number, bytes: number): void {
    const at = this.#iovecs + this.#usedIovecs++ * iovec.size
    this.#memory.writePointer(at + iovec.iov_base, offset)
    this.#memory.u32[(at + iovec.iov_len) >>> 2] = bytes
  }

  /** Completes the messages' headers. Call it before the batch is sent. */
  seal(): void {
    const { u32 } = this.#memory
    for (let index = 0; index < this.count; index++) {
      const at = this.#messages + index * mmsghdr.size
      const line = this.#line(index)
      const frames = u32[line + Word.frames]
      const kind = u32[line + Word.kind]
      u32[(at + msghdr.msg_iovlen) >>> 2] = frames * (kind & PIECES_MASK)
      const segmentBytes = frames > 1 ? u32[line + Word.segmentBytes] : 0
      this.#controls.put(index, at, line + Word.sourceBytes, segmentBytes, dsFieldOf(kind))
    }
  }

  /**
   * From message `index` on, the messages to its peer leave the choice of the source address to the kernel. Call it
   * after {@link seal}.
   * @returns false if message `index` did that already
   */
  dropSource(index: number): boolean {
    if (this.#word(index, Word.sourceBytes) === 0) return false
    const { u32 } = this.#memory
    const row = this.rowOf(index)
    for (let message = index; message < this.count; message++) {
      const line = this.#line(message)
      if (u32[line + Word.row] !== row || u32[line + Word.sourceBytes] === 0) continue
      const at = this.#messages + message * mmsghdr.size
      this.#controls.dropSource(message, at, line + Word.sourceBytes)
    }
    return true
  }

  /** Address of the array from message `index` on, for the system call. */
  addressOf(index: number): bigint {
    return this.#addresses[index] as bigint
  }

  framesIn(index: number): number {
    return this.#word(index, Word.frames)
  }

  rowOf(index: number): number {
    return this.#word(index, Word.row)
  }

  bytesIn(index: number): number {
    return this.#word(index, Word.bytes)
  }

  /** The number of the socket that sends message `index`. */
  socketOf(index: number): number {
    return this.#word(index, Word.kind) >>> SOCKET_SHIFT
  }

  /** The number of messages from `index` on that one socket sends. */
  ofOneSocket(index: number): number {
    const socket = this.socketOf(index)
    let end = index + 1
    while (end < this.count && this.socketOf(end) === socket) end++
    return end - index
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
    const kind = this.#word(index, Word.kind)
    this.#memory.u32[(at + msghdr.msg_iovlen) >>> 2] = kind & PIECES_MASK
    this.#controls.put(index, at, this.#line(index) + Word.sourceBytes, 0, dsFieldOf(kind))
  }

  /** Removes the first `frames` frames from message `index`. The rest is a run, even if it is one frame. */
  leaveOut(index: number, frames: number): void {
    const { u32 } = this.#memory
    const at = this.#messages + index * mmsghdr.size
    const line = this.#line(index)
    const kind = u32[line + Word.kind]
    const pieces = kind & PIECES_MASK
    u32[line + Word.bytes] -= Math.min(frames * u32[line + Word.segmentBytes], u32[line + Word.bytes])
    u32[line + Word.frames] -= frames
    u32[line + Word.firstIovec] += frames * pieces
    this.#memory.writePointer(at + msghdr.msg_iov, this.#iovecs + u32[line + Word.firstIovec] * iovec.size)
    u32[(at + msghdr.msg_iovlen) >>> 2] = u32[line + Word.frames] * pieces
    this.#controls.put(index, at, line + Word.sourceBytes, u32[line + Word.segmentBytes], dsFieldOf(kind))
  }
}

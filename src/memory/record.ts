import type { NativeMemory } from '../linux/memory.js'
import { RECORD_ALIGN } from './ring.js'

/**
 * What a ring's records hold, behind the ring's own two words (length, kind).
 *
 * {@link KIND_RUN}: a run of frames. Word 2 is the number of entries; 16 bytes in, a table of 16-byte
 * entries, four words each: offset in the memory, bytes, `gso_size` (0 for a single frame; else the payload
 * bytes of each segment of a super-frame), peer index. The frames themselves lie behind the table, wherever
 * their entries say.
 *
 * {@link KIND_CONTROL}: one message between the threads' control code, a single entry, never sent or
 * written as it is.
 */
export const KIND_RUN = 1

/**
 * In a private tunnel, what comes from the network has this for its peer, and the first 16 bytes of each frame
 * are where the header of its message was: two words, not aligned, that say how many bytes the frame behind them
 * has, 0 for one that is nobody's business, and which peer sent it (opener.ts). No more than 31 bits: a greater
 * number V8 would put into an object of its own, each time.
 */
export const SEALED = 0x7fff_ffff
export const KIND_CONTROL = 2

/** The longest thing one entry can describe: a 64 KiB super-frame with its headers. */
export const MAX_FRAME_BYTES = 65_600

const COUNT_WORD = 2
const TABLE_BYTES = 16
const ENTRY_BYTES = 16

/** Bytes before the frames in a record of up to `entries`: a multiple of {@link RECORD_ALIGN}. */
export function framesOffset(entries: number): number {
  return (TABLE_BYTES + entries * ENTRY_BYTES + RECORD_ALIGN - 1) & -RECORD_ALIGN
}

/** Writes and reads records of {@link KIND_RUN} and {@link KIND_CONTROL} where they lie. */
export class Records {
  readonly #u32: Uint32Array

  constructor(memory: NativeMemory) {
    this.#u32 = memory.u32
  }

  setCount(record: number, count: number): void {
    this.#u32[(record >>> 2) + COUNT_WORD] = count
  }

  count(record: number): number {
    return this.#u32[(record >>> 2) + COUNT_WORD]
  }

  kind(record: number): number {
    return this.#u32[(record >>> 2) + 1]
  }

  setEntry(
    record: number,
    index: number,
    offset: number,
    bytes: number,
    gsoSize: number,
    peer: number,
  ): void {
    const word = (record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2
    this.#u32[word] = offset
    this.#u32[word + 1] = bytes
    this.#u32[word + 2] = gsoSize
    this.#u32[word + 3] = peer
  }

  offset(record: number, index: number): number {
    return this.#u32[(record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2]
  }

  bytes(record: number, index: number): number {
    return this.#u32[((record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2) + 1]
  }

  gsoSize(record: number, index: number): number {
    return this.#u32[((record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2) + 2]
  }

  peer(record: number, index: number): number {
    return this.#u32[((record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2) + 3]
  }
}

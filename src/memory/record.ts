import type { NativeMemory } from '../linux/memory.js'
import { RECORD_ALIGN } from './ring.js'

/**
 * What the records of the outbound ring and the inbound ring hold, after the ring's own two words: a run of
 * frames. Word 2 is the number of entries. At byte 16 a table of 16-byte entries begins. An entry has four
 * words: offset in the memory, bytes, `gso_size`, the peer's row. `gso_size` is 0 for a single frame. For a
 * super-frame it is the payload bytes of each segment. Above its 16 bits is the DS field of the datagram
 * (`wire/ecn.ts`), if the entry comes from the network. The frames lie behind the table, at the offsets in
 * their entries.
 */

/**
 * The row of every entry that comes from the network in a private tunnel. There the first 16 bytes of
 * each message held its header. Once the message is opened (opener.ts), two words replace the header's start.
 * They need not be aligned. The first is the bytes of the frame behind the header, 0 if there is no frame for
 * the device. The second is the row of the peer that sent it. The value has 31 bits, because V8 would
 * allocate an object for each greater number.
 */
export const SEALED = 0x7fff_ffff

/** The longest thing that one entry can describe: a 64 KiB super-frame with its headers. */
export const MAX_FRAME_BYTES = 65_600

const COUNT_WORD = 2
const DS_SHIFT = 16
const GSO_MASK = 0xffff
const TABLE_BYTES = 16
const ENTRY_BYTES = 16

/** Bytes before the frames in a record of up to `entries`: a multiple of {@link RECORD_ALIGN}. */
export function framesOffset(entries: number): number {
  return (TABLE_BYTES + entries * ENTRY_BYTES + RECORD_ALIGN - 1) & -RECORD_ALIGN
}

/** Writes and reads records in place. */
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

  /** @param dsField that of the datagram's header, if the entry comes from the network */
  setEntry(
    record: number,
    index: number,
    offset: number,
    bytes: number,
    gsoSize: number,
    row: number,
    dsField = 0,
  ): void {
    const word = (record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2
    this.#u32[word] = offset
    this.#u32[word + 1] = bytes
    this.#u32[word + 2] = gsoSize | (dsField << DS_SHIFT)
    this.#u32[word + 3] = row
  }

  offset(record: number, index: number): number {
    return this.#u32[(record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2]
  }

  bytes(record: number, index: number): number {
    return this.#u32[((record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2) + 1]
  }

  gsoSize(record: number, index: number): number {
    return this.#u32[((record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2) + 2] & GSO_MASK
  }

  dsField(record: number, index: number): number {
    return this.#u32[((record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2) + 2] >>> DS_SHIFT
  }

  row(record: number, index: number): number {
    return this.#u32[((record + TABLE_BYTES + index * ENTRY_BYTES) >>> 2) + 3]
  }
}

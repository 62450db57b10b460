import type { NativeMemory } from '../linux/memory.js'

/** Wakes the producer's thread; rung by the consumer's. */
export interface Bell {
  ring(): void
}

/**
 * A ring of records in shared memory, between one producer thread and one consumer thread at a time.
 *
 * Layout: three cache lines (head; tail; the producer's flag and the consumer's lock), then `dataBytes` of
 * records. A record starts with two words, its length in bytes (a multiple of {@link RECORD_ALIGN}) and its
 * kind; what follows is its kind's business (record.ts). Head and tail count bytes and wrap at 2^32. A record
 * never wraps around the end: one that would not fit there is preceded by a skip record.
 *
 * The producer reserves a record at its largest, has the kernel fill it, and commits it at its true length;
 * the consumer looks at it where it lies and releases it. Nothing is copied or allocated.
 *
 * Who consumes may change: it is the thread that holds the lock. Whoever commits tries the lock afterwards,
 * and whoever gives it back looks at the ring once more, so that no record stays behind unseen. A producer
 * that finds the ring full sets its flag and looks once more before it sleeps; a consumer that has made room
 * looks at the flag. All of these are sequentially consistent: of two threads that each write one of the
 * words and then read the other's, at least one sees what the other wrote. Where an older value does no harm,
 * a word of the other side is read plainly, which costs less.
 */
export const RECORD_ALIGN = 64

/** Bytes of a ring with room for `dataBytes` of records. */
export function ringBytes(dataBytes: number): number {
  return HEADER_BYTES + dataBytes
}

const LINE_WORDS = 16
const HEADER_BYTES = 3 * LINE_WORDS * 4
const KIND_SKIP = 0

const SILENT: Bell = { ring() {} }

export class Ring {
  /** The most that can ever be reserved at once: beyond half, an unlucky position could never fit it. */
  readonly maxRecordBytes: number
  readonly #i32: Int32Array
  readonly #u32: Uint32Array
  readonly #head: number
  readonly #tail: number
  readonly #producerSleeps: number
  readonly #consumerLock: number
  readonly #data: number
  readonly dataBytes: number
  readonly #producerBell: Bell
  /** Where the reserved record will start, in head's counting. */
  #start = 0
  #highWaterBytes = 0

  /**
   * @param at offset of the ring in `memory`, a multiple of 64
   * @param dataBytes a power of two, the same in every thread
   * @param producerBell wakes the producer; a thread that only looks on needs none
   */
  constructor(memory: NativeMemory, at: number, dataBytes: number, producerBell: Bell = SILENT) {
    this.#i32 = memory.i32
    this.#u32 = memory.u32
    this.#head = at >>> 2
    this.#tail = this.#head + LINE_WORDS
    this.#producerSleeps = this.#tail + LINE_WORDS
    this.#consumerLock = this.#producerSleeps + 1
    this.#data = at + HEADER_BYTES
    this.dataBytes = dataBytes
    this.maxRecordBytes = dataBytes / 2
    this.#producerBell = producerBell
  }

  /**
   * Producer: room for a record of up to `bytes`, a multiple of {@link RECORD_ALIGN} and at most
   * {@link maxRecordBytes}. Reserving again without a commit forgets the earlier reservation.
   * @returns the record's offset in the memory, or -1 while the ring is too full
   */
  reserve(bytes: number): number {
    const head = this.#i32[this.#head]
    // Not read atomically: an older tail means less room, and nothing is written there before this is known.
    const used = (head - this.#i32[this.#tail]) | 0
    const at = head & (this.dataBytes - 1)
    const toEnd = this.dataBytes - at
    const skip = bytes > toEnd ? toEnd : 0
    if (used + skip + bytes > this.dataBytes) return -1
    if (skip !== 0) {
      const word = (this.#data + at) >>> 2
      this.#u32[word] = skip
      this.#u32[word + 1] = KIND_SKIP
    }
    this.#start = (head + skip) | 0
    return this.#data + (this.#start & (this.dataBytes - 1))
  }

  /** Producer: publishes the reserved record, `bytes` long (rounded up here), of a `kind` other than 0. */
  commit(bytes: number, kind: number): void {
    const length = (bytes + RECORD_ALIGN - 1) & -RECORD_ALIGN
    const word = (this.#data + (this.#start & (this.dataBytes - 1))) >>> 2
    this.#u32[word] = length
    this.#u32[word + 1] = kind
    const head = (this.#start + length) | 0
    Atomics.store(this.#i32, this.#head, head)
    const used = (head - this.#i32[this.#tail]) | 0
    if (used > this.#highWaterBytes) this.#highWaterBytes = used
  }

  /** Producer: the most bytes that have waited in the ring at one time. */
  get highWaterBytes(): number {
    return this.#highWaterBytes
  }

  /**
   * Makes this thread the consumer, unless another is. Who finds the lock taken may leave its records to the
   * one that holds it: that one looks once more after {@link unlock}.
   */
  tryLock(): boolean {
    return Atomics.compareExchange(this.#i32, this.#consumerLock, 0, 1) === 0
  }

  unlock(): void {
    Atomics.store(this.#i32, this.#consumerLock, 0)
  }

  /** Consumer: the oldest record's offset in the memory, or -1 while the ring is empty. */
  peek(): number {
    for (;;) {
      const tail = this.#i32[this.#tail]
      if (Atomics.load(this.#i32, this.#head) === tail) return -1
      const record = this.#data + (tail & (this.dataBytes - 1))
      if (this.#u32[(record >>> 2) + 1] !== KIND_SKIP) return record
      this.release()
    }
  }

  /**
   * Consumer: gives the oldest record's room back. A producer that waits for room is woken when half of the
   * ring is free, not for every record.
   */
  release(): void {
    const word = (this.#data + (this.#i32[this.#tail] & (this.dataBytes - 1))) >>> 2
    const tail = (this.#i32[this.#tail] + this.#u32[word]) | 0
    Atomics.store(this.#i32, this.#tail, tail)
    if (Atomics.load(this.#i32, this.#producerSleeps) === 0) return
    if (((Atomics.load(this.#i32, this.#head) - tail) | 0) * 2 > this.dataBytes) return
    if (Atomics.exchange(this.#i32, this.#producerSleeps, 0) === 1) this.#producerBell.ring()
  }

  /** Either side: whether no record waits; true is as of now, false may be as of just before. */
  get isEmpty(): boolean {
    const tail = this.#i32[this.#tail]
    return Atomics.load(this.#i32, this.#head) === tail
  }

  /** Either side: bytes of records that wait. */
  get usedBytes(): number {
    return (Atomics.load(this.#i32, this.#head) - Atomics.load(this.#i32, this.#tail)) | 0
  }

  /** Either side: how far records have been put in, to be asked after with {@link hasPassed}. */
  get position(): number {
    return Atomics.load(this.#i32, this.#head)
  }

  /** Either side: whether all records have been released that had been put in at that position. */
  hasPassed(position: number): boolean {
    return ((Atomics.load(this.#i32, this.#tail) - position) | 0) >= 0
  }

  /** Producer: says that it is about to sleep for want of `bytes` of room. False when there is room now. */
  producerMaySleep(bytes: number): boolean {
    Atomics.store(this.#i32, this.#producerSleeps, 1)
    // Not before the flag is set: the plain read in `reserve` finds nothing older than this one does.
    Atomics.load(this.#i32, this.#tail)
    if (this.reserve(bytes) < 0) return true
    this.producerWoke()
    return false
  }

  producerWoke(): void {
    Atomics.store(this.#i32, this.#producerSleeps, 0)
  }
}

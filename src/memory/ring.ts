import type { NativeMemory } from '../linux/memory.js'

/** Wakes the producer's thread. The consumer's thread rings it. */
export interface Bell {
  ring(): void
}

/**
 * A ring of records in shared memory. It has one producer thread, and one consumer thread at a time.
 *
 * Layout: three cache lines, then `dataBytes` of records. The three lines hold:
 * - the head;
 * - the tail;
 * - the producer's flag and the consumer's lock.
 *
 * Head and tail count bytes and wrap at 2^32. A record starts with two words of the ring's: its length in bytes
 * (a multiple of {@link RECORD_ALIGN}), and whether it is a skip record. A record never wraps around the end.
 * If it does not fit before the end, a skip record fills the rest. What else a record holds is not said in
 * it, because each ring holds records of one kind only (record.ts, mailbox.ts).
 *
 * The producer reserves a record at its largest size, lets the kernel fill it, and commits it at its true
 * length. The consumer reads the record in place and then releases it. Nothing is copied or allocated.
 *
 * The consumer can change: the consumer is the thread that holds the lock. After each commit, the producer
 * tries the lock. After unlocking, the consumer looks at the ring once more. So no record stays behind unseen.
 * A producer that finds the ring full sets its flag, and looks once more before it sleeps. A consumer that has
 * made room looks at the flag.
 *
 * All of these accesses are sequentially consistent. If two threads each write one of the words and then read
 * the other's word, at least one of them sees what the other wrote. A word of the other side is read without
 * atomics if an older value does no harm, because a plain read costs less.
 */
export const RECORD_ALIGN = 64

/** Bytes of a ring with room for `dataBytes` of records. */
export function ringBytes(dataBytes: number): number {
  return HEADER_BYTES + dataBytes
}

const LINE_WORDS = 16
const HEADER_BYTES = 3 * LINE_WORDS * 4
/** Values of a record's second word. */
const RECORD = 0
const SKIP_RECORD = 1

const SILENT: Bell = { ring() {} }

export class Ring {
  /**
   * The largest reservation in bytes. A record of more than half the ring may never fit at an unlucky position.
   */
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
  /** Position at which the reserved record will start; counts like the head. */
  #start = 0
  #highWaterBytes = 0

  /**
   * @param at offset of the ring in `memory`, a multiple of 64
   * @param dataBytes a power of two, the same in every thread
   * @param producerBell wakes the producer; needed only by a consumer whose producer may sleep
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
   * Producer: reserves room for a record of up to `bytes`, a multiple of {@link RECORD_ALIGN} and at most
   * {@link maxRecordBytes}. A second reservation without a commit replaces the first.
   * @returns the record's offset in the memory, or -1 while the ring is too full
   */
  reserve(bytes: number): number {
    const head = this.#i32[this.#head]
    // This read need not be atomic. An older tail only means less room, and nothing is written before the check
    // below.
    const used = (head - this.#i32[this.#tail]) | 0
    const at = head & (this.dataBytes - 1)
    const toEnd = this.dataBytes - at
    const skip = bytes > toEnd ? toEnd : 0
    if (used + skip + bytes > this.dataBytes) return -1
    if (skip !== 0) {
      const word = (this.#data + at) >>> 2
      this.#u32[word] = skip
      this.#u32[word + 1] = SKIP_RECORD
    }
    this.#start = (head + skip) | 0
    return this.#data + (this.#start & (this.dataBytes - 1))
  }

  /**
   * Producer: publishes the reserved record.
   * @param bytes length of the record; it is rounded up here
   */
  commit(bytes: number): void {
    const length = (bytes + RECORD_ALIGN - 1) & -RECORD_ALIGN
    const word = (this.#data + (this.#start & (this.dataBytes - 1))) >>> 2
    this.#u32[word] = length
    this.#u32[word + 1] = RECORD
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
   * Makes this thread the consumer, unless another thread is. If the lock is taken, the caller may leave its
   * records to the thread that holds it. That thread looks at the ring once more after {@link unlock}.
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
      if (this.#u32[(record >>> 2) + 1] !== SKIP_RECORD) return record
      this.release()
    }
  }

  /**
   * Consumer: frees the oldest record. A producer that waits for room is woken when half of the ring is free,
   * not for every record.
   */
  release(): void {
    const word = (this.#data + (this.#i32[this.#tail] & (this.dataBytes - 1))) >>> 2
    const tail = (this.#i32[this.#tail] + this.#u32[word]) | 0
    Atomics.store(this.#i32, this.#tail, tail)
    if (Atomics.load(this.#i32, this.#producerSleeps) === 0) return
    if (((Atomics.load(this.#i32, this.#head) - tail) | 0) * 2 > this.dataBytes) return
    if (Atomics.exchange(this.#i32, this.#producerSleeps, 0) === 1) this.#producerBell.ring()
  }

  /** Either side: whether no record waits. True is correct at this moment; false may be out of date. */
  get isEmpty(): boolean {
    const tail = this.#i32[this.#tail]
    return Atomics.load(this.#i32, this.#head) === tail
  }

  /** Either side: bytes of records that wait. */
  get usedBytes(): number {
    return (Atomics.load(this.#i32, this.#head) - Atomics.load(this.#i32, this.#tail)) | 0
  }

  /** Either side: the position up to which records have been put in; for {@link hasPassed}. */
  get position(): number {
    return Atomics.load(this.#i32, this.#head)
  }

  /** Either side: whether all records that were put in before this position have been released. */
  hasPassed(position: number): boolean {
    return ((Atomics.load(this.#i32, this.#tail) - position) | 0) >= 0
  }

  /**
   * Producer: announces that it is about to sleep until `bytes` of room are free. False if there is room now.
   */
  producerMaySleep(bytes: number): boolean {
    Atomics.store(this.#i32, this.#producerSleeps, 1)
    // This read must come after the flag is set. Then the plain read in `reserve` finds no older value than
    // this one.
    Atomics.load(this.#i32, this.#tail)
    if (this.reserve(bytes) < 0) return true
    this.producerWoke()
    return false
  }

  producerWoke(): void {
    Atomics.store(this.#i32, this.#producerSleeps, 0)
  }
}

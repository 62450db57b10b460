/** The task that test/unit/memory/ring.test.ts gives its two threads, test/support/ring-worker.ts. */

/**
 * A way from one thread's source through a ring to a sink. Each thread has a way of its own and helps with the
 * other's.
 */
export interface WayPlan {
  /** Offset of the ring. */
  readonly ring: number
  /** Offset of the words that the sinks of this way share in both threads: see {@link Word}. */
  readonly words: number
  /** Number of records that go this way. */
  readonly records: number
  /** Determines the sizes of the records. It is the same in both threads. */
  readonly seed: number
  /**
   * How many more records may have gone this way than have come the other way. `Infinity`: a stream; 1: asks;
   * 0: answers.
   */
  readonly lead: number
  /** Number of records to send before waiting until all have been taken, by either thread. */
  readonly burst: number
  /** An eventfd that is readable when there is something to send, like POLLIN of a tap or a socket. */
  readonly supplyFd: number
  /** The bell of the producer. */
  readonly bellFd: number
}

/**
 * Words that the sinks and the sources of a way share: records taken so far, by either thread; whether a sink is
 * working; records made so far, by either thread; and whether a source is working.
 */
export const Word = { taken: 0, takenByOther: 1, busy: 2, made: 3, madeByOther: 4, making: 5 } as const

/**
 * Makes a thread sleep at certain points, by chance once in this many times (0 is never). During the sleep, the
 * other thread comes to every point of its own. This works with any number of cores.
 */
export interface Pace {
  /**
   * At this point it does not sleep. It wakes the other thread without a reason, as if its fd had had an event.
   */
  readonly poke: number
  /** Before a record is made. */
  readonly fill: number
  /** After a record is committed. The other thread may be the one that takes it. */
  readonly handOver: number
  /** While a record is taken from a ring that this thread drains. */
  readonly drain: number
  /** After it finds the ring full, before it reports that. An event between the two must not be missed. */
  readonly gap: number
  /** The sink does not sleep but takes nothing, as if its target were full. */
  readonly block: number
  /** A record is a long one, so that the thread is not quiet. */
  readonly long: number
}

export interface RingTask {
  readonly memory: WebAssembly.Memory
  readonly dataBytes: number
  readonly state: number
  readonly counters: number
  readonly scratch: number
  /** The way of this thread, and that of the other. */
  readonly own: WayPlan
  readonly other: WayPlan
  readonly pace: Pace
  /** Whether the other thread may make this one's records while little comes, as the udp worker reads the device. */
  readonly shares?: 'lends' | 'borrows' | undefined
}

/** What test/unit/memory/ring.test.ts gives its two threads, test/support/ring-worker.ts, to do. */

/** A way from one thread's source through a ring to a sink; a thread has one of its own, and helps the other's. */
export interface WayPlan {
  /** Where the ring lies. */
  readonly ring: number
  /** Where the words lie that both threads' sinks of this way share: see {@link Word}. */
  readonly words: number
  /** Records to go this way. */
  readonly records: number
  /** Makes the records' sizes and kinds, the same in both threads. */
  readonly seed: number
  /** How many more may have gone this way than come the other: `Infinity` streams, 1 asks, 0 answers. */
  readonly lead: number
  /** How many it sends before it waits until all have been taken, by whichever thread. */
  readonly burst: number
  /** An eventfd that says that there is something to send, like a tap's or a socket's POLLIN. */
  readonly supplyFd: number
  /** The producer's bell. */
  readonly bellFd: number
}

/** Words that a way's sinks share: records taken so far, by either thread, and a sink that is at work. */
export const Word = { taken: 0, takenByOther: 1, busy: 2 } as const

/**
 * How a thread keeps the other waiting: at each of these points it sleeps, one time in so many by chance (0 for
 * never), so that the other comes to every point of its own meanwhile, however many cores there are.
 */
export interface Pace {
  /** It does not sleep, but wakes the other, as if something had come on that one's fd, and was nothing. */
  readonly poke: number
  /** Before a record is made. */
  readonly fill: number
  /** After a record has been committed: the other may be the one to take it. */
  readonly handOver: number
  /** While a record is being taken, and the ring is this thread's to drain. */
  readonly drain: number
  /** Between finding a ring full and saying so: what comes in between must not be missed. */
  readonly gap: number
  /** A sink does not sleep, but takes nothing, as if what it writes to were full. */
  readonly block: number
}

export interface RingTask {
  readonly memory: WebAssembly.Memory
  readonly dataBytes: number
  readonly state: number
  readonly counters: number
  readonly scratch: number
  /** This thread's way, and the other's. */
  readonly own: WayPlan
  readonly other: WayPlan
  readonly pace: Pace
}

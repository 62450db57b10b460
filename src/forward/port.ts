import type { Ring } from './ring.js'

/** What was found when a ring was to be filled or drained. */
export const DONE = 0
/** A record's worth was moved; there may be more. */
export const MORE = 1
/** The other side takes no more now: the ring is full, or the fd's buffer. */
export const BLOCKED = -1
export type Progress = typeof DONE | typeof MORE | typeof BLOCKED

/**
 * Where frames come from. Like a {@link Sink} it never blocks, throws for nothing that the network or a slow
 * kernel can cause, and allocates nothing.
 */
export interface Source {
  readonly fd: number
  /** The room that {@link fill} asks of a ring at the most, in bytes. */
  readonly recordBytes: number
  /** Reads what the fd has, up to one record, into the ring. */
  fill(ring: Ring): Progress
  /** Called when poll reports POLLERR. */
  handleError(): void
}

/** Where frames go. */
export interface Sink {
  readonly fd: number
  /**
   * Writes the ring's oldest record to the fd, if there is one; called again after BLOCKED, it goes on where it was.
   * To be called with the ring's lock.
   */
  drain(ring: Ring): Progress
}

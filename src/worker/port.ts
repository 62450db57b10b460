import type { Ring } from '../memory/ring.js'

/** Results of filling or draining a ring. DONE: there is nothing more now. */
export const DONE = 0
/** One record was moved. There may be more. */
export const MORE = 1
/** The other side accepts nothing more now: the ring or the fd's buffer is full. */
export const BLOCKED = -1
export type Progress = typeof DONE | typeof MORE | typeof BLOCKED

/**
 * Where frames come from. Like a {@link Sink}, it never blocks and allocates nothing. It throws for nothing
 * that the network or a slow kernel can cause.
 */
export interface Source {
  readonly fd: number
  /** The most room, in bytes, that {@link fill} reserves in a ring. */
  readonly recordBytes: number
  /** Bytes from the fd in the last record. */
  readonly filledBytes: number
  /** Reads what the fd has into the ring, at most one record. */
  fill(ring: Ring): Progress
  /** Called when poll reports POLLERR. */
  handleError(): void
}

/** Where frames go. */
export interface Sink {
  readonly fd: number
  /** The fd that it waits for after BLOCKED: {@link fd}, or another one if it has several. */
  readonly blockedFd: number
  /**
   * Writes the ring's oldest record to the fd, if there is one. The caller must hold the ring's lock. A call
   * after BLOCKED continues where the last one stopped.
   */
  drain(ring: Ring): Progress
}

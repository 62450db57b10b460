import type { Ring } from './ring.js'

/** What a port found when it was asked to fill a ring or drain one. */
export const DONE = 0
/** A record's worth was moved; there may be more. */
export const MORE = 1
/** The other side takes no more now: the ring is full, or the fd's buffer. */
export const BLOCKED = -1
export type Progress = typeof DONE | typeof MORE | typeof BLOCKED

/**
 * One of the tunnel's two fds, as its worker sees it. Neither method ever blocks, throws for anything that
 * the network or a slow kernel can cause, or allocates.
 */
export interface Port {
  readonly fd: number
  /** The room {@link fill} asks of a ring, in bytes. */
  readonly recordBytes: number
  /** Reads what the fd has, up to one record, into the ring. */
  fill(ring: Ring): Progress
  /** Writes the ring's oldest record to the fd. */
  drain(ring: Ring): Progress
  /** Called when poll reports POLLERR. */
  handleError(): void
}

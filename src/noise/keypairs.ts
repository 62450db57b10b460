import type { TransportKeys } from './handshake.js'

/** The traffic between this end and one peer: counts since the start. Each wraps around at 2^32. */
export interface Activity {
  /** Transport data messages sealed: those with content, and all, with keepalives. */
  readonly sentData: number
  readonly sent: number
  /** Transport data messages opened: those with content, and all. */
  readonly receivedData: number
  readonly received: number
}

/**
 * Where the keypairs are, for the code that seals and opens. An index identifies a keypair. It has 32 bits, is
 * never 0, and this end gives it to the other one in its handshake messages. A peer is given by its row, a
 * number from 0.
 */
export interface Keypairs {
  /** Reserves an index for a new keypair; undefined if there is no free place. */
  reserve(row: number): number | undefined
  /** The row of the peer of a reserved or established index. */
  rowOf(index: number): number | undefined
  /**
   * `expected` is true when a handshake message with this index is sent, because a cookie may be the answer to
   * it. It is false when a cookie has come.
   */
  expectCookie(index: number, expected: boolean): void
  /**
   * Stores the keys, and wipes `keys`. From now on, messages for `index` can be opened. From `overMs` on,
   * nobody may use the keys, even if they are not released yet. `overMs` is on the clock of the timers.
   */
  establish(index: number, remoteIndex: number, keys: TransportKeys, overMs: number): void
  /**
   * From now on, messages to the peer in this row are sealed with this keypair. With undefined, nothing can
   * be sent.
   */
  sealWith(row: number, index: number | undefined): void
  /** The number of messages that were sealed with this keypair so far. */
  sealed(index: number): number
  /** Wipes the keys and forgets the index. */
  release(index: number): void
  activity(row: number): Activity
}

import type { TransportKeys } from './handshake.js'

/** How much has passed between this end and one peer: counts since the start, each word running over at 2^32. */
export interface Activity {
  /** Transport data sealed that held something; and all of it, keepalives included. */
  readonly sentData: number
  readonly sent: number
  /** Transport data opened that held something; and all of it. */
  readonly receivedData: number
  readonly received: number
}

/**
 * Where keypairs live, so that whoever seals and opens finds them: by an index, of 32 bits and never 0, that
 * this end gives the other one in its handshake messages. Peers are numbers from 0.
 */
export interface Keypairs {
  /** A place for a keypair to come; undefined when there is none. */
  reserve(peer: number): number | undefined
  /** Whom a reserved or established index is for. */
  peerOf(index: number): number | undefined
  /** A handshake message with this index goes out, which may be answered with a cookie; or has been, and is no more. */
  expectCookie(index: number, expected: boolean): void
  /**
   * Puts the keys in, and wipes them; from now on what comes for `index` can be opened. Nobody is to use them from
   * `overMs` on, by the clock of the timers, whether or not they have been released by then.
   */
  establish(index: number, remoteIndex: number, keys: TransportKeys, overMs: number): void
  /** What is sent to `peer` from now on is sealed with this keypair; with none, nothing can be sent. */
  sealWith(peer: number, index: number | undefined): void
  /** Messages sealed with it so far. */
  sealed(index: number): number
  /** Wipes the keys and forgets the index. */
  release(index: number): void
  activity(peer: number): Activity
}

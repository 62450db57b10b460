import type { KeyObject } from 'node:crypto'
import type { Protocol } from './handshake.js'
import type { Keypairs } from './keypairs.js'
import type { OwnIdentity } from './keys.js'
import type { Times } from './times.js'

/** What the keypairs and handshakes of a peer need from outside. */
export interface HandshakeContext {
  readonly protocol: Protocol
  /** Undefined while this end has no private key. It then begins no handshake, and answers none. It may change. */
  readonly own: OwnIdentity | undefined
  readonly keypairs: Keypairs
  /** Secret random bytes. */
  random(bytes: number): Uint8Array
  /** A new Curve25519 private key, for one handshake. */
  ephemeral(): KeyObject
  /** Milliseconds since 1970. */
  unixMs(): number
  /** The present time of the clock that all times are of, if a caller's time may be older. */
  nowMs?(): number
  /** Sends a handshake message. @param to a socket address, as bytes */
  send(message: Uint8Array, to: Uint8Array): void
  /**
   * Calls `Peer.initiate` for the peer in this row, now or a little later. A timer may ask for thousands in one turn, and
   * each takes a third of a millisecond. Undefined: all begin at once.
   */
  begin?(row: number): void
  /** Seals an empty message with the keypair in use, and sends it. */
  sendKeepalive(row: number): void
  /** The endpoint of a peer as a socket address; undefined while it is not known. */
  endpointOf(row: number): Uint8Array | undefined
  /**
   * An authentic message of a peer came from `source`. The peer is there from now on.
   * @param answers whether it answers a message of this end, so that the way there is known to be good
   * @returns false if no peer can be there; the peer has not moved then
   */
  roamed(row: number, source: Uint8Array, answers: boolean): boolean
  /** The default is {@link TIMES}. */
  readonly times?: Partial<Times>
}

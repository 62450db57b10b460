import { MAX_PEERS } from '../../config/schema.js'
import type { KeypairTable } from '../../memory/keypair-table.js'
import { localIn, relayIn, sockaddrIn } from '../../memory/name.js'
import { Rates } from '../../rates.js'
import type { Roster } from '../peer/roster.js'

/**
 * How many moves of a peer are followed in a second, and in one burst. If somebody on the way rewrites source
 * addresses, each datagram may be a move. Further moves are followed by the next ticks.
 */
const MOVES_PER_SECOND = 20
const MOVES_BURST = 50

/** Peers are where authentic messages of theirs come from: handshakes, which main opens, and data, which workers do. */
export class Whereabouts {
  readonly #roster: Roster
  readonly #keypairs: KeypairTable
  readonly #moves = new Rates(MAX_PEERS, MOVES_PER_SECOND, MOVES_BURST)

  constructor(roster: Roster, keypairs: KeypairTable) {
    this.#roster = roster
    this.#keypairs = keypairs
  }

  /** Another peer has this row from now on. */
  renew(row: number): void {
    this.#moves.renew(row)
  }

  /**
   * A handshake has come from a place.
   * @param name as in memory/name.ts
   * @param answers whether it answers one of this host
   * @returns false if no peer can be there; it has not moved then
   */
  heard(row: number, name: Uint8Array, answers: boolean): boolean {
    const peer = this.#roster.at(row)
    const relay = relayIn(name)
    // What was relayed moves nobody. But the introducer must have said whom it was from.
    if (relay !== undefined) return relay.far === row
    // Whoever is relayed is heard directly now, and may not be reached that way. Data by the new keys shows it.
    if (peer?.isRelayed === true && !answers) return true
    if (peer?.roamTo(sockaddrIn(name)) !== true) return false
    peer.spokenTo(localIn(name))
    return true
  }

  /** Follows the moves of a peer that a worker has seen. As long as one is not taken here, it reports no further one. */
  follow(row: number, nowMs: number): void {
    if (!this.#keypairs.hasMoved(row) || !this.#moves.allows(row, nowMs)) return
    const sockaddr = this.#keypairs.takeMove(row)
    if (sockaddr !== undefined) this.#roster.at(row)?.roamTo(sockaddr)
  }
}

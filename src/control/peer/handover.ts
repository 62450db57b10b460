import { contains, type Network } from '../../config/addresses.js'
import type { PeerRow } from '../addresses.js'

/**
 * For this long after the addresses of a member lead to another way, packets from them may come by the former one. The
 * two ends do not change at the same moment, and what was sent before is still under way.
 */
const HANDOVER_MS = 2_000

/** A peer, as far as its addresses may change hands. */
export interface Heir extends PeerRow {
  readonly carries: boolean
}

/**
 * The addresses of members that change hands: from the introducer, which has passed on what is theirs, to the members
 * themselves when they have a session, and back when that is lost.
 */
export class Handovers {
  /** By row: whether the member carried at the last look, when that has changed, and whether that was a moment ago. */
  readonly #seen = new Map<number, { carries: boolean; sinceMs: number; isFresh: boolean }>()

  /** Must be called often. @returns whether anything is otherwise than at the last call */
  look(peers: readonly Heir[], nowMs: number): boolean {
    let isNew = false
    for (const { row, carries } of peers) {
      const seen = this.#seen.get(row)
      if (seen?.carries !== carries) {
        this.#seen.set(row, { carries, sinceMs: nowMs, isFresh: carries })
        isNew = true
      } else if (seen.isFresh && !this.#isFresh(row, nowMs)) {
        seen.isFresh = false
        isNew = true
      }
    }
    if (this.#seen.size === peers.length) return isNew
    const rows = new Set(peers.map(({ row }) => row))
    for (const row of this.#seen.keys()) if (!rows.has(row)) this.#seen.delete(row)
    return true
  }

  /**
   * Who else may send from the addresses of members: one that does not carry, itself; one that has begun to carry a
   * moment ago, its introducer, as far as it has a prefix around them.
   */
  heirs(peers: readonly Heir[], nowMs: number): readonly PeerRow[] {
    return peers.flatMap((peer) => {
      const { introduced_by: by } = peer.settings
      if (by === undefined) return []
      if (!peer.carries) return peer
      if (!this.#isFresh(peer.row, nowMs)) return []
      const introducer = peers.find(({ settings }) => settings.name === by)
      return introducer === undefined ? [] : inheritedBy(introducer, peer)
    })
  }

  #isFresh(row: number, nowMs: number): boolean {
    return nowMs - (this.#seen.get(row)?.sinceMs ?? Number.NEGATIVE_INFINITY) < HANDOVER_MS
  }
}

/** The addresses of a member that are also in the prefixes of its introducer. */
function inheritedBy({ row, settings }: PeerRow, member: PeerRow): PeerRow {
  const isIn = (network: Network) =>
    settings.prefixes.some((it) => it.prefixLength <= network.prefixLength && contains(it, network.address))
  const addresses = member.settings.addresses.filter((it) => settings.prefixes.some((of) => contains(of, it)))
  return { row, settings: { ...member.settings, addresses, prefixes: member.settings.prefixes.filter(isIn) } }
}

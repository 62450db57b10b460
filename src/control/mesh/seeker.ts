import { publicKeyText } from '../../key-text.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import { encodeName, NO_LOCAL } from '../../memory/name.js'
import type { Rates } from '../../rates.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { randomFraction } from '../random.js'
import { Tries, type Wanted } from './tries.js'

export interface SeekerContext {
  readonly platform: Pick<Platform, 'random'>
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
  readonly faults: Faults
}

/** A peer that an introducer relays is looked for only by way of it at first, for so long or until there is a session. */
const RELAY_FIRST_MS = 2_000

/**
 * A look at all peers takes a microsecond for each of them. So, if nothing is known to have changed, there is a pause after
 * each look: so long for each peer. With thousands, looks would take a twentieth of a processor otherwise.
 */
const PAUSE_MS_PER_PEER = 0.25

/** Looks for the peers that were introduced and are not reached directly: begins handshakes with them. */
export class Seeker {
  readonly #context: SeekerContext
  readonly #tries: Tries
  /** Since when each peer that has no session is relayed, by its public key. */
  readonly #relayedMs = new Map<string, number>()
  /** The peers that there were at the last look; undefined if some of them may be elsewhere now. */
  #seen: readonly Peer[] | undefined
  #nextMs = 0

  constructor(context: SeekerContext, budget: Rates) {
    this.#context = context
    this.#tries = new Tries(() => randomFraction(context.platform), budget)
  }

  /** A peer may be at other places than before. */
  changed(): void {
    this.#seen = undefined
  }

  /**
   * Must be called often.
   * @param placesOf where a peer may be, by its public key in base64
   */
  look(placesOf: (key: string) => readonly Endpoint[], nowMs: number): void {
    const { faults, privateSide, roster } = this.#context
    if (roster.all === this.#seen && nowMs < this.#nextMs) return
    this.#seen = roster.all
    this.#nextMs = nowMs + roster.all.length * PAUSE_MS_PER_PEER
    const sought = new Map(
      roster.all.flatMap((peer) => {
        const { public_key, introduced_by } = peer.settings
        const isSought =
          introduced_by !== undefined && public_key !== undefined && (!peer.carries || peer.isRelayed)
        return isSought ? [[publicKeyText(public_key), peer] as const] : []
      }),
    )
    for (const key of this.#relayedMs.keys()) if (!sought.has(key)) this.#relayedMs.delete(key)
    const wanted = [...sought].map(([key, peer]) => this.#wanted(key, peer, placesOf(key), nowMs))
    for (const { key, places, byRelay } of this.#tries.due(wanted, nowMs)) {
      const peer = sought.get(key) as Peer
      const found = places.flatMap((it) => peer.place.tryLook(it)?.sockaddr ?? [])
      const direct = found.map((sockaddr) => encodeName(sockaddr, NO_LOCAL, false))
      const names = [...(byRelay && peer.datagramName !== undefined ? [peer.datagramName] : []), ...direct]
      if (names.length > 0) faults.run('introductions', () => privateSide.seek(peer.row, names), peer.name)
    }
  }

  /** Where it is looked for. One that was heard by way of an introducer is looked for only directly. */
  #wanted(key: string, peer: Peer, places: readonly Endpoint[], nowMs: number): Wanted {
    if (!peer.isRelayed) {
      this.#relayedMs.delete(key)
      return { key, places, byRelay: false }
    }
    if (this.#context.privateSide.peer(peer.row)?.hasKeypair === true && peer.carries)
      return { key, places, byRelay: false }
    const sinceMs = this.#relayedMs.get(key) ?? nowMs
    this.#relayedMs.set(key, sinceMs)
    // Otherwise the other end may take a way for good that leads only there.
    const isLong = nowMs - sinceMs >= RELAY_FIRST_MS
    return { key, places: isLong ? places : [], byRelay: true }
  }
}

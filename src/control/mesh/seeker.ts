import { formatKey } from '../../key-text.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import { encodeName, NO_LOCAL } from '../../memory/name.js'
import type { Rates } from '../../rates.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { Tries } from './tries.js'

export interface SeekerContext {
  readonly platform: Pick<Platform, 'random'>
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
  readonly faults: Faults
}

/** Looks for the peers that were introduced and have no session: begins handshakes with them. */
export class Seeker {
  readonly #context: SeekerContext
  readonly #tries: Tries

  constructor(context: SeekerContext, budget: Rates) {
    this.#context = context
    this.#tries = new Tries(() => context.platform.random(4).readUInt32BE() / 2 ** 32, budget)
  }

  /**
   * Must be called often.
   * @param placesOf where a peer may be, by its public key in base64
   */
  look(placesOf: (key: string) => readonly Endpoint[], nowMs: number): void {
    const { faults, privateSide, roster } = this.#context
    const sought = new Map(
      roster.all.flatMap((peer) => {
        const { public_key, introduced_by } = peer.settings
        const isSought = introduced_by !== undefined && public_key !== undefined && !peer.carries
        return isSought ? [[formatKey(public_key), peer] as const] : []
      }),
    )
    const wanted = [...sought.keys()].map((key) => ({ key, places: placesOf(key) }))
    for (const { key, places } of this.#tries.due(wanted, nowMs)) {
      const peer = sought.get(key) as Peer
      const found = places.flatMap((it) => peer.place.tryLook(it)?.sockaddr ?? [])
      const names = found.map((sockaddr) => encodeName(sockaddr, NO_LOCAL, false))
      if (names.length > 0) faults.run('introductions', () => privateSide.seek(peer.row, names), peer.name)
    }
  }
}

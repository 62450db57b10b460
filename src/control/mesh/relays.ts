import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { PrivateSide } from '../private/private-side.js'
import { DirectWatch } from './direct-watch.js'

export interface RelaysContext {
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
}

const NOT_YET = 'no direct path has answered yet'
const LOST = 'the direct path was lost'
const NO_ROUTE = 'there is no route to it'

interface Watched {
  readonly peer: Peer
  readonly watch: DirectWatch
}

/**
 * Which of the peers that were introduced are reached by way of an introducer: all that are not reached directly. A
 * peer is reached directly as soon as it answers directly (`PrivateSide`), until its direct path is lost.
 */
export class Relays {
  readonly #context: RelaysContext
  /** Those that are reached directly, by row. */
  readonly #direct = new Map<number, Watched>()

  constructor(context: RelaysContext) {
    this.#context = context
  }

  /**
   * Must be called often.
   * @param introducersOf the names of those that introduce a peer now, and relay
   */
  look(introducersOf: (peer: Peer) => readonly string[], nowMs: number): void {
    const introduced = this.#context.roster.all.filter(({ settings }) => settings.introduced_by !== undefined)
    for (const [row, { peer }] of this.#direct) if (!introduced.includes(peer)) this.#direct.delete(row)
    for (const peer of introduced) {
      if (peer.place.relay !== undefined) this.#lookAtRelayed(peer, introducersOf(peer))
      else if (peer.endpoint === undefined) this.#relay(peer, introducersOf(peer), NOT_YET)
      else this.#lookAtDirect(peer, introducersOf(peer), nowMs)
    }
  }

  #lookAtRelayed(peer: Peer, introducers: readonly string[]): void {
    this.#direct.delete(peer.row)
    const { relay } = peer.place
    if (relay === undefined || this.#isUsable(relay)) return
    if (!this.#relay(peer, introducers, peer.relayedWhy)) peer.relayBy(undefined, '')
  }

  #lookAtDirect(peer: Peer, introducers: readonly string[], nowMs: number): void {
    const moment = { nowMs, ...peer.ways }
    const known = this.#direct.get(peer.row)
    const watch = known?.watch ?? new DirectWatch(moment)
    if (known === undefined) this.#direct.set(peer.row, { peer, watch })
    const verdict = peer.state === 'silent' || peer.state === 'down' ? 'lost' : watch.look(moment)
    if (verdict === 'ask') peer.greet()
    if (peer.underlay?.interface === undefined) this.#relay(peer, introducers, NO_ROUTE)
    else if (verdict === 'lost') this.#relay(peer, introducers, LOST)
  }

  /** @returns false if nobody can relay now */
  #relay(peer: Peer, introducers: readonly string[], why: string): boolean {
    const { roster } = this.#context
    const by = introducers.map((name) => roster.get(name)).find((it) => it && this.#isUsable(it))
    if (by === undefined) return false
    peer.relayBy(by, why)
    return true
  }

  /** Whether this introducer is still the same peer, and there. */
  #isUsable({ row, name }: { readonly row: number; readonly name: string }): boolean {
    const { roster, privateSide } = this.#context
    const peer = roster.at(row)
    if (peer?.name !== name || peer.settings.introducer !== true || peer.endpoint === undefined) return false
    return peer.state !== 'down' && privateSide.peer(row)?.hasKeypair === true
  }
}

import type { ControlChannel } from '../control-channel.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { PrivateSide } from '../private/private-side.js'
import { DirectWatch } from './direct-watch.js'
import { IntroducerWatch } from './introducer-watch.js'

export interface RelaysContext {
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
  readonly channel: Pick<ControlChannel, 'roundTrips'>
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
  readonly #introducers: IntroducerWatch
  /** Those that are reached directly, by row. */
  readonly #direct = new Map<number, Watched>()

  constructor(context: RelaysContext) {
    this.#context = context
    const roundTripMs = (row: number) => context.channel.roundTrips.smoothedMs(row)
    this.#introducers = new IntroducerWatch({ roster: context.roster, roundTripMs })
  }

  /**
   * Must be called often.
   * @param introducersOf the names of those that introduce a peer now, and relay
   */
  look(introducersOf: (peer: Peer) => readonly string[], nowMs: number): void {
    const introduced = this.#context.roster.all.filter(({ settings }) => settings.introduced_by !== undefined)
    for (const [row, { peer }] of this.#direct)
      if (this.#context.roster.at(row) !== peer) this.#direct.delete(row)
    this.#introducers.look(introduced, nowMs)
    for (const peer of introduced) {
      const relays = this.#usable(introducersOf(peer))
      peer.hasRelay = relays.length > 0
      if (peer.place.relay !== undefined) this.#lookAtRelayed(peer, relays, nowMs)
      else if (peer.endpoint === undefined) relay(peer, relays[0], NOT_YET)
      else this.#lookAtDirect(peer, relays, nowMs)
    }
  }

  #lookAtRelayed(peer: Peer, relays: readonly Peer[], nowMs: number): void {
    this.#direct.delete(peer.row)
    const { place, relayedWhy } = peer
    if (place.relay === undefined) return
    if (!this.#isUsable(place.relay)) {
      if (!relay(peer, relays[0], relayedWhy)) peer.relayBy(undefined, '')
      return
    }
    const sinceMs = this.#introducers.lostSinceMs(place.relay.row)
    // If all are away, this host is, and another one is no better.
    if (sinceMs !== undefined) relay(peer, this.#spoken(relays, sinceMs, nowMs), relayedWhy)
  }

  #lookAtDirect(peer: Peer, relays: readonly Peer[], nowMs: number): void {
    const roundTripMs = this.#context.channel.roundTrips.smoothedMs(peer.row)
    const moment = { nowMs, ...peer.ways, roundTripMs }
    const known = this.#direct.get(peer.row)
    const watch = known?.watch ?? new DirectWatch(moment)
    if (known === undefined) this.#direct.set(peer.row, { peer, watch })
    const verdict = watch.look(moment)
    if (verdict === 'ask') peer.greet()
    if (peer.underlay?.interface === undefined) relay(peer, relays[0], NO_ROUTE)
    else if (peer.state === 'silent' || peer.state === 'down') relay(peer, relays[0], LOST)
    // An introducer that is not heard either is no better way.
    else if (verdict !== 'good') {
      const by = this.#spoken(relays, watch.sinceMs ?? nowMs, nowMs)
      if (verdict === 'lost') relay(peer, by, LOST)
    }
  }

  /** The introducers of these names that can relay now: those that are away last. */
  #usable(names: readonly string[]): Peer[] {
    const { roster } = this.#context
    const all = names.flatMap((name) => roster.get(name) ?? []).filter((it) => this.#isUsable(it))
    const isAway = ({ row }: Peer) => this.#introducers.lostSinceMs(row) !== undefined
    return [...all.filter((it) => !isAway(it)), ...all.filter(isAway)]
  }

  /** The first of those that have said something since a time. The others are asked. */
  #spoken(relays: readonly Peer[], sinceMs: number, nowMs: number): Peer | undefined {
    return relays.filter(({ row }) => this.#introducers.hasSpoken(row, sinceMs, nowMs))[0]
  }

  /** Whether this introducer is still the same peer, and there. */
  #isUsable({ row, name }: { readonly row: number; readonly name: string }): boolean {
    const { roster, privateSide } = this.#context
    const peer = roster.at(row)
    if (peer?.name !== name || peer.settings.introducer !== true || peer.endpoint === undefined) return false
    return peer.state !== 'down' && privateSide.peer(row)?.hasKeypair === true
  }
}

/** @returns false if there is nobody to relay */
function relay(peer: Peer, by: Peer | undefined, why: string): boolean {
  if (by !== undefined) peer.relayBy(by, why)
  return by !== undefined
}

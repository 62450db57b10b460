import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import { type DirectMoment, DirectWatch } from './direct-watch.js'

/** An introducer that somebody waits for is asked so often. */
const ASK_MS = 200

interface Watched {
  readonly peer: Peer
  readonly watch: DirectWatch
  heard: number
  /** When something has come from it last; undefined if nothing has yet, since it is watched. */
  heardMs: number | undefined
  askedMs: number
  isLost: boolean
}

/** What an introducer's way to this host looks like from here. */
export interface RelayWatchContext {
  readonly roster: Roster<Peer>
  readonly roundTripMs: (row: number) => number | undefined
}

/**
 * Whether the introducers are there that relay, or could. All that goes through one ought to bring something from it. If
 * something comes for this host by another one, the other end has found that this one is away.
 */
export class IntroducerWatch {
  readonly #context: RelayWatchContext
  /** By row. */
  readonly #watched = new Map<number, Watched>()

  constructor(context: RelayWatchContext) {
    this.#context = context
  }

  /** Must be called often. @param introduced the peers that may be relayed */
  look(introduced: readonly Peer[], nowMs: number): void {
    const { roster } = this.#context
    const introducers = roster.all.filter(({ settings }) => settings.introducer === true)
    for (const [row, { peer }] of this.#watched) if (!introducers.includes(peer)) this.#watched.delete(row)
    for (const peer of introducers) {
      const relayed = introduced.filter(({ place }) => place.relay?.row === peer.row)
      this.#lookAt(peer, this.#moment(peer, relayed, nowMs))
    }
  }

  #lookAt(peer: Peer, moment: DirectMoment): void {
    const { nowMs, heard } = moment
    const known = this.#watched.get(peer.row)
    const it: Watched = known ?? {
      peer,
      watch: new DirectWatch(moment),
      heard,
      heardMs: undefined,
      askedMs: Number.NEGATIVE_INFINITY,
      isLost: false,
    }
    if (known === undefined) this.#watched.set(peer.row, it)
    if (heard !== it.heard) it.heardMs = nowMs
    it.heard = heard
    const verdict = it.watch.look(moment)
    it.isLost = verdict === 'lost'
    if (verdict === 'ask') this.#ask(it, nowMs)
  }

  #moment(peer: Peer, relayed: readonly Peer[], nowMs: number): DirectMoment {
    const all = relayed.map(({ ways }) => ways)
    const { tried, heard } = peer.ways
    return {
      nowMs,
      heard,
      tried: all.reduce((sum, it) => sum + it.tried, tried),
      relayed: all.reduce((sum, it) => sum + it.relayed, 0),
      roundTripMs: this.#context.roundTripMs(peer.row),
    }
  }

  /** Since when the introducer in this row is away; undefined if it is not. */
  lostSinceMs(row: number): number | undefined {
    const watched = this.#watched.get(row)
    return watched?.isLost === true ? watched.watch.sinceMs : undefined
  }

  /** Whether it has said something since a time. If not, it is asked. */
  hasSpoken(row: number, sinceMs: number, nowMs: number): boolean {
    const watched = this.#watched.get(row)
    if (watched === undefined) return false
    if ((watched.heardMs ?? Number.NEGATIVE_INFINITY) >= sinceMs) return true
    if (nowMs - watched.askedMs >= ASK_MS) this.#ask(watched, nowMs)
    return false
  }

  #ask(watched: Watched, nowMs: number): void {
    watched.askedMs = nowMs
    watched.peer.greet()
  }
}

import type { Endpoint } from '../../linux/sockaddr.js'
import type { ControlMessage } from '../../wire/control.js'
import type { PathMtu } from '../path-mtu/path-mtu.js'
import type { PeerState } from './liveness.js'
import type { Underlay } from './underlay.js'

/** A peer, as the other parts of main see it. */
export interface RosterPeer {
  readonly name: string
  /** Its row in the peer table. */
  readonly row: number
  readonly state: PeerState
  /** Undefined until it is known. */
  readonly endpoint: Endpoint | undefined
  /** The addresses of its host, as far as they are known: where it is, and all that its name had last. */
  readonly addresses: readonly string[]
  /** Whether an introducer relays what is for it. Its endpoint is then the introducer's. */
  readonly isRelayed: boolean
  /** The endpoint as a socket address; undefined if it is relayed. */
  readonly sockaddr: Uint8Array | undefined
  /** The same, as the name that datagrams go to (memory/name.ts). */
  readonly datagramName: Uint8Array | undefined
  /** How datagrams get to the peer; undefined until its endpoint is known. */
  readonly underlay: Underlay | undefined
  /** The source address of datagrams to it; undefined if that is not known. */
  readonly source: string | undefined
  readonly pathMtu: PathMtu | undefined
  /** The greatest MTU that this peer allows for the device; undefined if there is no route to the peer. */
  readonly mtuBytes: number | undefined
  /** The overlay MTU that the path carries in unfragmented datagrams, whatever MTU the settings ask for. */
  readonly carriedMtuBytes: number | undefined
  /** The peer has sent a control frame of `bytes` bytes. */
  said(message: ControlMessage, bytes: number): void
  /** The device's MTU has changed. */
  deviceChanged(): void
  /** Looks again for where its settings say that it is, in the background. */
  locate(): void
  /** An authentic message has come from `sockaddr`. @returns false if no peer can be there */
  roamTo(sockaddr: Uint8Array): boolean
  /** It has spoken to this address of this host (linux/sockaddr.ts). */
  spokenTo(local: Uint8Array): void
}

/** A peer whose path holds the device's MTU below what another peer's path carries. */
export interface NarrowPeer {
  readonly name: string
  readonly mtuBytes: number
  readonly othersBytes: number
}

/** The peers that there are, by name and by row, and what all of them together allow. */
export class Roster<P extends RosterPeer = RosterPeer> {
  readonly #byName = new Map<string, P>()
  readonly #byRow = new Map<number, P>()
  #all: readonly P[] | undefined

  add(peer: P): void {
    this.#byName.set(peer.name, peer)
    this.#byRow.set(peer.row, peer)
    this.#all = undefined
  }

  /** Removes the peer that has this name now. */
  delete(name: string): void {
    const peer = this.#byName.get(name)
    if (peer === undefined) return
    this.#byName.delete(name)
    this.#byRow.delete(peer.row)
    this.#all = undefined
  }

  get(name: string): P | undefined {
    return this.#byName.get(name)
  }

  /** In the order in which they were added. It is asked for very often, so it is one list until that changes. */
  get all(): readonly P[] {
    this.#all ??= [...this.#byName.values()]
    return this.#all
  }

  /** The peer of a row; undefined if the row has none now. */
  at(row: number): P | undefined {
    return this.#byRow.get(row)
  }

  /** The names of the interfaces that lead to the peers. */
  get interfaces(): ReadonlySet<string> {
    return new Set(this.all.flatMap(({ underlay }) => underlay?.interface ?? []))
  }

  /** The greatest MTU of the interfaces that lead to the peers. */
  get longestUnderlayBytes(): number {
    let longest = 0
    for (const { underlay } of this.all) longest = Math.max(longest, underlay?.mtuBytes ?? 0)
    return longest
  }

  /**
   * The least {@link RosterPeer.mtuBytes} of the peers that are not down; undefined if there is no route to any
   * of them.
   */
  get mtuBytes(): number | undefined {
    return this.#least(({ mtuBytes }) => mtuBytes)
  }

  /** The least {@link RosterPeer.carriedMtuBytes} of the same peers. */
  get carriedMtuBytes(): number | undefined {
    return this.#least(({ carriedMtuBytes }) => carriedMtuBytes)
  }

  #least(of: (peer: P) => number | undefined): number | undefined {
    const { all } = this
    const alive = all.filter(({ state }) => state !== 'down')
    let least: number | undefined
    // If all peers are down, their paths are still the best guess.
    for (const peer of alive.length === 0 ? all : alive) {
      const bytes = of(peer)
      if (bytes !== undefined && (least === undefined || bytes < least)) least = bytes
    }
    return least
  }

  get narrow(): readonly NarrowPeer[] {
    const alive = this.all.filter(({ state }) => state !== 'down')
    const othersBytes = Math.max(0, ...alive.map(({ mtuBytes }) => mtuBytes ?? 0))
    return alive.flatMap(({ name, mtuBytes }) =>
      mtuBytes !== undefined && mtuBytes < othersBytes ? [{ name, mtuBytes, othersBytes }] : [],
    )
  }
}

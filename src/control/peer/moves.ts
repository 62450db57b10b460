import type { Place } from './peer-endpoint.js'
import type { Roster, RosterPeer } from './roster.js'

/** Somebody who wants to be elsewhere. */
export interface Mover {
  readonly row: number
  /** Looks again at where it wants to go; undefined if it cannot be there now. */
  look(): Place | undefined
  arrive(place: Place): void
}

interface Wish {
  readonly mover: Mover
  readonly sockaddr: Uint8Array
}

/**
 * The moves of the peers of a plain tunnel. There, only its endpoint tells who a peer is, so two peers cannot have the
 * same one. A peer that wants to be where another one is waits, and its wish is kept. If that other one wants to leave,
 * too, they go together.
 */
export class Moves {
  readonly #roster: Roster
  /** By row. */
  readonly #wishes = new Map<number, Wish>()

  constructor(roster: Roster) {
    this.#roster = roster
  }

  /** The peer at this socket address. */
  peerAt(sockaddr: Uint8Array): RosterPeer | undefined {
    const key = keyOf(sockaddr)
    return this.#roster.all.find((peer) => peer.sockaddr !== undefined && keyOf(peer.sockaddr) === key)
  }

  /**
   * A peer wants to be at `sockaddr`. It goes there now if it can, and others with it.
   * @returns `done`; or that another peer is there: `new` if that was not known, else `known`
   */
  wish(mover: Mover, sockaddr: Uint8Array): 'done' | 'new' | 'known' {
    const before = this.#wishes.get(mover.row)
    this.#wishes.set(mover.row, { mover, sockaddr })
    this.settle()
    if (!this.#wishes.has(mover.row)) return 'done'
    return before !== undefined && keyOf(before.sockaddr) === keyOf(sockaddr) ? 'known' : 'new'
  }

  /** The peer of this row wants to stay, or is gone. */
  forget(row: number): void {
    this.#wishes.delete(row)
  }

  /** Must be called when a peer may have left its place. Whoever can go where they want goes there. */
  settle(): void {
    if (this.#wishes.size === 0) return
    const standing = new Map(
      this.#roster.all.flatMap(({ row, sockaddr }) =>
        sockaddr === undefined ? [] : [[row, keyOf(sockaddr)]],
      ),
    )
    const wishes = new Map([...this.#wishes].map(([row, { sockaddr }]) => [row, keyOf(sockaddr)]))
    for (;;) {
      const rows = movesTogether(standing, wishes)
      const places = rows.map((row) => this.#wishes.get(row)?.mover.look())
      const refused = rows.filter((_, index) => places[index] === undefined)
      for (const row of refused) wishes.delete(row)
      if (refused.length > 0) continue
      const going = rows.map((row) => this.#wishes.get(row))
      for (const row of rows) this.#wishes.delete(row)
      for (const [index, wish] of going.entries()) wish?.mover.arrive(places[index] as Place)
      return
    }
  }
}

function keyOf(sockaddr: Uint8Array): string {
  return Buffer.from(sockaddr).toString('hex')
}

/**
 * Which of the peers that want to be elsewhere can go there at once, so that nobody is where another one is. Circles
 * go first: each of them wants the place of the next. Then go those whose places are free, and those who want the
 * places that they leave. If several want one place, the first of them gets it.
 * @param standing where the peers are
 * @param wishes where some of them want to be
 */
export function movesTogether<P>(standing: ReadonlyMap<P, string>, wishes: ReadonlyMap<P, string>): P[] {
  const holders = new Map([...standing].map(([peer, place]) => [place, peer]))
  const going = new Set<P>()
  const nextOf = (peer: P): P | undefined => {
    const wanted = wishes.get(peer)
    return wanted === undefined ? undefined : holders.get(wanted)
  }
  for (const peer of wishes.keys()) {
    const circle: P[] = []
    let at: P | undefined = peer
    while (at !== undefined && !going.has(at) && !circle.includes(at)) {
      circle.push(at)
      at = nextOf(at)
    }
    if (at === peer) for (const it of circle) going.add(it)
  }
  const taken = new Set([...going].map((peer) => wishes.get(peer)))
  const isFree = (place: string) => {
    const holder = holders.get(place)
    return !taken.has(place) && (holder === undefined || going.has(holder))
  }
  for (;;) {
    const free = [...wishes].find(([peer, place]) => !going.has(peer) && isFree(place))
    if (free === undefined) return [...going]
    going.add(free[0])
    taken.add(free[1])
  }
}

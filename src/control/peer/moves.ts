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
  /** Where it wants to be, as {@link keyOf} says it. */
  readonly place: string
}

/**
 * The moves of the peers of a plain tunnel. There, only its endpoint tells who a peer is, so two peers cannot have the
 * same one. A peer that wants to be where another one is waits, and its wish is kept. If that other one wants to leave,
 * too, they go together.
 *
 * Thousands of peers may be found in one turn. So who is at a place is remembered, and all are looked at only if others
 * may have to go along.
 */
export class Moves {
  readonly #roster: Pick<Roster, 'all' | 'at'>
  /** By row. */
  readonly #wishes = new Map<number, Wish>()
  /** How many want to be at each place. */
  readonly #wanted = new Map<string, number>()
  /**
   * The row of who was last seen at each place. It may have left since. Made anew after each call of {@link settle},
   * because the kernel may give an interface another index, and a place has that.
   */
  #seen: Map<string, number> | undefined

  constructor(roster: Pick<Roster, 'all' | 'at'>) {
    this.#roster = roster
  }

  /** The peer at this socket address. */
  peerAt(sockaddr: Uint8Array): RosterPeer | undefined {
    return this.#holderOf(keyOf(sockaddr))
  }

  /**
   * A peer wants to be at `sockaddr`. It goes there now if it can, and others with it.
   * @returns `done`; or that another peer is there: `new` if that was not known, else `known`
   */
  wish(mover: Mover, sockaddr: Uint8Array): 'done' | 'new' | 'known' {
    const { row } = mover
    const place = keyOf(sockaddr)
    const before = this.#wishes.get(row)
    if (before !== undefined) this.#count(before.place, -1)
    this.#count(place, 1)
    // One that has waited keeps its turn.
    this.#wishes.set(row, { mover, place })
    const holder = this.#holderOf(place)
    if (holder === undefined && this.#isAlone(row, place)) this.#goAlone(mover)
    // If nobody leaves the place, nobody can go.
    else if (holder === undefined || this.#wishes.has(holder.row)) this.settle()
    if (!this.#wishes.has(row)) return 'done'
    return before?.place === place ? 'known' : 'new'
  }

  /** The peer of this row wants to stay, or is gone. */
  forget(row: number): void {
    const wish = this.#wishes.get(row)
    if (wish === undefined) return
    this.#wishes.delete(row)
    this.#count(wish.place, -1)
  }

  #count(place: string, more: number): void {
    const count = (this.#wanted.get(place) ?? 0) + more
    if (count === 0) this.#wanted.delete(place)
    else this.#wanted.set(place, count)
  }

  /** Must be called when a peer may have left its place. Whoever can go where they want goes there. */
  settle(): void {
    this.#seen = undefined
    if (this.#wishes.size === 0) return
    const standing = new Map(
      this.#roster.all.flatMap(({ row, sockaddr }) =>
        sockaddr === undefined ? [] : [[row, keyOf(sockaddr)]],
      ),
    )
    const wishes = new Map([...this.#wishes].map(([row, { place }]) => [row, place]))
    for (;;) {
      const rows = movesTogether(standing, wishes)
      const places = rows.map((row) => this.#wishes.get(row)?.mover.look())
      const refused = rows.filter((_, index) => places[index] === undefined)
      for (const row of refused) wishes.delete(row)
      if (refused.length > 0) continue
      const going = rows.map((row) => this.#wishes.get(row))
      for (const row of rows) this.forget(row)
      for (const [index, wish] of going.entries()) if (wish) this.#go(wish.mover, places[index] as Place)
      return
    }
  }

  /** Whether nobody else wants this place, and nobody the one that the peer of this row leaves. */
  #isAlone(row: number, place: string): boolean {
    const left = this.#roster.at(row)?.sockaddr
    return this.#wanted.get(place) === 1 && (left === undefined || !this.#wanted.has(keyOf(left)))
  }

  #goAlone(mover: Mover): void {
    const place = mover.look()
    if (place === undefined) return
    this.forget(mover.row)
    this.#go(mover, place)
  }

  #go(mover: Mover, place: Place): void {
    this.#seen?.set(keyOf(place.sockaddr), mover.row)
    mover.arrive(place)
  }

  #holderOf(place: string): RosterPeer | undefined {
    this.#seen ??= new Map(
      this.#roster.all.flatMap(({ row, sockaddr }) =>
        sockaddr === undefined ? [] : [[keyOf(sockaddr), row]],
      ),
    )
    const row = this.#seen.get(place)
    const peer = row === undefined ? undefined : this.#roster.at(row)
    return peer?.sockaddr !== undefined && keyOf(peer.sockaddr) === place ? peer : undefined
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
    const circle = new Set<P>()
    let at: P | undefined = peer
    while (at !== undefined && !going.has(at) && !circle.has(at)) {
      circle.add(at)
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

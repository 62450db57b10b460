import fc from 'fast-check'
import t from 'tap'
import { type Mover, Moves, movesTogether } from '../../../../src/control/peer/moves.js'
import type { Place } from '../../../../src/control/peer/peer-endpoint.js'
import type { Roster, RosterPeer } from '../../../../src/control/peer/roster.js'

/** Peers and places are letters: `a1` is peer a at place 1. */
const places = (...pairs: string[]) => new Map(pairs.map(([peer, place]) => [peer, place] as const))
const together = (standing: string[], wishes: string[]) =>
  movesTogether(places(...standing), places(...wishes))
    .sort()
    .join('')

t.test('two that want each other’s place go together, and so do three', async (t) => {
  t.equal(together(['a1', 'b2'], ['a2', 'b1']), 'ab')
  t.equal(together(['a1', 'b2', 'c3'], ['a2', 'b3', 'c1']), 'abc')
  t.equal(together(['a1', 'b2', 'c3'], ['a2', 'b3']), '', 'one stays, and so do all behind it')
})

t.test('those behind one that leaves follow it', async (t) => {
  t.equal(together(['a1', 'b2', 'c3'], ['a2', 'b3', 'c4']), 'abc')
  t.equal(together(['b2', 'c3'], ['a2', 'b3', 'c4']), 'abc', 'also one that was nowhere')
})

t.test('a place that somebody stays at is taken', async (t) => {
  t.equal(together(['a1'], ['b1']), '')
  t.equal(together(['a1', 'b2'], ['b1']), '')
})

t.test('of two that want one place the first gets it, unless a circle needs it', async (t) => {
  t.equal(together([], ['a1', 'b1']), 'a')
  t.equal(together(['b1', 'c2'], ['a2', 'b2', 'c1']), 'bc')
  t.equal(together(['a1', 'b2'], ['a3', 'b3', 'c2']), 'a', 'and who wants the place of the other one waits')
})

/** Whether all of `going` can be where they want while the others stay. */
function fits(standing: ReadonlyMap<string, string>, wishes: ReadonlyMap<string, string>, going: string[]) {
  const after = new Map([...standing, ...going.map((peer) => [peer, wishes.get(peer) ?? ''] as const)])
  return new Set(after.values()).size === after.size
}

t.test('nobody is where another one is, and nobody is left who could have gone', async () => {
  const peers = 'abcdef'.split('')
  const world = fc.record({
    at: fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7].map(String), { minLength: 6 }),
    nowhere: fc.subarray(peers),
    wishes: fc.dictionary(fc.constantFrom(...peers), fc.integer({ min: 1, max: 8 }).map(String)),
  })
  fc.assert(
    fc.property(world, ({ at, nowhere, wishes }) => {
      const standing = new Map(
        peers.map((peer, index) => [peer, at[index]] as const).filter(([peer]) => !nowhere.includes(peer)),
      )
      const wanted = new Map(Object.entries(wishes))
      const going = movesTogether(standing, wanted)
      if (!fits(standing, wanted, going)) return false
      const others = [...wanted.keys()].filter((peer) => !going.includes(peer))
      // Every set of those that stay, as the bits of a number.
      for (let bits = 1; bits < 2 ** others.length; bits++) {
        const more = others.filter((_, index) => (bits >> index) & 1)
        if (fits(standing, wanted, [...going, ...more])) return false
      }
      return true
    }),
    { numRuns: 2_000 },
  )
})

/** Peers of a plain tunnel, each nowhere at first. Counts how often somebody asks where a peer is. */
function plainPeers(count: number) {
  const places: (number | undefined)[] = Array(count).fill(undefined)
  let looks = 0
  const sockaddrOf = (place: number) => Uint8Array.of(place >> 8, place & 255)
  const all = places.map((_, row) => ({
    row,
    get sockaddr() {
      looks++
      const place = places[row]
      return place === undefined ? undefined : sockaddrOf(place)
    },
  })) as unknown as RosterPeer[]
  const moves = new Moves({ all, at: (row: number) => all[row] } as unknown as Roster)
  const moverOf = (row: number, place: number): Mover => ({
    row,
    look: () => ({ sockaddr: sockaddrOf(place) }) as Place,
    arrive: () => {
      places[row] = place
    },
  })
  return {
    moves,
    places,
    wish: (row: number, place: number) => moves.wish(moverOf(row, place), sockaddrOf(place)),
    rowAt: (place: number) => moves.peerAt(sockaddrOf(place))?.row,
    get looks() {
      return looks
    },
  }
}

t.test('who is found looks at few others, however many there are, and also while some wait', async (t) => {
  const COUNT = 4_096
  const peers = plainPeers(COUNT)
  t.equal(peers.wish(0, 0), 'done')
  t.equal(peers.wish(1, 0), 'new')
  t.equal(peers.wish(1, 0), 'known')
  for (let row = 2; row < COUNT; row++) peers.wish(row, row)
  t.same(
    peers.places.slice(2),
    Array.from({ length: COUNT - 2 }, (_, index) => index + 2),
  )
  // Names that are all of one address.
  for (let row = 2; row < COUNT; row++) peers.wish(row, 0)
  t.equal(peers.rowAt(0), 0)
  t.ok(peers.looks < 10 * COUNT, `${peers.looks} looks for ${COUNT} peers`)
})

t.test('each wish comes to the same as a look at all peers', async () => {
  const wish = fc.tuple(fc.nat(5), fc.nat(7), fc.boolean())
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 30 }), (all) => {
      const peers = plainPeers(6)
      const standing = new Map<number, string>()
      const wishes = new Map<number, string>()
      return all.every(([row, place, ticks]) => {
        if (peers.places[row] === place) {
          peers.moves.forget(row)
          wishes.delete(row)
        } else {
          peers.wish(row, place)
          wishes.set(row, `${place}`)
        }
        if (ticks) peers.moves.settle()
        const going = movesTogether(standing, wishes)
        for (const it of going) standing.set(it, wishes.get(it) ?? '')
        for (const it of going) wishes.delete(it)
        return peers.places.every((it, index) => standing.get(index) === (it === undefined ? it : `${it}`))
      })
    }),
    { numRuns: 2_000 },
  )
})

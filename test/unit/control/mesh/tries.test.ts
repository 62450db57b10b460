import t from 'tap'
import { Tries, type Wanted } from '../../../../src/control/mesh/tries.js'

const place = (port: number) => ({ address: '192.0.2.1', port })
const peers = (count: number, port = 1): Wanted[] =>
  Array.from({ length: count }, (_, index) => ({
    key: `k${index}`,
    byRelay: false,
    places: [place(port + index)],
  }))

const sent = (due: readonly Wanted[]) => due.reduce((sum, { places }) => sum + places.length, 0)

t.test('one peer is tried at once, and then less and less often', async (t) => {
  const tries = new Tries(() => 0)
  const times: number[] = []
  for (let ms = 0; ms < 300_000; ms += 100) if (tries.due(peers(1), ms).length > 0) times.push(ms)
  t.same(times.slice(0, 9), [0, 500, 1_500, 2_500, 4_500, 8_500, 16_500, 32_500, 64_500])
  t.equal(times[9] - times[8], 60_000)
})

t.test('all together have one budget, and everybody has a turn', async (t) => {
  const tries = new Tries(() => 0.5)
  const turns = new Map<string, number>()
  let datagrams = 0
  for (let ms = 0; ms < 60_000; ms += 100)
    for (const it of tries.due(peers(250, 1 + Math.floor(ms / 1_000)), ms)) {
      datagrams += it.places.length
      turns.set(it.key, (turns.get(it.key) ?? 0) + 1)
    }
  t.ok(datagrams <= 32 + 16 * 60, `${datagrams} in a minute`)
  t.ok(datagrams > 16 * 50)
  t.equal(turns.size, 250, 'nobody waits for ever')
})

t.test('another place is tried at once; a peer that is found is forgotten', async (t) => {
  const tries = new Tries(() => 0)
  for (let ms = 0; ms < 10_000; ms += 100) tries.due(peers(1), ms)
  t.same(tries.due(peers(1), 10_000), [])
  t.equal(sent(tries.due(peers(1, 9), 10_100)), 1)
  tries.due([], 10_200)
  t.equal(sent(tries.due(peers(1, 9), 10_300)), 1, 'it is lost again')
  t.same(tries.due([{ key: 'nowhere', byRelay: false, places: [] }], 10_400), [])
})

t.test('who has just come is tried at once, though thousands do not answer', async (t) => {
  const tries = new Tries(() => 0.5)
  const dead = peers(2_000)
  const all = [...dead, { key: 'new', byRelay: false, places: [place(9)] }]
  const turns = new Set<string>()
  for (let ms = 0; ms < 600_000; ms += 100) for (const { key } of tries.due(dead, ms)) turns.add(key)
  t.equal(turns.size, dead.length)
  const times: number[] = []
  for (let ms = 600_000; ms < 603_000; ms += 100)
    if (tries.due(all, ms).some(({ key }) => key === 'new')) times.push(ms - 600_000)
  t.same(times, [0, 600, 1_700])
})

t.test('if the budget is always short, all places of a peer have their turns', async (t) => {
  const tries = new Tries(() => 0.5)
  const many = Array.from({ length: 200 }, (_, peer) => ({
    key: `k${peer}`,
    byRelay: false,
    places: Array.from({ length: 8 }, (_, at) => place(100 + 8 * peer + at)),
  }))
  const ports = new Set<number>()
  for (let ms = 0; ms < 300_000; ms += 100)
    for (const { places } of tries.due(many, ms)) for (const { port } of places) ports.add(port)
  t.equal(ports.size, 200 * 8)
})

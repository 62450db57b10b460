import fc from 'fast-check'
import t from 'tap'
import { Introductions } from '../../../../src/control/discovery/introductions.js'
import { Ledger } from '../../../../src/control/mesh/ledger.js'
import type { Introduction, ToldMember } from '../../../../src/wire/introduction.js'

const memberOf = (number: number, port = 1): ToldMember => ({
  publicKey: new Uint8Array(32).fill(number),
  name: `m${number}`,
  networks: [],
  endpoints: [{ address: Uint8Array.of(192, 0, 2, number), port }],
})

const membersOf = (introductions: Introductions) =>
  introductions.keys.flatMap((key) => introductions.member(key) ?? [])
const names = (introductions: Introductions) =>
  membersOf(introductions)
    .map(({ name }) => name)
    .sort()

/** A ledger whose epochs count up. */
function ledger(): Ledger {
  let epoch = 0
  return new Ledger(() => ++epoch)
}

function learn(introductions: Introductions, from: Ledger): void {
  for (let times = 0; times < 100; times++)
    for (const it of from.after(introductions.position, 4)) introductions.take(it)
}

t.test('what was told is learnt, also when members change and go', async (t) => {
  const from = ledger()
  const introductions = new Introductions()
  from.set(
    [1, 2, 3].map((it) => memberOf(it)),
    0,
  )
  learn(introductions, from)
  t.same(names(introductions), ['m1', 'm2', 'm3'])
  t.ok(introductions.isComplete)
  from.set([memberOf(2, 7), memberOf(3)], 5_000)
  t.same(
    from.after(introductions.position, 10).map(({ kind }) => kind),
    ['gone', 'member'],
    'only what has changed is told',
  )
  learn(introductions, from)
  t.same(names(introductions), ['m2', 'm3'])
  t.equal(membersOf(introductions).find(({ name }) => name === 'm2')?.endpoints[0].port, 7)
})

t.test('a member that moves all the time is told once a second', async (t) => {
  const from = ledger()
  for (let ms = 0; ms < 10_000; ms += 100) from.set([memberOf(1, 1 + ms)], ms)
  t.equal(from.position.revision, 10)
  // One that goes is told at once.
  from.set([], 10_000)
  t.equal(from.after({ epoch: 1, revision: 10 }, 5)[0].kind, 'gone')
})

t.test('who knows all hears so, and who has none hears that there are none', async (t) => {
  const from = ledger()
  t.match(from.after({ epoch: 9, revision: 9 }, 5), [{ kind: 'nothing', epoch: 1, after: 0, revision: 0 }])
  from.set([memberOf(1)], 0)
  t.match(from.after(from.position, 5), [{ kind: 'nothing', after: 1, revision: 1, latest: 1 }])
  t.equal(from.after({ epoch: 1, revision: 99 }, 5)[0].kind, 'nothing', 'who claims to know more, too')
})

t.test('after a restart, what is known stays until all is told', async (t) => {
  const introductions = new Introductions()
  const before = ledger()
  before.set(
    [1, 2, 3].map((it) => memberOf(it)),
    0,
  )
  learn(introductions, before)
  const after = new Ledger(() => 77)
  after.set([memberOf(1), memberOf(4)], 0)
  const [first, second] = after.after(introductions.position, 10)
  t.same(introductions.take(first).length, 1)
  t.same(names(introductions), ['m1', 'm2', 'm3'])
  introductions.take(second)
  t.same(names(introductions), ['m1', 'm4'])
  const empty = new Ledger(() => 78)
  introductions.take(empty.after(introductions.position, 10)[0])
  t.same(names(introductions), [], 'there are none any more')
})

t.test('very many that have gone begin a new epoch', async (t) => {
  const from = ledger()
  const introductions = new Introductions()
  from.set([memberOf(1)], 0)
  learn(introductions, from)
  for (let number = 0; number < 1_100; number++) {
    const publicKey = new Uint8Array(32)
    new DataView(publicKey.buffer).setUint32(4, 1 + number)
    from.set([memberOf(1), { ...memberOf(2), publicKey }], number)
  }
  t.ok(from.position.epoch > 1)
  t.ok(from.position.revision < 2_000)
  learn(introductions, from)
  t.same(names(introductions), ['m1', 'm2'])
})

t.test('whatever is lost, doubled or late, both ends agree in the end', async () => {
  const step = fc.record({
    members: fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 8 }),
    restart: fc.nat(9).map((it) => it === 0),
    /** What becomes of each message: lost, comes, comes twice, comes later. */
    fates: fc.array(fc.nat(3), { minLength: 8, maxLength: 8 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      let epoch = 0
      let from = new Ledger(() => ++epoch)
      const introductions = new Introductions()
      let late: Introduction[] = []
      let nowMs = 0
      for (const { members, restart, fates } of steps) {
        nowMs += 2_000
        if (restart) {
          from = new Ledger(() => ++epoch)
          // Another session has other keys: nothing of the one before is opened.
          late = []
        }
        from.set(
          members.map((it) => memberOf(it, nowMs)),
          nowMs,
        )
        const now = [...late]
        late = []
        for (const [index, it] of from.after(introductions.position, 8).entries()) {
          if (fates[index] === 1 || fates[index] === 2) now.push(it)
          if (fates[index] === 2) now.unshift(it)
          if (fates[index] === 3) late.push(it)
        }
        for (const it of now) introductions.take(it)
      }
      const last = (steps.at(-1)?.members ?? []).map((it) => `m${it}`).sort()
      learn(introductions, from)
      t.same(names(introductions), last)
      t.ok(introductions.isComplete)
      t.same(introductions.position, steps.length === 0 ? { epoch: 1, revision: 0 } : from.position)
    }),
    { numRuns: 500 },
  )
})

import t from 'tap'
import { MAX_PEERS, MAX_RULE_ENTRIES } from '../../../src/config/schema.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import {
  ACCESS_RULES_BYTES,
  type AccessEntry,
  AccessRules,
  ANY,
  ICMP_OF_VERSION,
  MAX_ENTRIES,
  MAX_ROWS,
} from '../../../src/memory/access-rules.js'

const make = () => new AccessRules(NativeMemory.allocate(ACCESS_RULES_BYTES), 0)
const entry = (rows: readonly number[], more: Partial<AccessEntry> = {}): AccessEntry => ({
  rows,
  version: 0,
  prefix: [],
  mask: [],
  protocol: ANY,
  firstPort: ANY,
  lastPort: ANY,
  ...more,
})
const asked = (protocol: number, port = ANY, destination = [0x0a_09_00_01], version = 4) => ({
  version,
  protocol,
  port,
  destination: Int32Array.from([...destination, 0, 0, 0]),
})

t.test('without rules everybody may send everything, and with an empty list nobody anything', async (t) => {
  const rules = make()
  t.ok(rules.isOff && rules.allowsSome(3) && rules.allows(3, asked(6, 22)))
  rules.set([])
  t.notOk(rules.isOff || rules.allowsSome(3) || rules.allows(3, asked(6, 22)))
  rules.set(undefined)
  t.ok(rules.isOff && rules.allowsSome(3))
})

t.test('an entry is about its peers, network, protocol and ports', async (t) => {
  const rules = make()
  rules.set([
    entry([0, 31, 32, 255], { protocol: 6, firstPort: 22, lastPort: 23 }),
    entry([1], { protocol: ICMP_OF_VERSION }),
    entry([2], { version: 4, prefix: [0x0a_09_00_00], mask: [0xff_ff_ff_00 | 0] }),
    entry([2], { version: 6, prefix: [0xfd << 24, 0, 0, 1], mask: [-1, -1, -1, -1] }),
  ])
  for (const row of [0, 31, 32, 255])
    t.same(
      [21, 22, 23, 24].map((port) => rules.allows(row, asked(6, port))),
      [false, true, true, false],
      `row ${row}`,
    )
  t.notOk(rules.allows(0, asked(17, 22)), 'another protocol')
  t.notOk(rules.allows(0, asked(6)), 'no port')
  t.notOk(rules.allows(33, asked(6, 22)) || rules.allowsSome(33), 'another peer')
  t.ok(rules.allows(1, asked(1)) && rules.allows(1, asked(58, ANY, [0], 6)))
  t.notOk(rules.allows(1, asked(58)) || rules.allows(1, asked(1, ANY, [0], 6)), "the other version's ICMP")
  t.ok(rules.allows(2, asked(17, 53, [0x0a_09_00_ff])))
  t.notOk(rules.allows(2, asked(17, 53, [0x0a_09_01_00])))
  const six = (last: number) => ({
    ...asked(17, 53, [0], 6),
    destination: Int32Array.of(0xfd << 24, 0, 0, last),
  })
  t.ok(rules.allows(2, six(1)))
  t.notOk(rules.allows(2, six(2)))
})

t.test('there is room for as many entries as the settings allow, and not for more', async (t) => {
  t.equal(MAX_ENTRIES, MAX_RULE_ENTRIES)
  const rules = make()
  const many = Array.from({ length: MAX_ENTRIES }, (_, index) =>
    entry([index & 255], { protocol: index >>> 2 }),
  )
  rules.set(many)
  t.ok(rules.allows(255, asked(255)))
  t.throws(() => rules.set([...many, entry([0])]), RangeError)
  t.ok(rules.allows(255, asked(255)), 'what was there stays')
  const before = rules.changes
  rules.set(many.slice(0, 4))
  t.not(rules.changes, before)
  t.notOk(rules.allows(255, asked(255)))
})

t.test('the last row that there is has a bit of its own', async (t) => {
  const memory = NativeMemory.allocate(ACCESS_RULES_BYTES)
  const rules = new AccessRules(memory, 0)
  const all = { version: 0, prefix: [], mask: [], protocol: ANY, firstPort: ANY, lastPort: ANY } as const
  rules.set([
    { ...all, rows: [MAX_ROWS - 1] },
    { ...all, rows: [7] },
  ])
  const some = Array.from({ length: MAX_ROWS }, (_, row) => row).filter((row) => rules.allowsSome(row))
  t.same(some, [7, MAX_ROWS - 1])
  t.ok(MAX_ROWS >= MAX_PEERS)
})

import { Writable } from 'node:stream'
import pino from 'pino'
import t from 'tap'
import type { AccessRule } from '../../../src/config/access-rule.js'
import { Access, entriesOf, type Sender } from '../../../src/control/access.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { ACCESS_RULES_BYTES, AccessRules, ANY, ICMP_OF_VERSION } from '../../../src/memory/access-rules.js'
import { type Signed, SignedNetwork } from '../../support/signed-network.js'

const NETWORK = new SignedNetwork(Buffer.alloc(32, 1))
const CAROL = Buffer.alloc(32, 9)

const recordOfCarol = (more: Partial<Signed>) => NETWORK.record({ name: 'carol', publicKey: CAROL, ...more })

const rule = (more: Partial<AccessRule> = {}): AccessRule => ({
  from: undefined,
  to: undefined,
  protocol: undefined,
  ports: undefined,
  ...more,
})
const senders: Sender[] = [
  { row: 3, settings: { name: 'alice' } },
  { row: 4, settings: { name: 'bob', groups: ['admins'] } },
  {
    row: 9,
    settings: {
      name: 'carol',
      public_key: CAROL,
      record: recordOfCarol({ groups: ['admins', 'staff'] }),
    },
  },
]
const peers = [
  { row: 3, name: 'alice', groups: new Set<string>() },
  { row: 4, name: 'bob', groups: new Set(['admins']) },
  { row: 9, name: 'carol', groups: new Set(['admins', 'staff']) },
]
const rowsOf = (...from: string[]) => entriesOf(rule({ from }), peers).map(({ rows }) => [...rows])

t.test('names and groups become rows', async (t) => {
  t.same(rowsOf('alice'), [[3]])
  t.same(rowsOf('group:admins'), [[4, 9]])
  t.same(rowsOf('group:staff', 'alice'), [[3, 9]])
  t.same(rowsOf('admins'), [[]], 'a group is no name')
  t.same(
    entriesOf(rule(), peers).map(({ rows }) => rows),
    [[3, 4, 9]],
    'everybody',
  )
})

t.test('each network and each range of ports is an entry', async (t) => {
  const entries = entriesOf(
    rule({
      to: [
        { address: '10.9.3.7', family: 'ipv4', prefixLength: 24 },
        { address: 'fd00::1', family: 'ipv6', prefixLength: 128 },
      ],
      protocol: 6,
      ports: [
        { first: 22, last: 22 },
        { first: 80, last: 90 },
      ],
    }),
    peers,
  )
  t.same(
    entries.map(({ version, firstPort, lastPort }) => [version, firstPort, lastPort]),
    [
      [4, 22, 22],
      [4, 80, 90],
      [6, 22, 22],
      [6, 80, 90],
    ],
  )
  t.match(
    entries[0],
    { protocol: 6, prefix: [0x0a_09_03_00], mask: [-256] },
    'the rest of the address does not count',
  )
  t.same(entries[3].mask, [-1, -1, -1, -1])
  t.match(entriesOf(rule({ protocol: 'icmp' }), peers), [
    { protocol: ICMP_OF_VERSION, firstPort: ANY, version: 0 },
  ])
})

t.test('a name of nobody is said once, and counts when somebody has it', async (t) => {
  const said: string[] = []
  const log = pino(
    { level: 'warn' },
    new Writable({
      write: (line, _encoding, done) => {
        said.push(JSON.parse(String(line)).msg)
        done()
      },
    }),
  )
  const table = new AccessRules(NativeMemory.allocate(ACCESS_RULES_BYTES), 0)
  const access = new Access(table, log, { unixMs: () => 0 })
  const allow = [rule({ from: ['dave', 'group:guests'] })]
  access.configure(allow, senders)
  const { changes } = table
  access.configure(allow, senders)
  t.equal(table.changes, changes, 'what is the same disturbs nobody')
  t.equal(said.length, 2)
  t.match(said[0], /allow names dave, but no peer is called so now/)
  t.match(said[1], /allow names group:guests, but no peer is in that group now/)
  t.notOk(table.allowsSome(12))
  access.configure(allow, [...senders, { row: 12, settings: { name: 'dave' } }])
  t.ok(table.allowsSome(12))
  access.configure(undefined, senders)
  t.ok(table.isOff)
})

t.test(
  'groups are those of the settings, and of the signed record: the one that was given comes first',
  async (t) => {
    const table = new AccessRules(NativeMemory.allocate(ACCESS_RULES_BYTES), 0)
    const access = new Access(table, pino({ level: 'silent' }), { unixMs: () => 0 })
    access.configure([rule({ from: ['group:staff'] })], senders)
    const rows = () => [3, 4, 9].filter((row) => table.allowsSome(row))
    t.same(rows(), [9])
    access.signed(CAROL.toString('base64'), recordOfCarol({ groups: ['guests'] }))
    t.same(rows(), [])
    access.signed(CAROL.toString('base64'), undefined)
    t.same(rows(), [9])
  },
)

t.test('the groups of a record count until it ends, and no earlier record counts then', async (t) => {
  const table = new AccessRules(NativeMemory.allocate(ACCESS_RULES_BYTES), 0)
  let unixMs = 0
  const access = new Access(table, pino({ level: 'silent' }), { unixMs: () => unixMs })
  const at = (nowS: number) => {
    unixMs = nowS * 1_000
    access.tick()
    return table.allowsSome(9)
  }
  access.configure([rule({ from: ['group:staff'] })], senders)
  access.signed(CAROL.toString('base64'), recordOfCarol({ groups: ['staff'], endsS: 100, serial: 2 }))
  t.ok(at(99))
  t.notOk(at(100))
  t.same([...access.groupsOf(senders[2].settings)], [])
  t.ok(at(50), 'the clock was set back')
  t.notOk(at(150))
  access.signed(CAROL.toString('base64'), recordOfCarol({ groups: ['staff'], endsS: 140, serial: 3 }))
  t.notOk(at(151), 'one that has ended already')
  access.signed(CAROL.toString('base64'), recordOfCarol({ groups: ['staff'], endsS: 300, serial: 4 }))
  t.ok(at(152))
})

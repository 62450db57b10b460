import t from 'tap'
import type { PeerSettings, Settings } from '../../../../src/config/schema.js'
import { type Book, withLine } from '../../../../src/control/members/book.js'
import { writeBook } from '../../../../src/control/members/book-text.js'
import type { MembersContext } from '../../../../src/control/members/context.js'
import { Members } from '../../../../src/control/members/members.js'
import { reportInvitations } from '../../../../src/control/members/report.js'

const key = (letter: string) => Buffer.alloc(32, letter).toString('base64')
const ALICE = {
  name: 'alice',
  publicKey: key('a'),
  presharedKey: key('p'),
  addresses: ['10.9.0.2'],
  groups: ['staff'],
  joinedMs: 0,
  seenMs: undefined,
  untilMs: undefined,
  isWireGuard: false,
}
const LINE = {
  name: 'bob',
  publicKey: key('b'),
  presharedKey: key('q'),
  addresses: ['10.9.0.3'],
  groups: [],
  untilMs: 1_000,
  usedBy: undefined,
  isWithdrawn: false,
}
const BOOK: Book = withLine({ members: [ALICE], lines: [] }, LINE)
const OWN: PeerSettings = {
  name: 'carol',
  public_key: Buffer.alloc(32, 'c'),
  endpoint: undefined,
  addresses: ['10.9.0.4'],
  prefixes: [],
  macs: [],
  everything: false,
  preshared_key_file: undefined,
  persistent_keepalive: undefined,
}
const settings = { peers: [OWN] } as unknown as Settings

function made() {
  const clock = { nowS: 0 }
  const text = writeBook(BOOK)
  const members = new Members({
    platform: {
      clock: { unixMs: () => clock.nowS * 1_000 },
      state: { load: () => text, save: () => undefined },
    },
    privateSide: { ownKey: { identity: { publicKey: Buffer.alloc(32) } } },
    tables: { peers: { rows: 4 } },
    channel: { onMessage: () => {} },
    log: { warn: () => {}, error: t.fail, info: () => {} },
    wanted: () => settings,
    follow: async () => ({ added: [], removed: [], changed: [] }),
    onPeers: () => {},
  } as unknown as MembersContext)
  return { members, clock }
}

t.test('what others are judged by has no preshared keys, and stays the same objects', async (t) => {
  const { members, clock } = made()
  const first = members.knownBeside(settings).peers
  t.same(
    first.map(({ name, invited }) => [name, invited]),
    [
      ['carol', undefined],
      ['alice', 'member'],
      [`bob:${key('b').slice(0, 6)}`, 'line'],
    ],
  )
  t.ok(first.every(({ preshared_key_file }) => preshared_key_file === undefined))
  const isAsBefore = () => members.knownBeside(settings).peers.every((it, at) => it === first[at])
  t.ok(isAsBefore())
  clock.nowS = 1
  t.notOk(isAsBefore(), 'the line is over')
  t.equal(members.knownBeside(settings).peers[2].invited, 'spent')
  const fewer = { ...settings, peers: [] }
  t.same(
    members.knownBeside(fewer).peers.map(({ name }) => name),
    first.slice(1).map(({ name }) => name),
    'other settings',
  )
  await members.remove('alice')
  t.equal(members.knownBeside(settings).peers.length, 2, 'another book')
})

t.test('open invitations are reported and offered, until they end or are withdrawn', async (t) => {
  const { members, clock } = made()
  t.match(reportInvitations(members.open), [
    { name: 'bob', source: 'invitation', addresses: ['10.9.0.3'], until: '1970-01-01T00:00:01.000Z' },
  ])
  await t.rejects(members.remove('nobody'), /there are: alice, bob$/)
  clock.nowS = 1
  t.same(members.open, [], 'it is over')
  await t.rejects(members.remove('nobody'), /there are: alice$/)
  clock.nowS = 0
  await members.remove('bob')
  t.same(members.open, [], 'it is withdrawn')
})

t.test('who takes peers has preshared keys of its own', async (t) => {
  const { members } = made()
  const [alice] = members.peersBeside(settings)
  alice.preshared_key_file?.wipe()
  const [again] = members.peersBeside(settings)
  t.equal(Buffer.from(again.preshared_key_file?.reveal() ?? []).toString('base64'), ALICE.presharedKey)
  t.equal(members.peersBeside(settings)[0].name, 'alice')
})

/** What somebody can do who can write any value to the store, and has none of the keys. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { isSignedBy, networkPublicKey } from '../../../../src/config/network-key.js'
import { Directory } from '../../../../src/control/discovery/directory.js'
import { formatValue } from '../../../../src/control/discovery/member-value.js'
import { SourceSignatures } from '../../../../src/control/discovery/source-signatures.js'
import type { Signatures } from '../../../../src/control/discovery/verdict.js'
import { formatKey } from '../../../../src/key-text.js'
import { derivePublicKey, deriveSigningKey } from '../../../../src/noise/keys.js'
import { isSignedByHost } from '../../../../src/noise/signing-key.js'
import { SignedNetwork } from '../../../support/signed-network.js'

const OURS = new SignedNetwork(randomBytes(32))
const THEIRS = new SignedNetwork(randomBytes(32))

/** A host, and what it writes. */
class Host {
  readonly name: string
  readonly publicKey: Uint8Array
  readonly #key: ReturnType<typeof deriveSigningKey>

  constructor(name: string) {
    this.name = name
    const privateKey = randomBytes(32)
    this.publicKey = Uint8Array.from(derivePublicKey(privateKey))
    this.#key = deriveSigningKey(privateKey)
  }

  record(serial = 1, network = OURS, name = this.name) {
    return network.record({ name, publicKey: this.publicKey, signingKey: this.#key.publicKey, serial })
  }

  value(serial: number, record = this.record(), port = serial, by: Host = this): string {
    const endpoints = [{ address: Uint8Array.of(192, 0, 2, 1), port }]
    const member = { name: this.name, publicKey: this.publicKey, networks: [], endpoints, record }
    return formatValue(member, { serial, sign: (message) => by.#key.sign(message) })
  }

  /** With a record of the old version. */
  old(port: number, serial = 1): string {
    const record = OURS.record({ name: this.name, publicKey: this.publicKey, serial })
    const endpoints = [{ address: Uint8Array.of(192, 0, 2, 1), port }]
    return formatValue({ name: this.name, publicKey: this.publicKey, networks: [], endpoints, record })
  }
}

const key = networkPublicKey(OURS.text)
const signatures: Signatures = {
  isRecordSigned: (record) => isSignedBy(record, key),
  isStatementSigned: (its, { message, signature }) => isSignedByHost(its, message, signature),
}

function directory(by: () => Signatures | undefined = () => signatures) {
  const news: string[] = []
  const it = new Directory({
    graceMs: 1_000,
    ownName: 'me',
    signatures: by,
    told: (name, member) => void news.push(`${name} ${member?.endpoints[0].port ?? 'gone'}`),
    refused: (why) => void news.push(why),
    alive: () => new Set(),
  })
  return { it, take: () => news.splice(0) }
}

const [a, b] = [new Host('a'), new Host('b')]

t.test('altered, replayed or foreign: refused, counted, and the member stays as it was', async (t) => {
  const { it, take } = directory()
  it.put('a', a.value(10), 0)
  it.put('a', a.value(11), 0)
  it.put('b', b.value(5), 0)
  t.same(take(), ['a 10', 'a 11', 'b 5'])
  const altered = JSON.stringify({
    ...JSON.parse(a.value(12)),
    endpoints: [{ address: '203.0.113.9', port: 1 }],
  })
  for (const [what, value, reason, why] of [
    ['altered', altered, 'forged', /says where its host is, with a signature that is not of the host/],
    ['of another host', a.value(12, a.record(), 12, b), 'forged', /not of the host/],
    ['replayed', a.value(10), 'old', /its serial number is 10, and one with 11 was seen/],
    ['a foreign value', b.value(99), 'foreign', /has the signed record of "b"/],
    [
      'without a signature',
      a.value(12).replace('signature', 'x'),
      'unsigned',
      /the host has not signed that/,
    ],
    ['a record of the old version', a.old(1, 0), 'old', /has an old record: its serial number is 0/],
    ['a forged record', a.value(12, a.record(9, THEIRS)), 'forged', /the network key has not signed/],
    [
      'no record',
      JSON.stringify({ version: 1, public_key: formatKey(a.publicKey), endpoints: [] }),
      'unsigned',
      /without a signed record/,
    ],
    ['nothing', '{}', 'malformed', /not one of a member/],
  ] as const) {
    const before = it.refused[reason]
    it.put('a', value, 100)
    const [said, ...more] = take()
    t.match(said, why, what)
    t.same(more, [], 'nothing else happens')
    t.equal(it.refused[reason], before + 1)
  }
  t.same(it.present, 1, 'nothing in the store stands for a')
  it.put('a', a.value(12), 200)
  t.same(take(), ['a 12'])
  t.equal(it.present, 2)
})

t.test('what was seen is remembered when the member has gone, and by the next run', async (t) => {
  const first = directory()
  first.it.put('a', a.value(11), 0)
  first.it.gone('a', 0)
  first.it.expire(1_000)
  t.same(first.take(), ['a 11', 'a gone'])
  first.it.put('a', a.value(10), 2_000)
  t.match(first.take(), [/one with 11 was seen/])
  const second = directory()
  second.it.latest.restore(first.it.latest.content)
  second.it.put('a', a.value(10), 0)
  t.match(second.take(), [/one with 11 was seen/])
  second.it.put('a', a.value(11), 0)
  t.same(second.take(), ['a 11'])
})

t.test('a new record begins the serial numbers anew', async (t) => {
  const { it, take } = directory()
  it.put('a', a.value(11), 0)
  it.put('a', a.value(3, a.record(2)), 0)
  it.put('a', a.value(12), 0)
  t.match(take(), ['a 11', 'a 3', /has an old record: its serial number is 1, and one with 2 was seen/])
  const renamed = OURS.record({ name: 'a2', publicKey: a.publicKey, serial: 1 })
  it.put(
    'a2',
    formatValue({ name: '', publicKey: a.publicKey, networks: [], endpoints: [], record: renamed }),
    0,
  )
  t.match(take(), [/the key of "a2" .* has an old record/], 'also under another name')
})

t.test('with a record of the old version, endpoints are hints as before', async (t) => {
  const { it, take } = directory()
  it.put('a', a.old(1), 0)
  it.put('a', a.old(2), 0)
  it.put('a', a.value(1, a.record(2), 3), 0)
  it.put('a', a.old(4), 0)
  t.match(take(), ['a 1', 'a 2', 'a 3', /an old record/])
})

t.test('without a network key the store is believed', async (t) => {
  const { it, take } = directory(() => undefined)
  it.put('a', a.value(10), 0)
  it.put('a', a.value(9), 0)
  it.put('a', a.value(12, a.record(9, THEIRS), 1, b), 0)
  t.same(take(), ['a 10', 'a 9', 'a 1'])
})

t.test('another network key judges all anew', async (t) => {
  let nowMs = 0
  const mine = new SourceSignatures(() => nowMs)
  mine.follow(OURS.text)
  const { it, take } = directory(() => (mine.any ? mine : undefined))
  it.put('a', a.value(10), 0)
  it.put('b', b.value(10, b.record(1, THEIRS)), 0)
  t.match(take(), ['a 10', /"b" .* has not signed/])
  t.notOk(mine.follow(OURS.text))
  t.ok(mine.follow(THEIRS.text))
  it.judgeAnew(0)
  t.match(take(), [/"a" .* has not signed/, 'a gone', 'b 10'])
  mine.follow(undefined)
  it.judgeAnew(0)
  t.same(take(), ['a 10', 'b 10'])
  nowMs++
})

t.test('only so many are looked at in a second; the others have their turn later', async (t) => {
  let nowMs = 0
  const mine = new SourceSignatures(() => nowMs)
  mine.follow(OURS.text)
  const { it, take } = directory(() => mine)
  it.put('a', a.value(1), 0)
  take()
  for (let serial = 2; serial < 500; serial++) it.put('a', a.value(serial, a.record(), 1, b), nowMs)
  const looked = take().length
  t.ok(looked > 100 && looked < 400, `${looked} were looked at`)
  it.put('a', a.value(3_000), nowMs)
  t.same(take(), [], 'there is no time')
  it.judgePending(nowMs)
  t.same(take(), [])
  nowMs = 1_000
  it.judgePending(nowMs)
  t.same(take(), ['a 3000'])
})

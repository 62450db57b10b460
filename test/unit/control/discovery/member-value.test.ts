import { randomBytes } from 'node:crypto'
import t from 'tap'
import { formatRecord } from '../../../../src/config/record-text.js'
import {
  formatValue,
  MAX_VALUE_CHARACTERS,
  parseValue,
} from '../../../../src/control/discovery/member-value.js'
import { deriveSigningKey } from '../../../../src/noise/keys.js'
import { isSignedByHost } from '../../../../src/noise/signing-key.js'
import { ENDPOINT_KIND } from '../../../../src/wire/introduction.js'
import { SignedNetwork } from '../../../support/signed-network.js'

const publicKey = Uint8Array.from(randomBytes(32))
const ENDPOINTS = [
  { address: Uint8Array.of(192, 0, 2, 1), port: 5149, kinds: ENDPOINT_KIND.own },
  { address: Uint8Array.from([0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1]), port: 7, kinds: 0 },
]
const network = new SignedNetwork(randomBytes(32))
const record = network.record({ name: 'db-1', publicKey, addresses: ['10.9.0.3'] })

t.test('a member without a record comes back as it was', async (t) => {
  const member = {
    name: 'db-1',
    publicKey,
    networks: [
      { address: Uint8Array.of(10, 9, 0, 3), prefixLength: 32 },
      { address: Uint8Array.of(10, 9, 4, 0), prefixLength: 24 },
    ],
    endpoints: ENDPOINTS,
    macs: [Uint8Array.of(2, 0, 0, 0, 0, 3)],
  }
  t.same(parseValue(formatValue(member), 'db-1'), { member, statement: undefined })
})

t.test('with a record, everything but the endpoints is in the record', async (t) => {
  const member = {
    name: 'db-1',
    publicKey,
    networks: record.networks,
    endpoints: ENDPOINTS,
    macs: [],
    record,
  }
  const value = formatValue({ ...member, macs: [Uint8Array.of(2, 0, 0, 0, 0, 3)] })
  t.notMatch(value, /public_key|networks|macs/)
  t.same(parseValue(value, 'db-1'), { member, statement: undefined })
  const more = { ...JSON.parse(value), public_key: 'x', networks: ['0.0.0.0/0'], later: true }
  t.match(parseValue(JSON.stringify(more), 'db-1'), { member }, 'what is beside it is not read')
})

t.test('what is no member is refused, with a reason', async (t) => {
  const good = JSON.parse(formatValue({ name: 'a', publicKey, networks: [], endpoints: [] }))
  const said = (change: object, name = 'a') => parseValue(JSON.stringify({ ...good, ...change }), name)
  const malformed = (it: object, why: string) => t.match(it, { reason: 'malformed', why: String }, why)
  const line = JSON.parse(
    formatValue({ name: 'db-1', publicKey, networks: [], endpoints: [], record }),
  ).record
  t.match(said({}), { member: { name: 'a' } })
  t.same(said({ record: line }), { reason: 'foreign', why: 'has the signed record of "db-1"' })
  for (const [why, change] of [
    ['version', { version: 2 }],
    ['key', { public_key: 'short' }],
    ['network', { networks: ['10.9.0.3/33'] }],
    ['endpoint', { endpoints: [{ address: 'host-b', port: 1 }] }],
    ['zone', { endpoints: [{ address: 'fe80::1%eth0', port: 1 }] }],
    ['port', { endpoints: [{ address: '192.0.2.1', port: 0 }] }],
    ['group MAC', { macs: ['01:00:00:00:00:00'] }],
    ['serial', { serial: -1 }],
    ['serial', { serial: 1.5 }],
    ['signature', { signature: '?' }],
    ['many', { endpoints: new Array(9).fill({ address: '192.0.2.1', port: 1 }) }],
  ] as const)
    malformed(said(change), why)
  for (const text of ['', 'null', '[]', '{', '7', 'x'.repeat(MAX_VALUE_CHARACTERS + 1)])
    malformed(parseValue(text, 'a'), text.slice(0, 9))
})

t.test('what a host signs is its record, its serial number, and each endpoint', async (t) => {
  const key = deriveSigningKey(randomBytes(32))
  const own = network.record({ name: 'db-1', publicKey, signingKey: key.publicKey })
  const member = { name: 'db-1', publicKey, networks: own.networks, endpoints: ENDPOINTS, record: own }
  const value = JSON.parse(formatValue(member, { serial: 7, sign: (message) => key.sign(message) }))
  const isSigned = (change: object) => {
    const read = parseValue(JSON.stringify({ ...value, ...change }), 'db-1')
    if ('reason' in read || read.statement === undefined) return false
    const { message, signature } = read.statement
    return isSignedByHost(key.publicKey, message, signature)
  }
  t.ok(isSigned({}))
  t.ok(isSigned({ later: 'something that a later version adds' }))
  const [first, second] = value.endpoints
  const other = formatRecord(
    network.record({ name: 'db-1', publicKey, signingKey: key.publicKey, serial: 2 }),
  )
  for (const [what, change] of [
    ['serial', { serial: 8 }],
    ['no serial', { serial: undefined }],
    ['no signature', { signature: undefined }],
    ['another record', { record: other }],
    ['order', { endpoints: [second, first] }],
    ['one less', { endpoints: [first] }],
    ['address', { endpoints: [{ ...first, address: '192.0.2.2' }, second] }],
    ['port', { endpoints: [{ ...first, port: 5150 }, second] }],
    ['kinds', { endpoints: [{ ...first, kinds: [] }, second] }],
    ['a kind that is not known here', { endpoints: [{ ...first, kinds: ['own', 'x'] }, second] }],
  ] as const)
    t.notOk(isSigned(change), what)
})

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { commandsToSign } from '../../../../src/cli/members.js'
import { formatRequest } from '../../../../src/config/host-request.js'
import { makeNetworkKey, readNetworkKey, signRecord } from '../../../../src/config/network-key.js'
import { formatRecord } from '../../../../src/config/record-text.js'
import type { PeerSettings } from '../../../../src/config/schema.js'
import { addRecord } from '../../../../src/control/mesh/add-record.js'
import { GivenRecords } from '../../../../src/control/mesh/given-records.js'

const folder = mkdtempSync(join(tmpdir(), 'udptun-record-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const network_key = makeNetworkKey(join(folder, 'a.key'))
makeNetworkKey(join(folder, 'b.key'))

const settings: PeerSettings = {
  name: 'alice',
  public_key: Buffer.alloc(32, 2),
  endpoint: undefined,
  addresses: ['10.9.0.2'],
  prefixes: [],
  macs: [],
  everything: false,
  preshared_key_file: undefined,
  persistent_keepalive: undefined,
}
const roster = { all: [{ name: 'alice', settings }] }
const wanted = () => ({ introduce: true, network_key })

function line({ name = 'alice', key = 2, serial = 5, by = 'a' } = {}): string {
  const content = {
    name,
    publicKey: Buffer.alloc(32, key),
    networks: [],
    groups: [],
    allow: [],
    serial,
    endsS: 4_000_000_000,
  }
  return formatRecord(signRecord(content, readNetworkKey(join(folder, `${by}.key`))))
}

function book(): GivenRecords {
  const given = new GivenRecords({ rows: 4, nowMs: () => 0, onRecord: () => {} })
  given.follow(network_key)
  return given
}

t.test('a good record is taken, again, and a later one instead', async (t) => {
  const given = book()
  t.same(addRecord(line(), given, { wanted, roster }), { name: 'alice', serial: 5 })
  addRecord(line(), given, { wanted, roster })
  addRecord(line({ serial: 6 }), given, { wanted, roster })
  t.equal(given.recordOf(settings)?.serial, 6)
})

t.test('a record that does not fit is refused with one sentence, and nothing changes', async (t) => {
  const given = book()
  addRecord(line(), given, { wanted, roster })
  const refused = (record: string, context = { wanted, roster }) => {
    try {
      addRecord(record, given, context)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  t.match(refused(line({ by: 'b', serial: 9 })), /alice that the network key has not signed/)
  t.match(
    refused(line({ by: 'b', serial: 4 })),
    /alice that the network key has not signed/,
    'the serial number of a forged one is not said',
  )
  t.match(refused(line({ serial: 4 })), /serial number 4 is not greater than 5/)
  t.match(refused(line({ key: 3 })), /no member of this host has the key/)
  t.match(refused(line({ name: 'bob', serial: 9 })), /sign one with --name alice/)
  t.match(refused('udptun-record:AAAA'), /damaged/)
  const told = { all: [{ name: 'alice', settings: { ...settings, introduced_by: 'hub' } }] }
  t.match(refused(line({ serial: 9 }), { wanted, roster: told }), /no member of this host/)
  const introduces = (introduce: boolean, key: string | undefined) => ({
    roster,
    wanted: () => ({ introduce, network_key: key }) as ReturnType<typeof wanted>,
  })
  t.match(refused(line(), introduces(false, network_key)), /no introducer/)
  t.match(refused(line(), introduces(true, undefined)), /no network_key/)
  t.equal(given.recordOf(settings)?.serial, 5)
})

const keyOf = (fill: number) => Buffer.alloc(32, fill).toString('base64')

t.test('who waits for a signature, as commands', async (t) => {
  const member = {
    groups: ['staff'],
    signing_key: null,
    source: 'member',
    joined: null,
    seen: null,
    until: null,
    way: 'away',
  } as const
  const all = [
    { ...member, name: 'alice', public_key: 'AgI=', addresses: ['10.9.0.2', '10.8.0.0/24'], signed: false },
    { ...member, name: 'bob', public_key: 'AwM=', addresses: [], signed: true },
    { ...member, name: 'carol', public_key: 'BAQ=', addresses: [], signed: null },
    { ...member, name: 'dave', public_key: keyOf(1), signing_key: keyOf(2), addresses: [], signed: false },
  ]
  t.same(commandsToSign(all), [
    'udptun-fast network sign network.key --name alice --public-key AgI= --address 10.9.0.2 --prefix 10.8.0.0/24 --group staff',
    `udptun-fast network sign network.key --name dave --request ${formatRequest({ publicKey: Buffer.alloc(32, 1), signingKey: Buffer.alloc(32, 2) })} --group staff`,
  ])
})

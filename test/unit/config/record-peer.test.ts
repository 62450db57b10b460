import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadSettings } from '../../../src/config/load.js'
import { formatRecord } from '../../../src/config/record-text.js'
import { Secret } from '../../../src/config/secret.js'
import { formatKey } from '../../../src/key-text.js'
import { clampPrivateKey, derivePublicKey, deriveSigningKey } from '../../../src/noise/keys.js'
import { type Signed, SignedNetwork } from '../../support/signed-network.js'

const NETWORK = new SignedNetwork(Buffer.alloc(32, 1))
const OTHER = new SignedNetwork(Buffer.alloc(32, 2))
const PRIVATE = clampPrivateKey(Buffer.alloc(32, 9))
const OWN = derivePublicKey(PRIVATE)
const KEY = derivePublicKey(clampPrivateKey(Buffer.alloc(32, 8)))

const B: Signed = {
  name: 'b',
  publicKey: KEY,
  addresses: ['10.9.0.2'],
  prefixes: ['10.8.0.0/16'],
  groups: ['staff'],
}

function load(values: Record<string, unknown>) {
  const private_key_file = new Secret(Buffer.from(PRIVATE))
  const all = { mode: 'tun', local: ['10.9.0.1/24'], private_key_file, ...values }
  const file = { path: 'x.yaml', values: all, examples: { local: '', remote: '' }, lineOf: () => undefined }
  return loadSettings({}, file)
}

t.test('what the settings do not say of a peer, its record says', async (t) => {
  const line = NETWORK.line(B)
  const file = join(t.testdir(), 'b.record')
  writeFileSync(file, `${line}\n`)
  for (const record of [line, file]) {
    const [peer] = load({ peers: [{ record }] }).peers
    t.match(peer, {
      name: 'b',
      addresses: ['10.9.0.2'],
      prefixes: [{ address: '10.8.0.0', prefixLength: 16 }],
      everything: false,
    })
    t.same(peer.public_key, KEY)
    t.same(peer.record?.groups, ['staff'])
  }
  const [peer] = load({
    network_key: NETWORK.text,
    peers: [{ record: line, name: 'x', addresses: ['10.9.0.7'] }],
  }).peers
  t.match(peer, { name: 'x', addresses: ['10.9.0.7'], prefixes: [] })
})

t.test('who may send to this host is in its own record, unless its file says it', async (t) => {
  const allow = ['from=group:staff protocol=tcp ports=22', 'protocol=icmp']
  const record = NETWORK.line({ name: 'me', publicKey: OWN, allow })
  const peers = [{ name: 'b', endpoint: 'b', public_key: formatKey(KEY), addresses: ['10.9.0.2'] }]
  t.match(
    load({ peers, record }).allow?.map(({ from, protocol }) => [from, protocol]),
    [
      [undefined, 'icmp'],
      [['group:staff'], 6],
    ],
  )
  t.match(load({ peers, record, allow: [{ from: 'b' }] }).allow, [{ from: ['b'], protocol: undefined }])
  t.equal(load({ peers, record: NETWORK.line({ name: 'me', publicKey: OWN }) }).allow, undefined)
  t.throws(() => load({ peers, record, mode: 'tap' }), /has to, protocol or ports, which are for mode tun/)
  const wrong = NETWORK.line({ name: 'me', publicKey: OWN, allow: ['protocol=tpc'] })
  t.throws(() => load({ peers, record: wrong }), /"tpc" is not a protocol/)
})

t.test('what cannot be', async (t) => {
  const peers = [{ name: 'hub', public_key: formatKey(KEY), addresses: ['10.9.0.2'], introducer: true }]
  const own = NETWORK.line({ name: 'me', publicKey: OWN })
  t.match(load({ peers, record: own, network_key: NETWORK.text }), {
    network_key: NETWORK.text,
    record: { name: 'me' },
  })
  const signingKey = deriveSigningKey(PRIVATE).publicKey
  t.ok(load({ peers, record: NETWORK.line({ name: 'me', publicKey: OWN, signingKey }) }).record?.signingKey)
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ peers, record: NETWORK.line(B) }, /record: is that of "b", whose public key is not that of this host/],
    [
      { peers, record: NETWORK.line({ name: 'me', publicKey: OWN, signingKey: KEY }) },
      /record: has another signing key than this host; sign one by what udptun-fast network request prints/,
    ],
    [{ peers, record: own, network_key: OTHER.text }, /record: is not signed by the network_key/],
    [{ peers, network_key: 'x' }, /network_key: "x" is not the public part/],
    [{ peers, record: 'udptun-record:x' }, /record: this signed record is damaged/],
    [{ peers, record: '/nowhere/x' }, /record: "\/nowhere\/x" is neither/],
    [
      { peers: [{ ...peers[0], public_key: formatKey(OWN).replace('A', 'B'), record: NETWORK.line(B) }] },
      /record: is that of "b", whose public key is not that of this peer/,
    ],
    [
      { peers: [{ record: OTHER.line(B) }], network_key: NETWORK.text },
      /record: is not signed by the network_key/,
    ],
    [
      { private_key_file: undefined, network_key: NETWORK.text, remote: '192.0.2.1' },
      /network_key: is for private tunnels/,
    ],
    [{ peers: [{ record: NETWORK.line({ ...B, addresses: ['224.0.0.1'] }) }] }, /multicast/],
  ]
  for (const [values, why] of cases) t.throws(() => load(values), why, `${why}`)
  t.throws(() => load({ peers: [{ record: formatRecord(NETWORK.record(B)).slice(0, -4) }] }), /damaged/)
})

import fc from 'fast-check'
import t from 'tap'
import { parseLocalAddress, parsePrefix } from '../../../../src/config/addresses.js'
import { MAX_OVERLAY, MAX_PEERS, type PeerSettings } from '../../../../src/config/schema.js'
import type { Told } from '../../../../src/control/discovery/told.js'
import { believe, type Known } from '../../../../src/control/mesh/belief.js'
import { toldOf } from '../../../../src/control/mesh/member.js'
import { formatKey } from '../../../../src/key-text.js'
import { SignedNetwork } from '../../../support/signed-network.js'

const keyOf = (number: number) => Buffer.alloc(32, number)

function peer(name: string, key: number, networks: readonly string[] = []): PeerSettings {
  const hosts = networks.filter((it) => !it.includes('/'))
  return {
    name,
    public_key: keyOf(key),
    endpoint: undefined,
    addresses: hosts,
    prefixes: networks.filter((it) => it.includes('/')).map(parsePrefix),
    macs: [],
    everything: false,
    preshared_key_file: undefined,
    persistent_keepalive: undefined,
  }
}

function told(by: string, name: string, key: number, networks: readonly string[] = []): Told {
  const member = toldOf({ settings: peer(name, key, networks), endpoint: undefined, record: undefined })
  if (member === undefined) throw new Error('too long')
  return { by, member }
}

const HUB = peer('hub', 1, ['10.9.0.1', '10.8.0.0/16'])
const B = peer('b', 2, ['10.9.0.2'])

function known(more: Partial<Known> = {}): Known {
  return {
    settings: { peers: [HUB, B], local: [parseLocalAddress('10.9.0.9/24')], mode: 'tun' },
    ownKey: formatKey(keyOf(9)),
    pins: new Map(),
    signing: undefined,
    isPossible: () => true,
    ...more,
  }
}

t.test('a member in the overlay network, or in a prefix of its introducer, is believed', async (t) => {
  const { members, refusals } = believe(
    [told('hub', 'c', 3, ['10.9.0.3']), told('hub', 'd', 4, ['10.8.4.0/24', '10.9.0.4'])],
    known(),
  )
  t.same(refusals, [])
  t.match(members, [
    { name: 'c', addresses: ['10.9.0.3'], introduced_by: 'hub', endpoint: undefined },
    { name: 'd', addresses: ['10.9.0.4'], prefixes: [{ address: '10.8.4.0', prefixLength: 24 }] },
  ])
})

t.test('this host, and peers of the settings, are left alone', async (t) => {
  const all = [told('hub', 'me', 9, ['10.9.0.9']), told('hub', 'other', 2, ['10.9.0.77'])]
  t.same(believe(all, known()), { members: [], refusals: [] })
})

t.test('what is refused, and why', async (t) => {
  const cases: readonly [Told, RegExp, boolean][] = [
    [told('hub', 'b', 5, ['10.9.0.5']), /b is known to have .*: somebody may want to be taken for b/, true],
    [told('hub', 'x', 5, ['10.9.0.2']), /10\.9\.0\.2\/32, but b has 10\.9\.0\.2\/32/, true],
    [told('hub', 'x', 5, ['10.9.0.1']), /10\.9\.0\.1\/32, but hub has/, true],
    [told('hub', 'x', 5, ['10.8.0.0/16']), /but hub has 10\.8\.0\.0\/16/, true],
    [told('hub', 'x', 5, ['10.9.0.9']), /but this host has 10\.9\.0\.9\/32/, true],
    [told('hub', 'x', 5, ['0.0.0.0/0']), /0\.0\.0\.0\/0, but this host has/, true],
    [told('hub', 'x', 5, ['10.9.0.0/30']), /but hub has 10\.9\.0\.1\/32/, true],
    [
      told('hub', 'x', 5, ['192.0.2.0/24']),
      /neither in an overlay network of this host nor in a prefix of hub/,
      true,
    ],
    [told('hub', 'x', 5, ['::/0']), /neither in an overlay network/, true],
  ]
  for (const [one, why, isLoud] of cases) {
    const { members, refusals } = believe([one], known())
    t.same(members, [])
    t.equal(refusals.length, 1)
    t.match(refusals[0], { by: 'hub', why, isLoud })
  }
  const impossible = believe([told('hub', 'x', 5)], known({ isPossible: () => false }))
  t.match(impossible.refusals[0].why, /a key that no host can have/)
  const pinned = believe(
    [told('hub', 'x', 5)],
    known({ pins: new Map([['x', { key: formatKey(keyOf(6)), serial: undefined }]]) }),
  )
  t.match(pinned.refusals[0], { isLoud: true, why: /x is known to have/ })
  const tap = known({ settings: { peers: [HUB], local: [], mode: 'tap' } })
  t.match(believe([told('hub', 'x', 5, ['10.7.0.0/24'])], tap).refusals[0].why, /in mode tap/)
  t.equal(believe([told('hub', 'x', 5, ['192.0.2.7'])], tap).members.length, 1, 'only for ARP')
})

t.test('of two introducers the first one is believed, for each name, key and address', async (t) => {
  const settings = { ...known().settings, peers: [HUB, peer('two', 7, ['10.9.0.7'])] }
  const { members, refusals } = believe(
    [
      told('hub', 'c', 3, ['10.9.0.3']),
      told('two', 'c', 3, ['10.9.0.3']),
      told('two', 'c', 4, ['10.9.0.4']),
      told('two', 'renamed', 3, ['10.9.0.3']),
      told('two', 'e', 5, ['10.9.0.3']),
    ],
    known({ settings }),
  )
  t.match(members, [{ name: 'c', introduced_by: 'hub' }])
  t.equal(members.length, 1)
  t.match(
    refusals.map(({ why }) => why),
    [/c is known to have/, /in another way than hub does/, /but c has 10\.9\.0\.3\/32/],
  )
})

t.test('whatever is told, no two peers have a name, a key or an address in common', async () => {
  const one = fc.record({
    by: fc.constantFrom('hub', 'b'),
    name: fc.constantFrom('b', 'c', 'd', 'hub'),
    key: fc.integer({ min: 1, max: 9 }),
    networks: fc.uniqueArray(
      fc.constantFrom(
        '10.9.0.2',
        '10.9.0.3',
        '10.9.0.4',
        '10.8.1.0/24',
        '10.8.1.128/25',
        '10.9.0.0/16',
        'fd00::1',
      ),
      { maxLength: 3 },
    ),
  })
  fc.assert(
    fc.property(fc.array(one, { maxLength: 8 }), (all) => {
      const { members } = believe(
        all.map(({ by, name, key, networks }) => told(by, name, key, networks)),
        known(),
      )
      const everybody = [HUB, B, ...members]
      const twice = (values: readonly string[]) => values.length !== new Set(values).size
      t.notOk(twice(everybody.map(({ name }) => name)))
      t.notOk(twice(everybody.map(({ public_key }) => formatKey(public_key ?? keyOf(0)))))
      t.notOk(
        twice(
          everybody.flatMap(({ addresses, prefixes }) => [...addresses, ...prefixes.map((it) => it.address)]),
        ),
      )
    }),
    { numRuns: 1_000 },
  )
})

t.test('thousands of members are looked at in a moment, and no more than there is room for', async (t) => {
  const members = (count: number, networks: (at: number) => string[]) =>
    Array.from({ length: count }, (_, at) => told('hub', `m${at}`, 10, networks(at))).map((it, at) => ({
      ...it,
      member: { ...it.member, publicKey: Buffer.alloc(32, `key ${at} `) },
    }))
  const room = MAX_PEERS - 2
  const all = members(MAX_PEERS, (at) => [`10.8.${at >> 4}.${(at & 15) * 16}/28`])
  const startedMs = performance.now()
  const belief = believe(all, known())
  t.comment(`${Math.round(performance.now() - startedMs)} ms for ${all.length}`)
  t.equal(belief.members.length, room)
  t.same(
    belief.refusals.map(({ why }) => why),
    Array.from(
      { length: 2 },
      () =>
        'hub introduces more members than there is room for: 4096 peers and 16384 of their addresses and prefixes are the most',
    ),
  )
  const againMs = performance.now()
  const again = believe(all, known()).members
  t.comment(`${Math.round(performance.now() - againMs)} ms when nothing has changed`)
  t.ok(
    again.every((it, at) => it === belief.members[at]),
    'they are the same objects then',
  )
  const wide = members(1_200, (at) =>
    Array.from({ length: 14 }, (_, part) => `10.8.${at >> 4}.${(at & 15) * 16 + part}`),
  )
  const networks = believe(wide, known()).members.flatMap(({ addresses }) => addresses)
  t.equal(networks.length + 3, MAX_OVERLAY - ((MAX_OVERLAY - 3) % 14))
})

t.test('without a network key, a record says no more than its introducer', async (t) => {
  const network = new SignedNetwork(Buffer.alloc(32, 1))
  const record = network.record({
    name: 'c',
    publicKey: keyOf(3),
    addresses: ['10.9.0.3'],
    groups: ['staff'],
  })
  const { publicKey, name, networks } = record
  const { members, judged } = believe(
    [{ by: 'hub', member: { publicKey, name, networks, endpoints: [], record } }],
    known(),
  )
  t.match(members, [{ name: 'c', addresses: ['10.9.0.3'], introduced_by: 'hub' }])
  t.equal(members[0].record, undefined, 'nobody has looked at its signature, so its groups are not known')
  t.equal(judged, undefined)
})

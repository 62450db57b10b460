import t from 'tap'
import { ClaimBook } from '../../../../src/control/mesh/claim-book.js'
import { claimsOf } from '../../../../src/control/mesh/claims.js'
import { toldOf } from '../../../../src/control/mesh/member.js'
import type { HostAddress } from '../../../../src/control/network.js'
import { LeftPlace } from '../../../../src/control/peer/left-place.js'
import { ENDPOINT_KIND, type ToldEndpoint } from '../../../../src/wire/introduction.js'

const at = (address: string, more: Partial<HostAddress> = {}): HostAddress => ({
  address,
  ready: true,
  global: true,
  deprecated: false,
  secondary: false,
  ...more,
})

const textOf = ({ address, port }: ToldEndpoint) => `${[...address].join('.')} ${port}`

const claim = (addresses: readonly HostAddress[], more: Partial<Parameters<typeof claimsOf>[0]> = {}) =>
  claimsOf({
    addresses,
    listen: { address: '::', port: 7000 },
    sources: [],
    mapping: undefined,
    mac: undefined,
    ...more,
  }).endpoints.map(textOf)

t.test('a host tells of its own addresses, the best first, and at most four', async (t) => {
  const all = [
    at('172.17.0.1'),
    at('10.0.0.2'),
    at('fd00::1'),
    at('2001:db8::1'),
    at('2001:db8::2', { secondary: true }),
    at('2001:db8::3', { deprecated: true }),
  ]
  t.same(claim(all, { sources: ['10.0.0.2'] }).slice(0, 2), [
    '10.0.0.2 7000',
    '32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1 7000',
  ])
  t.equal(claim(all).length, 4)
})

t.test('what nobody else could use is not told', async (t) => {
  const bad = [
    at('127.0.0.1'),
    at('169.254.3.4'),
    at('fe80::1%2'),
    at('10.0.0.9', { ready: false }),
    at('10.0.0.8', { global: false }),
  ]
  t.same(claim(bad), [])
  const both = [at('10.0.0.2'), at('2001:db8::1')]
  t.same(claim(both, { listen: { address: '0.0.0.0', port: 7000 } }), ['10.0.0.2 7000'])
  t.same(claim(both, { listen: { address: '10.0.0.2', port: 1 } }), ['10.0.0.2 1'])
  t.same(claim(both, { listen: { address: '192.0.0.8', port: 1 } }), [], 'it listens nowhere now')
})

t.test('a mapping is told first, and the MAC of the device', async (t) => {
  const { endpoints, macs } = claimsOf({
    addresses: [at('10.0.0.2')],
    listen: { address: '::', port: 7000 },
    sources: [],
    mapping: { address: '203.0.113.1', port: 9 },
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
  })
  t.same(endpoints.map(textOf), ['203.0.113.1 9', '10.0.0.2 7000'])
  t.same(
    endpoints.map(({ kinds }) => kinds),
    [ENDPOINT_KIND.mapped, ENDPOINT_KIND.own],
  )
  t.equal(macs.length, 1)
})

const settingsOf = (name: string, macs: readonly (readonly number[])[] = []) => ({
  name,
  public_key: Buffer.from(name.padEnd(32)),
  endpoint: undefined,
  addresses: [],
  prefixes: [],
  macs: macs as never,
  everything: false,
  preshared_key_file: undefined,
  persistent_keepalive: undefined,
})

t.test('nobody can say that it has the MAC of another one', async (t) => {
  const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last)
  const book = new ClaimBook()
  const a = { row: 0, settings: settingsOf('a') }
  const b = { row: 1, settings: settingsOf('b', [[...mac(7)]]) }
  const c = { row: 2, settings: settingsOf('c') }
  const all = [a, b, c]
  const says = (who: typeof a, ...macs: Uint8Array[]) => book.take(who, { endpoints: [], macs }, all, mac(9))
  t.same(says(a, mac(1)), [])
  const known = book.of(a)
  t.same(says(a, mac(1)), [])
  t.equal(book.of(a), known, 'the same object while it says the same')
  t.match(says(c, mac(1)), [/c says that it has the MAC 02:00:00:00:00:01, but a has it/])
  t.match(says(c, mac(7)), [/but b has it/])
  t.match(says(c, mac(9)), [/that of this host's device/])
  t.match(says(c, Uint8Array.of(1, 0, 0, 0, 0, 1)), [/which no device can have/])
  t.match(says(c, new Uint8Array(6)), [/which no device can have/])
  t.same(book.of(c)?.macs, [])
  t.same(says(c, mac(3)), [])
  t.equal(book.of({ row: 2, settings: settingsOf('d') }), undefined, 'the row has another peer now')
  t.same(toldOf({ settings: b.settings, endpoint: undefined })?.macs, [mac(7)])
})

t.test(
  'an endpoint of several kinds is told once, and a member that has too much, without what it says',
  async (t) => {
    const own = { address: Uint8Array.of(203, 0, 113, 2), port: 5149, kinds: ENDPOINT_KIND.own }
    const known = {
      settings: settingsOf('a'),
      endpoint: { address: '203.0.113.2', port: 5149 },
      claims: { endpoints: [own], macs: [] },
    }
    t.same(toldOf(known)?.endpoints, [{ ...own, kinds: ENDPOINT_KIND.own | ENDPOINT_KIND.seen }])
    const many = Array.from({ length: 67 }, (_, index) => `10.9.1.${index}`)
    const told = toldOf({ ...known, settings: { ...known.settings, addresses: many }, endpoint: undefined })
    t.equal(told?.networks.length, 67)
    t.same(told?.endpoints, [])
  },
)

t.test('what was sent by the former way moves nobody back, for a moment', async (t) => {
  const place = new LeftPlace()
  const [former, another] = [Uint8Array.of(1), Uint8Array.of(2)]
  t.notOk(place.holds(former, 0))
  place.leave(former, 1_000)
  t.ok(place.holds(former, 3_900))
  t.notOk(place.holds(another, 1_100))
  t.notOk(place.holds(former, 4_000))
})

import ipaddr from 'ipaddr.js'
import t from 'tap'
import { formatPrefix, parseLocalAddress, parsePrefix } from '../../../src/config/addresses.js'
import { missingRoutes, prefixesOf, sentenceOf } from '../../../src/control/missing-routes.js'
import type { Refusal } from '../../../src/host/host-routes.js'

interface World {
  readonly prefixes: readonly string[]
  readonly local?: readonly string[]
  readonly endpoints?: readonly string[]
  /** Networks that the kernel sends by the device. */
  readonly routes?: readonly string[]
}

/** The missing routes where the kernel has these routes by the device; the question asks about true addresses. */
function missing({ prefixes, local = [], endpoints = [], routes = [] }: World) {
  const networks = routes.map((it) => ipaddr.parseCIDR(it))
  const found = missingRoutes({
    prefixes: prefixes.map(parsePrefix),
    local: local.map(parseLocalAddress),
    endpoints,
    leavesByDevice: (address) => {
      const asked = ipaddr.parse(address)
      return networks.some(([base, length]) => asked.kind() === base.kind() && asked.match(base, length))
    },
  })
  return { simple: found.simple.map(formatPrefix), around: found.around.map(formatPrefix) }
}

t.test('what no route leads to is missing, and nothing else', async (t) => {
  const prefixes = ['10.66.0.0/24', '192.168.77.0/24', 'fd00:77::/64', '10.9.0.3']
  t.same(missing({ prefixes }), {
    simple: ['10.66.0.0/24', '192.168.77.0/24', 'fd00:77::/64', '10.9.0.3/32'],
    around: [],
  })
  t.same(missing({ prefixes, routes: ['10.66.0.0/16', 'fd00:77::/64', '10.9.0.3/32'] }).simple, [
    '192.168.77.0/24',
  ])
  t.same(missing({ prefixes, routes: ['0.0.0.0/0', '::/0'] }).simple, [])
})

t.test('a route for half of a prefix is not enough, and two are', async (t) => {
  for (const [prefix, low, high] of [
    ['10.66.0.0/24', '10.66.0.0/25', '10.66.0.128/25'],
    ['10.66.0.4/30', '10.66.0.4/31', '10.66.0.6/31'],
    ['10.66.0.4/31', '10.66.0.4/32', '10.66.0.5/32'],
    ['10.66.0.9/0', '0.0.0.0/1', '128.0.0.0/1'],
    ['::/0', '::/1', '8000::/1'],
    ['fd00::/127', 'fd00::/128', 'fd00::1/128'],
  ]) {
    const count = (...routes: string[]) => {
      const { simple, around } = missing({ prefixes: [prefix], routes })
      return simple.length + around.length
    }
    t.same([count(), count(low), count(high), count(low, high)], [1, 1, 1, 0], prefix)
  }
})

t.test("this host's own addresses need no route", async (t) => {
  t.same(missing({ prefixes: ['10.66.0.64/32'], local: ['10.66.0.64/32'] }).simple, [])
  const half = { prefixes: ['10.66.0.0/24'], local: ['10.66.0.64/32'] }
  t.same(missing(half).simple, ['10.66.0.0/24'])
  t.same(missing({ ...half, routes: ['10.66.0.192/32'] }).simple, [])
})

t.test('all addresses, and networks with an endpoint in them, need more than a route', async (t) => {
  const prefixes = ['0.0.0.0/0', '::/0', '128.0.0.0/1', '2001:db8::/32', '10.66.0.0/24']
  const endpoints = ['198.51.100.2', '2001:db8::2', 'fe80::2%eth0']
  t.same(missing({ prefixes, endpoints }), {
    around: ['0.0.0.0/0', '::/0', '128.0.0.0/1', '2001:db8::/32'],
    simple: ['10.66.0.0/24'],
  })
  t.same(missing({ prefixes }).around, ['0.0.0.0/0', '::/0'])
})

t.test('addresses and prefixes of all peers, each once', async (t) => {
  const peer = (addresses: string[], ...prefixes: string[]) => ({
    addresses,
    prefixes: prefixes.map(parsePrefix),
  })
  t.same(
    [...prefixesOf([peer(['10.9.0.2', 'fd00::2'], '10.9.0.2/32', '10.1.0.0/16'), peer([])]).keys()],
    ['10.9.0.2/32', 'fd00::2/128', '10.1.0.0/16'],
  )
})

t.test('the sentence has the commands, and says what goes out unencrypted', async (t) => {
  const say = (simple: string[], around: string[]) =>
    sentenceOf({ simple: simple.map(parsePrefix), around: around.map(parsePrefix) }, 'tun7')
  t.equal(say([], []), undefined)
  t.equal(
    say(['10.1.0.0/16', 'fd00::/64'], []),
    'no route leads to tun7 for 10.1.0.0/16, fd00::/64, so nothing is tunnelled there; set what is missing with: ip route add 10.1.0.0/16 dev tun7; ip route add fd00::/64 dev tun7',
  )
  t.equal(
    say([], ['0.0.0.0/0', '::/0']),
    'nothing is tunnelled by 0.0.0.0/0, ::/0, because no default route leads to tun7: traffic keeps going out by the old default route, unencrypted',
  )
  const all = say(['10.1.0.0/16'], ['0.0.0.0/0', '128.0.0.0/1']) ?? ''
  t.match(all, /by 0\.0\.0\.0\/0, because .* by 128\.0\.0\.0\/1, because .* 10\.1\.0\.0\/16 dev tun7$/)
  t.notMatch(all, /ip route add (0|128)/)
})

t.test('where another route is in the way, no command is advised that would be refused again', async (t) => {
  const say = (simple: string[], around: string[], taken: string[], others: string[] = []) =>
    sentenceOf(
      { simple: simple.map(parsePrefix), around: around.map(parsePrefix) },
      'tun7',
      new Map<string, Refusal>([
        ...taken.map((it) => [it, { isTaken: true, why: 'it is there' }] as const),
        ...others.map((it) => [it, { isTaken: false, why: 'EPERM' }] as const),
      ]),
    )
  t.equal(
    say(['10.1.0.0/16', 'fd00::/64'], [], ['10.1.0.0/16', 'fd00::/64']),
    'no route leads to tun7 for 10.1.0.0/16, fd00::/64, so nothing is tunnelled there: another route is in the way, which you find with: ip route show 10.1.0.0/16; ip -6 route show fd00::/64; remove what is in the way, and then: udptun-fast reload tun7',
  )
  const mixed = say(['10.1.0.0/16', '10.2.0.0/16'], [], ['10.2.0.0/16'], ['10.1.0.0/16']) ?? ''
  t.match(
    mixed,
    /: ip route add 10\.1\.0\.0\/16 dev tun7\. Also, .*: ip route show 10\.2\.0\.0\/16 \(refused: /,
  )
  t.match(
    mixed,
    / \(refused: 10\.1\.0\.0\/16: EPERM\); remove what is in the way, and then: \S+ reload tun7$/,
  )
  t.notMatch(mixed, /add 10\.2/)
  const around = say([], ['0.0.0.0/0', '128.0.0.0/1'], ['0.0.0.0/0', '128.0.0.0/1']) ?? ''
  t.match(around, / \(refused: 0\.0\.0\.0\/0: it is there; 128\.0\.0\.0\/1: it is there\); remove what /)
  t.notMatch(around, /before you add that one/)
  t.match(say([], ['128.0.0.0/1'], [], ['128.0.0.0/1']), /before you add that one \(refused: 128.*EPERM\)$/)
})

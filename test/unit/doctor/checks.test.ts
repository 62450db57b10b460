import t from 'tap'
import { renderFindings } from '../../../src/cli/doctor.js'
import {
  DROP_REASONS,
  KERNEL_DROP_REASONS,
  type PeerStatus,
  type StatusReport,
} from '../../../src/control/status.js'
import { splitEndpoint } from '../../../src/doctor/check-firewall.js'
import { findingsOf } from '../../../src/doctor/checks.js'
import type { Facts } from '../../../src/doctor/facts.js'
import { SEVERITIES } from '../../../src/doctor/finding.js'

const NO_DROPS = Object.fromEntries(
  [...Object.keys(DROP_REASONS), ...Object.keys(KERNEL_DROP_REASONS)].map((reason) => [reason, 0]),
)

const PEER = {
  name: 'b',
  host: '192.0.2.2',
  endpoint: '192.0.2.2:5149',
  trouble: null,
  state: 'up',
  underlay: { interface: 'eth0', mtu_bytes: 1500 },
  carried_mtu_bytes: 1458,
  path_mtu: { bytes: 1500, how: 'acknowledged' },
  datapath: { by: 'kernel', reason: null },
  privacy: null,
} as unknown as PeerStatus

const STATUS = {
  pid: 1,
  device: 'tap0',
  device_up: true,
  netns: null,
  missing_routes: [],
  listen: '[::]:5149',
  source_ports: [5149],
  listen_trouble: null,
  mtu_bytes: 1458,
  mtu_by: 'paths',
  bridge: null,
  privacy: null,
  inbound: { frames: 1000, bytes: 1 },
  outbound: { frames: 1000, bytes: 1 },
  icmp: { unreachable: 0, too_big: 0, other: 0, unread: 0 },
  faults: { count: 0 },
  path: { fragmented: 0, too_big_answers: 0, mss_clamped: 0 },
  drops: NO_DROPS,
  peers: [PEER],
} as unknown as StatusReport

const WELL: Facts = {
  status: STATUS,
  noAnswer: null,
  pid: 1,
  own: { addresses: ['192.0.2.1', '2001:db8::1'], interfaces: ['eth0'] },
  tun: { node: 'usable', driver: true },
  capabilities: { NET_ADMIN: true, NET_RAW: true, BPF: true },
  port: 5149,
  portTaken: true,
  firewall: { ruleset: [], why: null, legacy: false },
  reversePath: { filters: { eth0: 0 }, dropped: 0 },
  conntrack: { count: 1, max: 100 },
  translated: [],
  looped: [],
  clock: { nowMs: Date.UTC(2026, 10, 1), leastMs: Date.UTC(2026, 9, 1) },
}

/** What is found, without what is fine: `id` or `id peer`, the wrong with a `!`. */
function found(more: Partial<Facts>): string[] {
  return findingsOf({ ...WELL, ...more })
    .filter(({ severity }) => severity !== 'fine')
    .map(
      ({ id, severity, peer }) => `${severity === 'wrong' ? '!' : ''}${id}${peer === null ? '' : ` ${peer}`}`,
    )
}
const withStatus = (more: object) => found({ status: { ...STATUS, ...more } as StatusReport })
const withPeer = (more: object, status: object = {}) =>
  withStatus({ ...status, peers: [{ ...PEER, ...more }] })
const drops = (more: object) => ({ drops: { ...NO_DROPS, ...more } })

t.test('nothing is wrong', async (t) => {
  t.same(found({}), [])
  t.same(found({ status: undefined, portTaken: false }), [])
})

t.test('the host', async (t) => {
  t.same(found({ tun: { node: 'missing', driver: false } }), ['!tun.missing'])
  t.same(found({ tun: { node: 'forbidden', driver: true } }), ['!tun.forbidden'])
  t.same(found({ tun: { node: 'usable', driver: false } }), ['tun.not_loaded'])
  const none = { NET_ADMIN: false, NET_RAW: false, BPF: false }
  t.same(found({ capabilities: none }), ['!capability.net_admin', 'capability.net_raw', 'capability.bpf'])
  t.same(found({ status: undefined }), ['!port.taken'])
  t.same(withStatus({ listen_trouble: 'no such address' }), ['!port.not_listening'])
  t.same(found({ conntrack: { count: 100, max: 100 } }), ['!conntrack.full'])
  t.same(found({ conntrack: { count: 95, max: 100 }, translated: ['b'] }), [
    'conntrack.nearly_full',
    'conntrack.nat b',
  ])
  t.same(found({ clock: { nowMs: Date.UTC(1970, 0, 2), leastMs: 0 } }), ['!clock.behind'])
  t.same(found({ clock: { nowMs: Date.UTC(2026, 5, 1), leastMs: Date.UTC(2026, 6, 1) } }), ['!clock.behind'])
  t.same(found({ capabilities: undefined }), ['capability.not_seen'])
})

t.test('the port of a tunnel that does not answer is not said to be taken by another program', async (t) => {
  const facts = { noAnswer: 'it does not answer', status: undefined }
  t.same(found({ ...facts, portTaken: true }), ['!tunnel.no_answer'])
  t.same(found({ ...facts, portTaken: false }), ['!tunnel.no_answer'])
})

t.test('reverse-path filtering matters only with several interfaces', async (t) => {
  t.same(found({ reversePath: { filters: { eth0: 1 }, dropped: 9 } }), [])
  t.same(found({ reversePath: { filters: { eth0: 2, eth1: 2 }, dropped: 9 } }), [])
  const reversePath = { filters: { eth0: 1, eth1: 1 }, dropped: 9 }
  t.same(found({ reversePath }), ['rp_filter.strict'])
  const status = { ...STATUS, peers: [{ ...PEER, state: 'silent' }] } as StatusReport
  t.same(found({ reversePath, status }), ['!peer.silent b', '!rp_filter.drops'])
})

t.test('sysctl has a slash for a dot in the name of an interface', async (t) => {
  const reversePath = { filters: { 'e1.100': 1, eth0: 0 }, dropped: 0 }
  const finding = findingsOf({ ...WELL, reversePath }).find(({ id }) => id === 'rp_filter.strict')
  t.match(finding?.advice, /: sysctl net\.ipv4\.conf\.e1\/100\.rp_filter=2$/)
})

t.test('peers, and why nothing comes from them', async (t) => {
  const text = (facts: Partial<Facts>) => findingsOf({ ...WELL, ...facts })[0].text
  t.same(withPeer({ endpoint: null, trouble: 'no such name' }), ['!peer.not_found b'])
  t.same(withPeer({ underlay: { interface: null, mtu_bytes: 1500 } }), ['!route.none b'])
  const lost = {
    ...STATUS,
    peers: [{ ...PEER, underlay: { interface: null, mtu_bytes: 1500 } }],
  } as StatusReport
  t.same(found({ status: lost, looped: ['b'] }), ['!route.loop b'])
  t.same(found({ looped: ['b'] }), [], 'datagrams with a mark have another way')
  t.same(withPeer({ privacy: { handshake_s: null } }), ['!peer.no_keys b'])
  const silent = (more: object, privacy: object | null = null) =>
    text({ status: { ...STATUS, ...more, peers: [{ ...PEER, state: 'silent', privacy }] } as StatusReport })
  t.match(silent({ icmp: { unreachable: 3 } }), /it is silent; ICMP says/)
  t.match(silent(drops({ foreign: 1 })), /endpoint is probably another one/)
  t.match(silent(drops({ forbidden: 1 })), /a firewall of this host/)
  t.match(silent(drops({ wrong_mac1: 1 }), { handshake_s: null }), /wrong public key of this host/)
  t.match(silent(drops({ handshake_refused: 1 }), { handshake_s: null }), /clock has probably gone back/)
  t.match(silent({}), /does not run/)
  const relayed = { by: 'hub', why: 'the direct path was lost' }
  const far = { endpoint: null, relayed, privacy: { handshake_s: 3 } }
  t.same(withPeer(far), [], 'a relayed peer is up, although it is nowhere')
  t.same(withPeer({ ...far, state: 'down' }), ['!peer.down b'])
})

t.test('a device that is down, and networks that are not routed into it', async (t) => {
  const missing_routes = ['10.77.0.0/16', 'fd77::/48']
  t.same(withStatus({ device_up: false, missing_routes }), ['!device.down'])
  t.same(withStatus({ missing_routes }), ['!route.missing'])
  const first = (more: object) => findingsOf({ ...WELL, status: { ...STATUS, ...more } as StatusReport })[0]
  const { text, advice } = first({ missing_routes })
  t.match(text, /^no route leads to tap0 for 10\.77\.0\.0\/16, fd77::\/48, so /)
  t.match(advice, /: ip route get 10\.77\.0\.0;/)
  const down = (netns: string | null) => first({ device_up: false, netns }).advice
  t.equal(down(null), 'set it up with: ip link set tap0 up')
  t.equal(down('blue'), 'set it up with: ip -n blue link set tap0 up')
  t.equal(down('/proc/7/ns/net'), 'set it up with: nsenter --net=/proc/7/ns/net ip link set tap0 up')
})

t.test('an invitation is no peer that is missed', async (t) => {
  const invited = { name: 'al:CD7Hj0', host: 'al:CD7Hj0', endpoint: null, state: 'new', privacy: {} }
  t.same(withPeer(invited), ['peer.not_come al:CD7Hj0'])
  t.same(withPeer({ ...invited, source: 'invitation' }), [])
})

t.test('MTU', async (t) => {
  t.same(withPeer({ carried_mtu_bytes: 1358 }), ['!mtu.over_path b'])
  t.same(withPeer({ carried_mtu_bytes: 1358 }, { mtu_by: 'bridge' }), [])
  t.same(withPeer({ path_mtu: { bytes: 576, how: 'floor' } }), ['!mtu.floor b'])
  t.same(withPeer({ path_mtu: { bytes: 1400, how: 'acknowledged' } }), [])
})

t.test('a port of a bridge has an MTU that the paths need not carry', async (t) => {
  const seen = (more: object, peer: object = {}) =>
    findingsOf({
      ...WELL,
      status: {
        ...STATUS,
        ...{ mtu_bytes: 1500, mtu_by: 'bridge', bridge: 'br0' },
        ...{ peers: [{ ...PEER, carried_mtu_bytes: 1425, ...peer }], ...more },
      } as StatusReport,
    }).filter(({ id }) => /^mtu\.(fits|bridge|over)|over_path/.test(id))
  t.match(seen({}), [
    {
      severity: 'fine',
      text: 'the MTU of tap0 is 1500, that of br0; the paths carry 1425, and what is longer is answered with ICMP or goes in fragments',
    },
  ])
  t.match(seen({}, { carried_mtu_bytes: 1500 }), [
    { id: 'mtu.fits', text: 'the MTU of tap0 is 1500, as a port of br0, and the paths carry it' },
  ])
  const dropped = drops({ over_path: 1 })
  t.match(seen(dropped).slice(1), [
    {
      severity: 'fine',
      text: '1 frame or message was longer than the path carries, as hosts behind a bridge may send',
      advice: 'with mss_clamp: true, if it is not set yet, TCP sends what is short enough',
    },
  ])
  t.equal(seen({ ...dropped, path: { ...STATUS.path, mss_clamped: 1 } }).length, 1, 'it is set')
  t.equal(seen(dropped, { datapath: { by: 'workers', reason: 'mss_clamp' } }).length, 1)
  t.match(withStatus(dropped), ['drop.over_path'], 'without a bridge, that is doubtful')
})

t.test('drops that say something, and those of a busy host', async (t) => {
  t.same(withStatus(drops({ foreign: 1, not_authentic: 2 })), ['drop.foreign', 'drop.not_authentic'])
  t.same(withStatus(drops({ socket_buffer_full: 3 })), [])
  t.same(withStatus(drops({ socket_buffer_full: 300 })), ['drop.socket_buffer_full'])
})

t.test('drops are counted in right English', async (t) => {
  const text = (more: object) =>
    findingsOf({ ...WELL, status: { ...STATUS, ...drops(more) } as StatusReport })[0].text
  t.equal(text({ no_route: 1 }), "1 frame or message was for an address that is no peer's")
  t.equal(text({ no_route: 2 }), "2 frames or messages were for an address that is no peer's")
  t.match(text({ handshake_unknown_peer: 1 }), /^1 frame or message belonged to handshakes of /)
})

t.test('the firewall', async (t) => {
  const chain = (hook: string, policy: string) => [
    { chain: { family: 'inet', table: 't', name: 'c', hook, type: 'filter', policy } },
  ]
  const firewall = (ruleset: unknown[]) => ({ firewall: { ruleset, why: null, legacy: false } })
  t.same(found(firewall(chain('input', 'drop'))), ['!firewall.drops_in b'])
  t.same(found(firewall(chain('output', 'drop'))), ['!firewall.drops_out b'])
  const accept = { match: { op: 'in', left: { ct: { key: 'state' } }, right: 'established' } }
  const rule = { rule: { family: 'inet', table: 't', chain: 'c', expr: [accept, { accept: null }] } }
  t.same(found(firewall([...chain('input', 'drop'), rule])), ['firewall.answers_only b'])
  const unseen = { ruleset: undefined, why: 'there is no program nft', legacy: true }
  t.same(found({ firewall: unseen }), ['firewall.not_seen', 'firewall.legacy'])
  t.same(splitEndpoint('[fe80::1%eth0]:7000'), { address: 'fe80::1', port: 7000 })
})

t.test('the firewall, where peers come from anywhere', async (t) => {
  const chain = (hook: string, policy: string) => ({
    chain: { family: 'inet', table: 't', name: hook, hook, type: 'filter', policy },
  })
  const rule = (name: string, left: object, right: unknown, verdict: string) => ({
    rule: {
      family: 'inet',
      table: 't',
      chain: name,
      expr: [{ match: { op: '==', left, right } }, { [verdict]: null }],
    },
  })
  const iif = { meta: { key: 'iifname' } }
  const ct = { ct: { key: 'state' } }
  const saddr = { payload: { protocol: 'ip', field: 'saddr' } }
  const relayed = { relayed: { by: 'b', why: 'no way' }, privacy: { handshake_s: 3 } }
  const away = { ...PEER, name: 'c', endpoint: null, ...relayed }
  const seen = (ruleset: unknown[], peers: object[], listen = '[::]:5149') =>
    found({
      status: { ...STATUS, peers, listen } as unknown as StatusReport,
      firewall: { ruleset, why: null, legacy: false },
    })
  const closed = [chain('input', 'drop'), rule('input', iif, 'lo', 'accept')]
  t.same(seen(closed, [away]), ['!firewall.drops_in'])
  t.same(seen(closed, []), ['!firewall.drops_in'])
  t.same(seen(closed, [PEER, away]), ['!firewall.drops_in b'], 'once')
  t.same(seen([...closed, rule('input', iif, 'eth0', 'accept')], [away]), [])
  const listed = [...closed, rule('input', saddr, '192.0.2.2', 'accept')]
  t.same(seen(listed, [PEER]), [], 'nobody else may come')
  t.same(seen(listed, [PEER, away]), ['firewall.may_drop_in'])
  const answers = [chain('output', 'drop'), rule('output', ct, 'established', 'accept')]
  t.same(seen(answers, [away]), [], 'it only answers')
  t.same(seen(answers, [PEER]), ['!firewall.drops_out b'])
  t.same(seen([chain('output', 'drop')], [away]), ['!firewall.drops_out'])
  const six = [chain('input', 'drop'), rule('input', { meta: { key: 'nfproto' } }, 'ipv4', 'accept')]
  t.same(seen(six, [away]), [])
  t.same(seen(six, [away], '[2001:db8::1]:5149'), ['!firewall.drops_in'])
})

t.test('rules for what goes to another address of this host', async (t) => {
  // As Docker has them, for each of its containers.
  const chain = { family: 'ip', table: 'raw', name: 'PREROUTING', hook: 'prerouting', prio: -300 }
  const daddr = { payload: { protocol: 'ip', field: 'daddr' } }
  const rule = (right: string) => ({
    rule: {
      family: 'ip',
      table: 'raw',
      chain: 'PREROUTING',
      expr: [{ match: { op: '==', left: daddr, right } }, { drop: null }],
    },
  })
  const seen = (right: string, addresses: string[]) =>
    found({
      own: { ...WELL.own, addresses },
      firewall: { ruleset: [{ chain }, rule(right)], why: null, legacy: false },
    })
  t.same(seen('172.17.0.2', ['192.0.2.1', '172.17.0.1']), [])
  t.same(seen('172.17.0.1', ['192.0.2.1', '172.17.0.1']), ['firewall.may_drop_in b'])
  t.same(seen('192.0.2.1', ['192.0.2.1', '2001:db8::1']), ['!firewall.drops_in b'])
})

t.test('every finding is for people: short, without a full stop, and the worst come first', async (t) => {
  const all = findingsOf({
    ...WELL,
    conntrack: { count: 100, max: 100 },
    firewall: { ...WELL.firewall, legacy: true },
  })
  for (const { text, id } of all) t.match(text, /^[^\n]*[^.\n]$/, id)
  const order = all.map(({ severity }) => SEVERITIES.indexOf(severity))
  t.same(order, [...order].sort())
  const lines = renderFindings(all).split('\n')
  t.match(lines.at(-1), /1 wrong/)
  t.match(lines[0], /wrong.*: the table of connections is full/)
})

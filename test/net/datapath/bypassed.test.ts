/** While netfilter, IPsec or a queueing discipline has a say in a peer's frames, the workers carry them. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { Conntrack, conntrackOf } from '../../../src/linux/conntrack.js'
import {
  IPCTNL_MSG_CT_DELETE,
  NETLINK_NETFILTER,
  NFNL_SUBSYS_CTNETLINK,
} from '../../../src/linux/constants.js'
import { Netlink } from '../../../src/linux/netlink.js'
import type { UdpFlow } from '../../../src/linux/udp-flow.js'
import { because as becauseWithin, carriedWithin, carrier } from '../../support/hosts/carried.js'
import {
  ONE_OF_FIVE,
  ok,
  type Pair,
  pings,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'

const AUTO = ['--datapath', 'auto']
const PORT = 5149

const carried = carriedWithin(15_000)

const because = (tunnel: RunningTunnel, reason: string) => becauseWithin(tunnel, reason, 5_000)

/** Both tunnels, carried by the kernel. */
async function startBoth({ a, b, underlay }: Pair): Promise<[RunningTunnel, RunningTunnel]> {
  const tunnels = [
    await startTunnel(a, ...AUTO, '10.9.0.1', underlay.b),
    await startTunnel(b, ...AUTO, '10.9.0.2', underlay.a),
  ] as const
  await untilPing(a, '10.9.0.2')
  await carried(...tunnels)
  return [...tunnels]
}

/** A connection is forgotten, as by conntrack(8). */
function forget(host: Host, flow: UdpFlow): void {
  host.run(() => {
    using netlink = new Netlink(NETLINK_NETFILTER)
    const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE
    netlink.request('IPCTNL_MSG_CT_DELETE', type, 0, ...conntrackOf(flow))
  })
}

/** A datagram of host a's program with a ping in it, as it was on the wire. */
async function datagramOf({ a }: Pair): Promise<Buffer> {
  using wire = new PacketSocket(a, 'eth0')
  await ok(a, 'ping', '-q', '-c', '3', '-i', '0.1', '10.9.0.2')
  const [it] = await wire.capture(
    1,
    ({ bytes, outgoing }) => outgoing && bytes.readUInt16BE(36) === PORT && bytes.readUInt16BE(40) === 0,
  )
  return it.bytes
}

const REPLAYED = 100

/** How many of 100 copies of a datagram from host a are taken by host b's tunnel. */
async function taken({ a }: Pair, b: RunningTunnel, datagram: Buffer): Promise<number> {
  using wire = new PacketSocket(a, 'eth0')
  const before = (await b.status()).peers[0].inbound.frames
  for (let sent = 0; sent < REPLAYED; sent++) wire.send(datagram)
  await sleep(1_000)
  return (await b.status()).peers[0].inbound.frames - before
}

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`netfilter sends what goes to the peer elsewhere, over ${family}`, async (t) => {
    using pair = twoHosts()
    const v6 = family === 'IPv6'
    const [ip, here, there, elsewhere] = v6
      ? ['ip6', pair.underlay.a6, pair.underlay.b6, '2001:db8::3']
      : ['ip', pair.underlay.a, pair.underlay.b, '192.0.2.3']
    pair.b.configure('eth0', [`${elsewhere}/${v6 ? 64 : 24}`])
    const addresses = { underlay: { ...pair.underlay, a: here, b: there }, a: pair.a, b: pair.b } as Pair
    const [a, b] = await startBoth(addresses)

    // The first datagram that is tracked shall be one of this end's. The programs do not ask this table.
    await ok(
      pair.a,
      'nft',
      `add table ${ip} hold; add chain ${ip} hold in { type filter hook prerouting priority -300; }`,
    )
    await ok(pair.a, 'nft', `add rule ${ip} hold in udp sport ${PORT} drop`)
    await ok(
      pair.a,
      'nft',
      `add table ${ip} nat; add chain ${ip} nat out { type nat hook output priority -100; }`,
    )
    await ok(
      pair.a,
      'nft',
      `add rule ${ip} nat out ${ip} daddr ${there} udp dport ${PORT} dnat to ${elsewhere}`,
    )
    await because(a, 'nat')
    await ok(pair.a, 'nft', `delete table ${ip} hold`)
    await because(b, 'other_end')
    await untilPing(pair.a, '10.9.0.2')
    const { peers } = await a.status()
    t.same(peers[0].datapath, { by: 'workers', reason: 'nat' })

    await ok(pair.a, 'nft', `delete table ${ip} nat`)
    const bytes = (address: string) => {
      if (!v6) return Uint8Array.from(address.split('.').map(Number))
      return Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, Number(address.at(-1)))
    }
    forget(pair.a, {
      source: bytes(here),
      destination: bytes(there),
      sourcePort: PORT,
      destinationPort: PORT,
    })
    await carried(a, b)
    t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
    t.equal((await a.stop()).code, 0)
    t.equal((await b.stop()).code, 0)
  })
}

t.test('netfilter brings the port from another one', async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'nft', 'add table ip nat; add chain ip nat in { type nat hook prerouting priority -100; }')
  await ok(pair.a, 'nft', `add rule ip nat in udp dport 9999 redirect to :${PORT}`)
  const b = await startTunnel(pair.b, ...AUTO, '10.9.0.2', `${pair.underlay.a}:9999`)
  await until('its first keepalive has left', async () => (await b.status()).peers[0].state === 'new')
  const a = await startTunnel(pair.a, ...AUTO, '10.9.0.1', pair.underlay.b)
  await untilPing(pair.a, '10.9.0.2')
  await because(a, 'nat')
  await because(b, 'other_end')
  t.ok(await pings(pair.b, '10.9.0.1', ...ONE_OF_FIVE))
})

t.test('masquerading that changes nothing is nothing', async (t) => {
  using pair = twoHosts()
  await ok(
    pair.a,
    'nft',
    'add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }',
  )
  await ok(pair.a, 'nft', 'add rule ip nat out masquerade')
  const [a, b] = await startBoth(pair)
  await sleep(3_000)
  t.same([(await carrier(a)).by, (await carrier(b)).by], ['kernel', 'kernel'])
})

t.test('no connection is no NAT, and neither is a kernel that does not answer', async (t) => {
  using pair = twoHosts()
  const flow = {
    source: Uint8Array.of(192, 0, 2, 1),
    destination: Uint8Array.of(192, 0, 2, 2),
    sourcePort: PORT,
    destinationPort: PORT,
  }
  const conntrack = pair.a.run(() => new Conntrack())
  t.equal(
    pair.a.run(() => conntrack.isTranslated(flow)),
    false,
  )
  conntrack.close()
  const script = `const { Conntrack } = await import(process.argv[1])
    const flow = { source: new Uint8Array(4), destination: new Uint8Array(4), sourcePort: 1, destinationPort: 2 }
    console.log(new Conntrack().isTranslated(flow))`
  const { href } = new URL('../../../src/linux/conntrack.js', import.meta.url)
  const node = [process.execPath, '--input-type=module', '-e', script, href]
  t.equal(await ok(pair.a, 'setpriv', '--bounding-set=-net_admin', ...node), 'false\n', 'it may not ask')
})

t.test('a queueing discipline, and filters for what leaves the device', async (t) => {
  using pair = twoHosts()
  const [a] = await startBoth(pair)
  const tc = (...args: string[]) => ok(pair.a, 'tc', ...args)
  await tc('qdisc', 'add', 'dev', 'tap0', 'root', 'tbf', 'rate', '1gbit', 'burst', '1mb', 'limit', '1mb')
  await because(a, 'qdisc')
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
  await tc('qdisc', 'del', 'dev', 'tap0', 'root')
  await carried(a)

  const filter = 'protocol ip u32 match u32 0 0 action mirred egress mirror dev lo'.split(' ')
  const seen = async (way: string) =>
    Number(/Sent \d+ bytes (\d+) pkt/.exec(await tc('-s', 'filter', 'show', 'dev', 'tap0', way))?.[1])
  await tc('qdisc', 'add', 'dev', 'tap0', 'clsact')
  await tc('filter', 'add', 'dev', 'tap0', 'ingress', ...filter)
  await sleep(1_000)
  await ok(pair.a, 'ping', '-q', '-c', '10', '-i', '0.05', '10.9.0.2')
  t.equal((await carrier(a)).by, 'kernel', 'a filter for what comes in is not passed by')
  t.ok((await seen('ingress')) >= 10)
  await tc('filter', 'del', 'dev', 'tap0', 'ingress')
  await tc('filter', 'add', 'dev', 'tap0', 'egress', ...filter)
  await because(a, 'qdisc')
  await ok(pair.a, 'ping', '-q', '-c', '10', '-i', '0.05', '10.9.0.2')
  t.ok((await seen('egress')) >= 10, 'the filter sees what leaves')
  await tc('qdisc', 'del', 'dev', 'tap0', 'clsact')
  await carried(a)
  await tc('qdisc', 'add', 'dev', 'tap0', 'ingress')
  await tc('filter', 'add', 'dev', 'tap0', 'ingress', ...filter)
  await sleep(1_000)
  t.equal((await carrier(a)).by, 'kernel')
})

t.test('a firewall that closes the port stops both, whatever the other end does', async (t) => {
  using pair = twoHosts()
  const [a, b] = await startBoth(pair)
  const datagram = await datagramOf(pair)
  t.ok((await taken(pair, b, datagram)) >= REPLAYED, 'the program takes it')
  await ok(pair.b, 'nft', 'add table inet f; add chain inet f in { type filter hook input priority 0; }')
  await ok(pair.b, 'nft', `add rule inet f in udp dport ${PORT} drop`)
  await until('nothing is taken', async () => (await taken(pair, b, datagram)) === 0, 20_000)
  for (const it of [a, b]) t.same(await carrier(it), { by: 'workers', reason: 'unproved' })
  t.notOk(await pings(pair.a, '10.9.0.2', '-W', '0.3'))
  t.notOk(await pings(pair.b, '10.9.0.1', '-W', '0.3'))
  await ok(pair.b, 'nft', 'delete table inet f')
  await carried(a, b)
  t.ok((await taken(pair, b, datagram)) >= REPLAYED)

  await ok(pair.b, 'nft', 'add table inet f; add chain inet f out { type filter hook output priority 0; }')
  await ok(pair.b, 'nft', `add rule inet f out udp sport ${PORT} drop`)
  for (const it of [a, b]) await because(it, 'unproved')
  t.notOk(await pings(pair.a, '10.9.0.2', '-W', '0.3'), 'nor does anything leave')
})

t.test('an IPsec policy', async (t) => {
  using pair = twoHosts()
  const { a: here, b: there } = pair.underlay
  const [a, b] = await startBoth(pair)
  const datagram = await datagramOf(pair)
  const policy = (host: Host, ...words: string[]) => ok(host, 'ip', 'xfrm', 'policy', ...words)
  const esp = ['tmpl', 'proto', 'esp', 'mode', 'transport']

  await policy(pair.a, 'add', 'src', here, 'dst', '198.51.100.0/24', 'dir', 'out', ...esp)
  await policy(pair.a, 'add', 'dst', there, 'proto', 'udp', 'dport', '500', 'dir', 'out', ...esp)
  await policy(pair.a, 'add', 'dst', there, 'dev', 'lo', 'dir', 'out', ...esp)
  await policy(pair.a, 'add', 'dst', there, 'dir', 'out', 'if_id', '7', ...esp)
  await sleep(1_000)
  t.equal((await carrier(a)).by, 'kernel', 'for something else')

  const out = ['src', here, 'dst', there, 'proto', 'udp', 'dport', String(PORT), 'dir', 'out'] as const
  await policy(pair.a, 'add', ...out, ...esp)
  await because(a, 'ipsec')
  const before = (await b.status()).peers[0].inbound.frames
  t.notOk(await pings(pair.a, '10.9.0.2', '-W', '0.3'))
  await sleep(500)
  t.equal((await b.status()).peers[0].inbound.frames, before, 'nothing leaves in clear')
  await policy(pair.a, 'delete', ...out)
  await carried(a, b)
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))

  await policy(pair.b, 'add', 'src', here, 'dst', there, 'dir', 'in', ...esp)
  await because(b, 'ipsec')
  await because(a, 'other_end')
  t.equal(await taken(pair, b, datagram), 0, 'what comes in clear is not taken')
  await policy(pair.b, 'delete', 'src', here, 'dst', there, 'dir', 'in')
  await carried(a, b)
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
})

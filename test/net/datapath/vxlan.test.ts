/** VXLAN by the kernel's own datapath, with devices of the kernel at the other end. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { carriedWithin } from '../../support/hosts/carried.js'
import {
  ONE_OF_FIVE,
  ok,
  type Pair,
  pings,
  type RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { pathOf } from '../../support/hosts/path.js'
import { transfer, transfersWhole } from '../../support/hosts/transfer.js'
import {
  followsNarrowPath,
  onNarrowPath,
  VXLAN,
  vxlanDevice,
  withoutOffloads,
} from '../../support/hosts/vxlan-device.js'

const KERNEL = [...VXLAN, '--datapath', 'kernel'] as const
const BYTES = 20_000_000

const carrier = async (tunnel: RunningTunnel, peer = 0) => (await tunnel.status()).peers[peer].datapath

const carried = carriedWithin()

/** A device of the kernel on `b`, and a tunnel on `a` whose peer it is. */
async function start({ a, b, underlay }: Pair, sums = true): Promise<RunningTunnel> {
  const ends = { vni: 42, remote: underlay.a, local: underlay.b, sums }
  await vxlanDevice(b, ends, '10.9.0.2/24', 'fd00:9::2/64')
  const tunnel = await startTunnel(a, '10.9.0.1', 'fd00:9::1', underlay.b, ...KERNEL)
  await untilPing(a, '10.9.0.2')
  await carried(tunnel)
  return tunnel
}

for (const [title, offloads, sums] of [
  ['a veth as it is', true, true],
  ['a veth as it is, without UDP checksums', true, false],
  ['without checksum and tunnel offloads', false, true],
  ['without offloads and without UDP checksums', false, false],
] as const)
  t.test(`a device of the kernel: ${title}`, async (t) => {
    using pair = twoHosts()
    if (!offloads) for (const host of [pair.a, pair.b]) await withoutOffloads(host)
    const tunnel = await start(pair, sums)
    await untilPing(pair.a, 'fd00:9::2')
    t.ok(await pings(pair.a, '10.9.0.2', '-M', 'do', '-s', '1422'), 'the longest frame')
    t.ok(await pings(pair.b, '10.9.0.1', '-M', 'do', '-s', '1422'), 'and back')
    const before = await tunnel.status()
    await transfersWhole(t, pair, BYTES)
    const after = await tunnel.status()
    const calls = (['tap', 'udp'] as const).map(
      (worker) => after.workers[worker].syscalls - before.workers[worker].syscalls,
    )
    t.ok(
      calls.every((count) => count < 400),
      `the workers made ${calls.join(' and ')} system calls`,
    )
    for (const way of ['outbound', 'inbound'] as const) {
      const frames = after.peers[0][way].frames - before.peers[0][way].frames
      const bytes = after.peers[0][way].bytes - before.peers[0][way].bytes
      t.ok(bytes > 2 * BYTES && frames > (2 * BYTES) / 1500, `${way}: ${frames} frames, ${bytes} bytes`)
    }
    t.same(after.drops, before.drops, 'nothing is dropped')
    t.equal((await tunnel.stop()).code, 0)
  })

t.test('two tunnels: each datagram is VXLAN, and each flow has its source port', async (t) => {
  using pair = twoHosts()
  const both = [
    await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...KERNEL, '--listen', '8472'),
    await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...KERNEL, '--listen', '8472'),
  ]
  await untilPing(pair.a, '10.9.0.2')
  for (const tunnel of both) await carried(tunnel)
  using wire = new PacketSocket(pair.b, 'eth0')
  for (const port of [7001, 7002, 7003]) {
    const { listener, connector } = await transfer({
      listener: pair.b,
      address: '10.9.0.2',
      connector: pair.a,
      port,
      bytes: 4_000_000,
    })
    t.same([listener.received, connector.received], [connector.sent, listener.sent])
  }
  const isOurs = (bytes: Buffer) =>
    bytes.readUInt16BE(12) === 0x0800 && bytes[23] === 17 && bytes.readUInt16BE(36) === 8472
  const all = await wire.capture(Number.POSITIVE_INFINITY, ({ bytes }) => isOurs(bytes), 50)
  t.ok(all.length > 30)
  t.ok(
    all.every(({ bytes }) => bytes.readUInt32BE(42) === 0x0800_0000 && bytes.readUInt32BE(46) === 42 << 8),
    'each datagram is VXLAN',
  )
  const ports = new Set(all.map(({ bytes }) => bytes.readUInt16BE(34)).filter((port) => port >= 49_152))
  t.ok(ports.size >= 4, `${ports.size} ports`)
  const { drops } = await both[1].status()
  t.equal(drops.checksum + drops.vni + drops.runt + drops.oversize, 0)
})

t.test('several ends: floods go to each, and other networks to none', async (t) => {
  using network = new Network(4)
  const [a, b, c, d] = network.hosts
  const to = (index: number) => ({ remote: network.underlay(0), local: network.underlay(index) })
  await vxlanDevice(b, { vni: 42, ...to(1) }, '10.9.0.2/24')
  await vxlanDevice(c, { vni: 42, ...to(2) }, '10.9.0.3/24')
  await vxlanDevice(d, { vni: 43, ...to(3) }, '10.9.0.4/24')
  const tunnel = await network.start(0, [1, 2, 3], ...KERNEL)
  await untilPing(a, '10.9.0.2')
  await untilPing(a, '10.9.0.3')
  await carried(tunnel)
  using wires = new PacketSocket(c, 'eth0')
  wires.flush()
  t.ok(await pings(a, '10.9.0.2', '-s', '900'))
  const seen = await wires.capture(1, ({ bytes, outgoing }) => !outgoing && bytes.length > 900, 100)
  t.equal(seen.length, 0, 'a frame for b does not go to c')
  await ok(d, 'ping', '-c', '1', '-W', '1', '10.9.0.1').catch(() => {})
  await until('it is counted', async () => (await tunnel.status()).drops.vni > 0)
})

t.test('a firewall that closes the port closes it for the programs, too', async (t) => {
  using pair = twoHosts()
  const tunnel = await start(pair)
  const rule = (host: 'a' | 'b', hook: 'input' | 'output') =>
    ok(
      pair[host],
      'nft',
      `add table inet f; add chain inet f it { type filter hook ${hook} priority 0; }; add rule inet f it udp dport 4789 drop`,
    )
  const taken = async () => {
    const before = (await tunnel.status()).peers[0].inbound.frames
    await pings(pair.b, '10.9.0.1', '-i', '0.1', '-c', '5', '-W', '0.3')
    return (await tunnel.status()).peers[0].inbound.frames - before
  }
  t.ok((await taken()) > 0)
  await rule('a', 'input')
  await until('nothing is taken', async () => (await taken()) === 0, 20_000)
  await ok(pair.a, 'nft', 'delete table inet f')
  await until('it is again', async () => (await taken()) > 0, 10_000)

  await rule('a', 'output')
  const ping = pair.a.spawn('ping', ['-q', '-i', '0.1', '10.9.0.2'])
  await until('the workers carry it', async () => (await carrier(tunnel)).reason === 'forbidden', 10_000)
  t.notOk(await pings(pair.a, '10.9.0.2', '-W', '0.3'), 'nothing leaves')
  await ok(pair.a, 'nft', 'delete table inet f')
  await carried(tunnel)
  ping.kill()
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
})

t.test('captures, and IPsec policies for whatever source port', async (t) => {
  using pair = twoHosts()
  const tunnel = await start(pair)
  const capture = pair.a.spawn('tcpdump', ['-ni', 'tap0', '--immediate-mode'])
  await until('a capture is seen', async () => (await carrier(tunnel)).reason === 'capture')
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
  capture.kill()
  await carried(tunnel)
  const policy = [
    'dst',
    pair.underlay.b,
    'proto',
    'udp',
    'sport',
    '50001',
    'dport',
    '4789',
    'dir',
    'out',
  ] as const
  await ok(pair.a, 'ip', 'xfrm', 'policy', 'add', ...policy, 'tmpl', 'proto', 'esp', 'mode', 'transport')
  await until('it is seen', async () => (await carrier(tunnel)).reason === 'ipsec')
  await ok(pair.a, 'ip', 'xfrm', 'policy', 'delete', ...policy)
  await carried(tunnel)
})

t.test('netfilter sends what goes to the peer elsewhere', async (t) => {
  using pair = twoHosts()
  const tunnel = await start(pair)
  const elsewhere = pair.underlay.b.replace(/\d+$/, '33')
  pair.b.configure('eth0', [`${elsewhere}/24`])
  const rules = `type nat hook output priority -100; udp dport 4789 dnat to ${elsewhere}`
  await ok(pair.a, 'nft', `table ip nat { chain out { ${rules}; }; }`)
  await until(
    'the workers carry',
    async () => {
      // Some of them are the workers' trials.
      await run(pair.a, 'ping', ['-q', '-c', '5', '-i', '0.2', '-W', '1', '10.9.0.2'])
      return (await carrier(tunnel)).reason === 'nat'
    },
    30_000,
  )
  t.equal((await tunnel.stop()).code, 0)
})

t.test('over IPv6 the workers carry, because there are checksums', async (t) => {
  using pair = twoHosts()
  const { a6, b6 } = pair.underlay
  await untilPing(pair.a, b6)
  await vxlanDevice(pair.b, { vni: 42, remote: a6, local: b6 }, '10.9.0.2/24')
  const tunnel = await startTunnel(pair.a, '10.9.0.1', b6, ...KERNEL)
  await untilPing(pair.a, '10.9.0.2')
  await sleep(1_000)
  t.same(await carrier(tunnel), { by: 'workers', reason: 'checksum' })
})

t.test('a narrow path is found by ICMP, and followed', async (t) => {
  using path = pathOf(1500, 1400)
  const tunnel = await onNarrowPath(path, ...KERNEL)
  await carried(tunnel)
  await followsNarrowPath(t, path, tunnel)
})

t.test('what the kernel has joined is the workers’: GRO on the underlay', async (t) => {
  using pair = twoHosts()
  for (const host of [pair.a, pair.b]) {
    await withoutOffloads(host)
    await ok(host, 'ethtool', '-K', 'eth0', 'gro', 'on')
  }
  const tunnel = await start(pair)
  const before = await tunnel.status()
  const { listener, connector } = await transfer({
    listener: pair.b,
    address: '10.9.0.2',
    connector: pair.a,
    bytes: BYTES,
  })
  t.same([listener.received, connector.received], [connector.sent, listener.sent], 'both ways at once')
  const after = await tunnel.status()
  const read = after.workers.udp.syscalls - before.workers.udp.syscalls
  t.ok(read > 100, `the udp worker made ${read} system calls`)
  t.equal((await carrier(tunnel)).by, 'kernel')
  t.same(after.drops, before.drops, 'nothing is dropped')
})

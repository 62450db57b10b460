/** VXLAN by the workers, with devices of the kernel at the other end. */
import t from 'tap'
import { writeControl } from '../../../src/wire/control.js'
import { ok, PROGRAM, pings, run, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { pathOf } from '../../support/hosts/path.js'
import { transfer, transfersWhole } from '../../support/hosts/transfer.js'
import {
  vxlanDevice as device,
  followsNarrowPath,
  onNarrowPath,
  VXLAN,
  withoutOffloads,
} from '../../support/hosts/vxlan-device.js'

const BYTES = 4_000_000

for (const underlay of ['IPv4', 'IPv6'] as const)
  for (const offloads of [true, false]) {
    const title = `${underlay}, ${offloads ? 'as it is' : 'without checksum and tunnel offloads'}`
    t.test(`a device of the kernel: ${title}`, async (t) => {
      using pair = twoHosts()
      const { a, b } = underlay === 'IPv4' ? pair.underlay : { a: pair.underlay.a6, b: pair.underlay.b6 }
      if (underlay === 'IPv6') await untilPing(pair.a, b)
      if (!offloads) for (const host of [pair.a, pair.b]) await withoutOffloads(host)
      await device(pair.b, { vni: 42, remote: a, local: b }, '10.9.0.2/24', 'fd00:9::2/64')
      const tunnel = await startTunnel(pair.a, '10.9.0.1', 'fd00:9::1', b, ...VXLAN)
      await untilPing(pair.a, '10.9.0.2')
      await untilPing(pair.b, 'fd00:9::1')
      const status = await tunnel.status()
      const mtuBytes = underlay === 'IPv4' ? 1450 : 1430
      t.equal(status.mtu_bytes, mtuBytes)
      t.match(status.peers, [{ datapath: { by: 'workers', reason: 'setting' } }])
      t.ok(await pings(pair.a, '10.9.0.2', '-M', 'do', '-s', String(mtuBytes - 28)), 'the longest frame')
      t.ok(await pings(pair.b, '10.9.0.1', '-M', 'do', '-s', String(mtuBytes - 28)), 'and back')
      await transfersWhole(t, pair, BYTES)
      const { drops, super_frames } = await tunnel.status()
      t.ok(super_frames.read > 10 && super_frames.written > 10, 'the offloads work')
      t.equal(drops.checksum + drops.oversize + drops.vni + drops.runt + drops.device_refused, 0)
    })
  }

t.test('several ends: floods go to each, what is known to one, and other networks to none', async (t) => {
  using network = new Network(4)
  const [, b, c, d] = network.hosts
  const to = (index: number) => ({ remote: network.underlay(0), local: network.underlay(index) })
  await device(b, { vni: 42, ...to(1) }, '10.9.0.2/24')
  await device(c, { vni: 42, ...to(2) }, '10.9.0.3/24')
  await device(d, { vni: 43, ...to(3) }, '10.9.0.4/24')
  const tunnel = await network.start(0, [1, 2, 3], ...VXLAN)
  const [a] = network.hosts
  await untilPing(a, '10.9.0.2')
  await untilPing(a, '10.9.0.3')
  t.ok(await pings(c, '10.9.0.1'))
  using wires = new PacketSocket(c, 'eth0')
  wires.flush()
  t.ok(await pings(a, '10.9.0.2', '-s', '900'))
  const seen = await wires.capture(1, ({ bytes, outgoing }) => !outgoing && bytes.length > 900, 100)
  t.equal(seen.length, 0, 'a frame for b does not go to c')
  await ok(d, 'ping', '-c', '1', '-W', '1', '10.9.0.1').catch(() => {})
  await until('it is counted', async () => (await tunnel.status()).drops.vni > 0)
  const { peers, fdb } = await tunnel.status()
  t.ok((fdb?.entries ?? 0) >= 2)
  t.match(
    peers.map(({ state }) => state === 'down'),
    [false, false, false],
    'nobody asks them, so nobody is down',
  )
})

t.test('two tunnels speak VXLAN with each other, and send nothing else', async (t) => {
  using pair = twoHosts()
  using wire = new PacketSocket(pair.b, 'eth0')
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...VXLAN, '--listen', '8472')
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...VXLAN, '--listen', '8472')
  await untilPing(pair.a, '10.9.0.2')
  const { listener, connector } = await transfer({
    listener: pair.b,
    address: '10.9.0.2',
    connector: pair.a,
    bytes: BYTES,
  })
  t.same([listener.received, connector.received], [connector.sent, listener.sent])
  const isOurs = (bytes: Buffer) =>
    bytes.readUInt16BE(12) === 0x0800 && bytes[23] === 17 && bytes.readUInt16BE(36) === 8472
  const all = await wire.capture(Number.POSITIVE_INFINITY, ({ bytes }) => isOurs(bytes), 50)
  t.ok(all.length > 10)
  t.ok(
    all.every(({ bytes }) => bytes.readUInt32BE(42) === 0x0800_0000 && bytes.readUInt32BE(46) === 42 << 8),
    'each datagram is VXLAN',
  )
  t.notOk(
    all.some(({ bytes }) => bytes.readUInt16BE(50 + 12) === 0x88b5),
    'and none has a control frame',
  )
})

for (const underlay of ['IPv4', 'IPv6'] as const)
  t.test(`each flow has a source port of its own, over ${underlay}`, async (t) => {
    using pair = twoHosts()
    const { a, b } = underlay === 'IPv4' ? pair.underlay : { a: pair.underlay.a6, b: pair.underlay.b6 }
    if (underlay === 'IPv6') await untilPing(pair.a, b)
    // Runs are then cut before they can be seen.
    for (const host of [pair.a, pair.b]) await withoutOffloads(host)
    await device(pair.b, { vni: 42, remote: a, local: b }, '10.9.0.2/24')
    await startTunnel(pair.a, '10.9.0.1', b, ...VXLAN)
    await untilPing(pair.a, '10.9.0.2')
    using wire = new PacketSocket(pair.b, 'eth0')
    const flows = 64
    const each = 5
    const script = `import socket\nall=[socket.socket(socket.AF_INET,socket.SOCK_DGRAM) for _ in range(${flows})]\nfor _ in range(${each}):\n  for i,s in enumerate(all): s.sendto(bytes([i]), ('10.9.0.2', 2000))`
    await ok(pair.a, 'python3', '-c', script)
    const udp = 14 + (underlay === 'IPv4' ? 20 : 40)
    const inner = udp + 8 + 8 + 14
    const isFlow = (bytes: Buffer) =>
      bytes.length > inner + 28 &&
      bytes.readUInt16BE(udp + 2) === 4789 &&
      bytes.readUInt16BE(inner + 22) === 2000
    const all = await wire.capture(flows * each, ({ bytes, outgoing }) => !outgoing && isFlow(bytes), 500)
    t.equal(all.length, flows * each)
    const portsOf = new Map<number, Set<number>>()
    for (const { bytes } of all) {
      const flow = bytes[inner + 28]
      portsOf.set(flow, (portsOf.get(flow) ?? new Set()).add(bytes.readUInt16BE(udp)))
    }
    t.equal(portsOf.size, flows)
    t.ok(
      [...portsOf.values()].every(({ size }) => size === 1),
      'all datagrams of a flow have one',
    )
    const ports = new Set([...portsOf.values()].flatMap((it) => [...it]))
    t.comment(`ports: ${[...ports].join(' ')}`)
    t.ok(ports.size >= 6 && !ports.has(4789), 'and many flows have many')
  })

t.test('what looks like a control frame is none, because no end of a VXLAN network sends any', async (t) => {
  using pair = twoHosts()
  await device(pair.b, { vni: 42, remote: pair.underlay.a, local: pair.underlay.b }, '10.9.0.2/24')
  const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...VXLAN)
  await untilPing(pair.b, '10.9.0.1')
  using wire = new PacketSocket(pair.b, 'vx42')
  for (const type of ['hello', 'hello_ack', 'probe'] as const)
    wire.send(writeControl('tap', { type, token: 1n, sizeBytes: 0 }))
  await until('they are dropped', async () => (await tunnel.status()).drops.control_malformed === 3)
  t.ok(await pings(pair.b, '10.9.0.1'))
})

t.test('an address that comes later is where frames come from, with the mark', async (t) => {
  using pair = twoHosts()
  const later = pair.underlay.a.replace(/\d+$/, '77')
  await device(pair.b, { vni: 42, remote: later, local: pair.underlay.b }, '10.9.0.2/24')
  const unmarked = 'type filter hook output priority 0; udp dport 4789 meta mark != 77 drop;'
  await ok(pair.a, 'nft', `table inet marks { chain out { ${unmarked} }; }`)
  const flags = [...VXLAN, '--listen', `${later}:4789`, '--fwmark', '77']
  const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...flags)
  t.notOk(await pings(pair.a, '10.9.0.2', '-W', '1'))
  t.ok((await tunnel.status()).drops.unreachable > 0)
  using wire = new PacketSocket(pair.b, 'eth0')
  await ok(pair.a, 'ip', 'address', 'add', `${later}/24`, 'dev', 'eth0')
  await untilPing(pair.a, '10.9.0.2')
  const isFrame = (bytes: Buffer) => bytes.readUInt16BE(12) === 0x0800 && bytes.readUInt16BE(36) === 4789
  const [{ bytes }] = await wire.capture(1, (it) => !it.outgoing && isFrame(it.bytes))
  t.equal(bytes.subarray(26, 30).join('.'), later)
  const { source_ports } = await tunnel.status()
  t.equal(source_ports.length, 8)
  t.ok(source_ports.includes(bytes.readUInt16BE(34)), 'from one of its ports')
})

for (const where of ['everywhere', 'on one address'])
  t.test(`a narrow path is found by ICMP, and followed, if the tunnel listens ${where}`, async (t) => {
    using path = pathOf(1500, 1400)
    const listen = where === 'everywhere' ? [] : ['--listen', `${path.underlay.a}:4789`]
    await followsNarrowPath(t, path, await onNarrowPath(path, ...VXLAN, ...listen))
  })

t.test('no end of a VXLAN network answers pings of the program', async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...VXLAN)
  const asked = await run(pair.a, process.execPath, [PROGRAM, 'ping', pair.underlay.b, '-c', '1'])
  t.match(asked.stderr, /no end of a VXLAN network answers these pings/)
})

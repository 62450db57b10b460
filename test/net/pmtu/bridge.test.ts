/** Hosts behind bridges at both ends, which cannot see the tap's MTU. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, Host } from '../../../src/lab/host.js'
import { createLink, getLink, setLink } from '../../../src/linux/interface.js'
import { framesOf, PLAIN_FLOW } from '../../support/frames.js'
import { startFlow } from '../../support/hosts/flows.js'
import { ok, PROGRAM, run, until } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { type Ends, type Path, pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'

interface Behind extends Disposable {
  readonly c: Host
  readonly d: Host
}

/** A host c in one Ethernet with a's tap, and d with b's: 10.9.0.3, fd00:9::3 and 10.9.0.4, fd00:9::4. */
function hostsBehind({ a, b }: Path): Behind {
  const [c, d] = [a, b].map((end, index) => {
    const host = new Host('cd'[index])
    const addresses = [`10.9.0.${3 + index}/24`, `fd00:9::${3 + index}/64`]
    connect({ host, device: 'eth0', addresses }, { host: end, device: 'eth1', addresses: [] })
    end.netlink((netlink) => {
      createLink(netlink, 'bridge', 'br0')
      const { index: master } = getLink(netlink, 'br0')
      for (const port of ['eth1', 'tap0']) setLink(netlink, getLink(netlink, port).index, { master })
      setLink(netlink, master, { up: true })
    })
    return host
  })
  const close = () => {
    c.close()
    d.close()
  }
  return { c, d, [Symbol.dispose]: close }
}

/** From host c to host d, with DF. */
const UDP_FLOW = { ...PLAIN_FLOW, protocol: 'udp', hosts: [3, 4], df: true } as const

const mtuOf = (host: Host, device: string) => host.netlink((netlink) => getLink(netlink, device).mtuBytes)

/** Segments that a host's TCP sent again. */
function resent(host: Host): number {
  const snmp = host.run(() => readFileSync('/proc/thread-self/net/snmp', 'utf8'))
  const [names, values] = snmp.match(/^Tcp: .*$/gm)?.map((line) => line.split(' ')) ?? []
  return Number(values[names.indexOf('RetransSegs')])
}

async function bridged(path: Path, ...flags: string[]): Promise<Ends> {
  const ends = await startEnds(path, { flags })
  await untilPathMtu(ends.a, 1400)
  await untilPathMtu(ends.b, 1400)
  return ends
}

t.test(
  'two LANs of 1500 over a path of 1500: senders are told what is too long, or it goes in fragments',
  async (t) => {
    using path = pathOf(1500)
    const ends = await startEnds(path)
    await untilPathMtu(ends.a, 1500)
    await untilPathMtu(ends.b, 1500)
    using behind = hostsBehind(path)
    const { c, d } = behind
    for (const end of [ends.a, ends.b])
      t.match(await end.said(/is a port of br0/), { mtu_bytes: 1500, before: 1458 })
    t.equal(mtuOf(path.a, 'br0'), 1500, 'the bridge is as wide as before')

    const ping = (to: string, ...size: string[]) => run(c, 'ping', ['-c', '1', '-W', '1', ...size, to])
    t.equal((await ping('10.9.0.4')).code, 0)
    const told = await ping('10.9.0.4', '-M', 'do', '-s', '1472')
    t.equal(told.code, 1)
    t.match(told.stdout, /From 10\.9\.0\.4 icmp_seq=1 Frag needed and DF set \(mtu = 1458\)/)
    t.match((await ping('fd00:9::4', '-M', 'do', '-s', '1452')).stdout, /Packet too big: mtu=1458/)
    const again = await ping('fd00:9::4', '-s', '1452', '-c', '3', '-i', '0.2')
    t.equal(again.code, 0, 'both ends have learnt')
    await ok(c, 'ip', 'route', 'flush', 'cache')
    t.equal((await ends.a.status()).path.fragmented, 0)
    t.equal((await ping('10.9.0.4', '-M', 'dont', '-s', '1472')).code, 0)
    t.equal((await ends.a.status()).path.fragmented, 1)

    for (const [from, to, address, port] of [
      [c, d, '10.9.0.4', 7501],
      [d, c, 'fd00:9::3', 7502],
    ] as const) {
      const { bytes, error } = await (await startFlow(from, to, address, 1, port)).ended
      t.equal(error, null)
      t.ok(bytes > 1_000_000, `${bytes} bytes from ${from.name} to ${address}`)
    }
    const { path: counts, drops, ...status } = await ends.a.status()
    t.match(status, { mtu_bytes: 1500, mtu_by: 'bridge', bridge: 'br0' })
    t.ok(counts.too_big_answers >= 3, `${counts.too_big_answers} answers`)
    t.ok(drops.over_path >= counts.too_big_answers)

    path.a.netlink((netlink) => setLink(netlink, getLink(netlink, 'tap0').index, { master: 0 }))
    await until('its MTU is that of the path', () => mtuOf(path.a, 'tap0') === 1458, 500)
    await ends.a.said(/tap0 is no port of br0 any more; its MTU is 1458 now, was 1500/)
    path.a.configure('tap0', [], { mtuBytes: 1500 })
    const set = async () => (await ends.a.status()).mtu_by === 'hand'
    await until('it is noticed that somebody has set it', set, 500)
    t.equal(mtuOf(path.a, 'tap0'), 1500)
  },
)

t.test('with --mss-clamp TCP comes through without any answer, both ways, IPv4 and IPv6', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  const ends = await bridged(path, '--mss-clamp')
  using behind = hostsBehind(path)
  const { c, d } = behind
  for (const end of [ends.a, ends.b]) await end.said(/is a port of br0/)
  for (const [from, to, address, port] of [
    [c, d, '10.9.0.4', 7500],
    [d, c, '10.9.0.3', 7500],
    [c, d, 'fd00:9::4', 7600],
  ] as const) {
    const { bytes, error } = await (await startFlow(from, to, address, 1, port)).ended
    t.equal(error, null)
    t.ok(bytes > 1_000_000, `${bytes} bytes to ${address}`)
  }
  const { path: counts, drops } = await ends.a.status()
  t.ok(counts.mss_clamped >= 3, `${counts.mss_clamped} SYNs were clamped`)
  t.equal(counts.too_big_answers, 0)
  t.equal(drops.over_path, 0)
  t.ok(resent(c) + resent(d) < 20_000, `${resent(c) + resent(d)} segments were sent again`)
})

t.test('pinned above what the path carries: a warning, and answers as a router gives them', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  const ends = await bridged(path, '--mtu', '1458')
  const own = await (await startFlow(path.a, path.b, '10.9.0.2', 1)).ended
  t.ok(own.bytes > 1_000_000, `${own.bytes} bytes of this host's own`)
  using behind = hostsBehind(path)
  const { c, d } = behind
  t.match((await ends.a.said(/less than the 1458 of --mtu/)).msg, /carries an MTU of 1358/)

  const ping = (to: string, ...size: string[]) => run(c, 'ping', ['-c', '1', '-W', '1', ...size, to])
  t.equal((await ping('10.9.0.4')).code, 0)
  const { code, stdout, stderr } = await ping('10.9.0.4', '-M', 'do', '-s', '1400')
  t.equal(code, 1)
  t.match(stdout + stderr, /From 10\.9\.0\.4 icmp_seq=1 Frag needed and DF set \(mtu = 1358\)/)
  t.match((await ping('fd00:9::4', '-M', 'do', '-s', '1380')).stdout, /Packet too big: mtu=1358/)

  for (const [from, to, address] of [
    [c, d, '10.9.0.4'],
    [d, c, 'fd00:9::3'],
  ] as const) {
    const { bytes, error } = await (await startFlow(from, to, address, 1)).ended
    t.equal(error, null)
    t.ok(bytes > 1_000_000, `${bytes} bytes from ${from.name} to ${address}`)
  }
  const { path: counts, drops, mtu_bytes } = await ends.a.status()
  t.equal(mtu_bytes, 1458)
  t.ok(counts.too_big_answers >= 3, `${counts.too_big_answers} answers`)
  t.ok(drops.over_path >= counts.too_big_answers)
})

t.test('a flood of fragments neither stops the search of the path MTU nor deceives it', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  const ends = await bridged(path)
  using behind = hostsBehind(path)
  await ends.a.said(/is a port of br0/)
  using wire = new PacketSocket(behind.c, 'eth0')
  const [frame] = framesOf({ ...UDP_FLOW, df: false }, [{ payload: new Uint8Array(1_472), flags: 0 }])
  const untilMs = performance.now() + 3_000
  const refreshed = run(path.a, process.execPath, [PROGRAM, 'mtu', '--refresh'])
  const confirmed: number[] = []
  for (let turn = 0; performance.now() < untilMs; await sleep(1)) {
    for (let i = 0; i < 30; i++) wire.trySend(frame)
    wire.flush()
    if (++turn % 100 !== 0) continue
    const { path_mtu } = (await ends.a.status()).peers[0]
    t.equal(path_mtu?.bytes, 1400)
    confirmed.push(path_mtu?.confirmed_s ?? Number.POSITIVE_INFINITY)
  }
  t.match(JSON.parse((await refreshed).stdout), {
    peers: [{ path_mtu: { bytes: 1400, how: 'acknowledged' } }],
  })
  t.ok(confirmed.length > 3 && confirmed.every((seconds) => seconds < 3), `confirmed ${confirmed} s before`)
  const { fragmented } = (await ends.a.status()).path
  t.ok(fragmented > 10_000, `${fragmented} frames in fragments`)
})

t.test('answers are few, however many ask', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  const ends = await bridged(path, '--mtu', '1458')
  using behind = hostsBehind(path)
  using wire = new PacketSocket(behind.c, 'eth0')
  const [frame] = framesOf(UDP_FLOW, [{ payload: new Uint8Array(1_400), flags: 0 }])
  const startedMs = performance.now()
  for (let sent = 0; sent < 3_000; await sleep(1)) {
    for (let i = 0; i < 10; i++) if (wire.trySend(frame)) sent++
    wire.flush()
  }
  await sleep(200)
  const seconds = (performance.now() - startedMs) / 1_000
  const { path: counts, drops } = await ends.a.status()
  t.ok(drops.over_path >= 2_900, `${drops.over_path} did not pass`)
  t.ok(counts.too_big_answers < 30 + 110 * seconds, `${counts.too_big_answers} were answered in ${seconds} s`)
})

/** Hosts behind bridges at both ends, which cannot see the tap's MTU. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, Host } from '../../../src/lab/host.js'
import { createLink, getLink, setLink } from '../../../src/linux/interface.js'
import { framesOf, PLAIN_FLOW } from '../../support/frames.js'
import { startFlow } from '../../support/hosts/flows.js'
import { run } from '../../support/hosts/lab.js'
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
  'without --mss-clamp nothing long comes through; with it, TCP does, both ways, IPv4 and IPv6',
  async (t) => {
    for (const clamp of [false, true]) {
      using path = pathOf(1500, 1400, 1500)
      const ends = await bridged(path, ...(clamp ? ['--mss-clamp'] : []))
      using behind = hostsBehind(path)
      const { c, d } = behind
      const first = await startFlow(c, d, '10.9.0.4', 1)
      const timeout = new Promise<undefined>((resolve) => setTimeout(resolve, 4_000, undefined).unref())
      const report = await Promise.race([first.ended, timeout])
      if (!clamp) {
        t.equal(report, undefined, 'it works for ping, and hangs')
        continue
      }
      t.ok((report?.bytes ?? 0) > 1_000_000, `${report?.bytes} bytes`)
      for (const [from, to, address] of [
        [d, c, '10.9.0.3'],
        [c, d, 'fd00:9::4'],
      ] as const) {
        const { bytes, error } = await (await startFlow(from, to, address, 1, 7600)).ended
        t.equal(error, null)
        t.ok(bytes > 1_000_000, `${bytes} bytes to ${address}`)
      }
      const { path: counts, drops } = await ends.a.status()
      t.ok(counts.mss_clamped >= 3, `${counts.mss_clamped} SYNs were clamped`)
      t.equal(drops.over_path, 0)
      t.ok(resent(c) + resent(d) < 20_000, `${resent(c) + resent(d)} segments were sent again`)
    }
  },
)

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

t.test('answers are few, however many ask', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  const ends = await bridged(path, '--mtu', '1458')
  using behind = hostsBehind(path)
  using wire = new PacketSocket(behind.c, 'eth0')
  const flow = { ...PLAIN_FLOW, protocol: 'udp', hosts: [3, 4], df: true } as const
  const [frame] = framesOf(flow, [{ payload: new Uint8Array(1_400), flags: 0 }])
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

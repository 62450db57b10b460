/** What happens to the kernel's own datapath if something on the host changes, or on the way. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { probeFor } from '../../../src/bpf/probe.js'
import { ECN } from '../../../src/wire/ecn.js'
import { because, carriedWithin, carrier } from '../../support/hosts/carried.js'
import { sendDatagrams } from '../../support/hosts/datagrams.js'
import {
  ONE_OF_FIVE,
  ok,
  type Pair,
  PROGRAM,
  pings,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'

const KERNEL = ['--datapath', 'kernel']

const carried = carriedWithin(15_000)

async function startBoth(pair: Pair, to = pair.underlay): Promise<readonly [RunningTunnel, RunningTunnel]> {
  const a = await startTunnel(pair.a, ...KERNEL, '10.9.0.1', to.b)
  const b = await startTunnel(pair.b, ...KERNEL, '10.9.0.2', to.a)
  await untilPing(pair.a, '10.9.0.2')
  await carried(a, b)
  return [a, b]
}

t.test(
  'a device that is down takes nothing: the worker counts it, and nothing counts as written',
  async (t) => {
    using pair = twoHosts()
    const [a, b] = await startBoth(pair)
    await ok(pair.b, 'ip', 'link', 'set', 'tap0', 'down')
    await because(b, 'device_down')
    const before = await b.status()
    t.notOk(await pings(pair.a, '10.9.0.2', '-c', '20', '-i', '0.01', '-W', '0.3'))
    const after = await b.status()
    const dropped = after.drops.device_down - before.drops.device_down
    t.ok(dropped >= 20, `${dropped} dropped`)
    t.equal(after.inbound.frames, before.inbound.frames)
    await ok(pair.b, 'ip', 'link', 'set', 'tap0', 'up')
    await carried(a, b)
    t.ok(await pings(pair.a, '10.9.0.2'))
  },
)

t.test('the interface of the underlay is made anew under the same name', async (t) => {
  using pair = twoHosts()
  const make = [
    'link add br0 address 02:00:00:00:00:77 type bridge',
    'link set eth0 master br0',
    `addr add ${pair.underlay.a}/24 dev br0`,
    'link set br0 up',
  ]
  const batch = (...lines: readonly string[]) =>
    ok(pair.a, 'sh', '-c', 'printf "%s\\n" "$@" | ip -batch -', 'sh', ...lines)
  await batch('addr flush dev eth0', ...make)
  const [a, b] = await startBoth(pair)
  for (let round = 0; round < 3; round++) {
    await batch('link del br0', ...make)
    await until('it is seen', async () => (await carrier(a)).by === 'workers', 1_000).catch(() => {})
    await untilPing(pair.a, '10.9.0.2', 2_500)
    await carried(a, b)
    t.ok(await pings(pair.a, '10.9.0.2'), `round ${round}`)
  }
})

for (const [what, version, hop] of [
  ['IPv4', 4, 4],
  ['IPv6', 6, 6],
  ['IPv4 by a router with an IPv6 address', 4, 6],
] as const)
  t.test(
    `${what}: frames take the router of the program's datagrams, if a rule looks at ports`,
    async (t) => {
      using pair = twoHosts()
      const { a, b, a6, b6 } = pair.underlay
      const [from, to] = version === 4 ? [a, b] : [a6, b6]
      const addresses = JSON.parse(await ok(pair.b, 'ip', '-j', 'addr', 'show', 'dev', 'eth0'))[0].addr_info
      const linkLocal = addresses.find(({ scope }: { scope: string }) => scope === 'link').local
      const router = hop === 4 ? '192.0.2.254' : linkLocal
      if (hop === 4) await ok(pair.b, 'ip', 'addr', 'add', `${router}/32`, 'dev', 'eth0')
      const via = ['via', ...(hop === version ? [] : ['inet6']), router, 'dev', 'eth0', 'onlink']
      await ok(pair.a, 'ip', `-${version}`, 'route', 'add', to, ...via, 'table', '100')
      const rule = ['ipproto', 'udp', 'dport', '5149', 'lookup', '100']
      await ok(pair.a, 'ip', `-${version}`, 'rule', 'add', ...rule)
      // All else would go there, and come to nobody.
      const nobody = ['lladdr', '02:00:00:00:00:99', 'dev', 'eth0', 'nud', 'permanent']
      await ok(pair.a, 'ip', 'neigh', 'replace', to, ...nobody)
      t.notOk(await pings(pair.a, to, '-W', '0.3'))
      const tunnels = await startBoth(pair, { ...pair.underlay, a: from, b: to })
      t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
      await carried(...tunnels)
    },
  )

t.test('probes are no frames: an end has sent what the other one has got', async (t) => {
  using pair = twoHosts()
  const [a, b] = await startBoth(pair)
  const read = async () => {
    const reports = [await a.status(), await b.status()]
    return reports.map(({ peers: [{ outbound, inbound }] }) => ({ outbound, inbound }))
  }
  const before = await read()
  await ok(pair.a, 'ping', '-q', '-c', '20', '-i', '0.01', '10.9.0.2')
  await sleep(4_000)
  const after = await read()
  const since = (end: 0 | 1, way: 'outbound' | 'inbound') =>
    (['frames', 'bytes'] as const).map((what) => after[end][way][what] - before[end][way][what])
  t.same(since(0, 'outbound'), since(1, 'inbound'))
  t.same(since(1, 'outbound'), since(0, 'inbound'))
  t.ok(since(0, 'outbound')[0] >= 20)
})

for (const mode of ['tap', 'tun'] as const)
  t.test(
    `mode ${mode}: a probe that comes by the socket is no frame, and nothing is learnt of it`,
    async (t) => {
      using pair = twoHosts()
      const to = { address: pair.underlay.b, port: 5149 }
      const b = await startTunnel(pair.b, '--mode', mode, '--dev', 'tap0', '10.9.0.2', pair.underlay.a)
      const { frame, packet } = probeFor(0, Uint8Array.of(2, 0, 0, 0, 0, 9))
      const probe = Buffer.from(mode === 'tap' ? frame : packet)
      const heard = async () => (await b.status()).peers[0].heard_s !== null
      await sendDatagrams(pair.a, { address: pair.underlay.a, port: 5149 }, to, [probe, probe])
      await until('they have come', heard)
      const { inbound, drops, peers } = await b.status()
      t.same(inbound, { frames: 0, bytes: 0 })
      t.equal(peers[0].inbound.frames, 0)
      t.equal(drops.not_allowed, 0)
      if (mode === 'tap')
        t.notMatch(await ok(pair.b, process.execPath, PROGRAM, 'fdb', 'tap0'), /02:00:00:00:00:09/)
    },
  )

/** The ECN of UDP datagrams, as a socket of b gets them. They left a with ECT(0). */
async function ecnOf(pair: Pair, count: number): Promise<number[]> {
  const receive = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.9.0.2', 7000))
s.settimeout(1.5)
s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
print('ready', flush=True)
try:
    while True: print('ECN', s.recvmsg(2000, 64)[1][0][2][0] & 3, flush=True)
except TimeoutError: pass`
  const send = `import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 2)
for i in range(${count}):
    s.sendto(bytes(500), ('10.9.0.2', 7000)); time.sleep(0.005)`
  const receiver = pair.b.spawn('python3', ['-c', receive])
  let text = ''
  receiver.stdout?.on('data', (chunk) => {
    text += chunk
  })
  await until('it listens', () => text.includes('ready'))
  await ok(pair.a, 'python3', '-c', send)
  await once(receiver, 'close')
  return [...text.matchAll(/ECN (\d)/g)].map(([, ecn]) => Number(ecn))
}

t.test('a packet of a marked datagram keeps a right sum, if the host has added it up before', async (t) => {
  using pair = twoHosts()
  // The host adds up what comes by VXLAN, because the cable says nothing of checksums.
  for (const [host, own, other, last] of [
    [pair.a, pair.underlay.a, pair.underlay.b, 1],
    [pair.b, pair.underlay.b, pair.underlay.a, 2],
  ] as const) {
    await ok(host, 'ethtool', '-K', 'eth0', 'tx', 'off')
    const vxlan = ['type', 'vxlan', 'id', '5', 'dstport', '4789', 'local', own, 'remote', other]
    await ok(host, 'ip', 'link', 'add', 'vx0', ...vxlan)
    host.configure('vx0', [`203.0.113.${last}/24`])
  }
  await startBoth(pair, { ...pair.underlay, a: '203.0.113.1', b: '203.0.113.2' })
  t.same(await ecnOf(pair, 20), Array(20).fill(ECN.ect0), 'without a mark')
  // VXLAN carries the mark of its own datagrams in.
  const hook = 'type filter hook ingress device eth0 priority 0;'
  await ok(pair.b, 'nft', `add table netdev m; add chain netdev m in { ${hook} }`)
  await ok(pair.b, 'nft', 'add rule netdev m in udp dport 4789 ip ecn set ce')
  t.same(await ecnOf(pair, 20), Array(20).fill(ECN.ce), 'with one')
})

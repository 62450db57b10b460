/** What happens to the kernel's own datapath if something on the host changes, or on the way. */
import { once } from 'node:events'
import t from 'tap'
import { ECN } from '../../../src/wire/ecn.js'
import {
  ok,
  type Pair,
  pings,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'

const KERNEL = ['--datapath', 'kernel']

const carrier = async (tunnel: RunningTunnel) => (await tunnel.status()).peers[0].datapath

async function carried(...tunnels: readonly RunningTunnel[]): Promise<void> {
  for (const tunnel of tunnels)
    await until('the kernel carries it', async () => (await carrier(tunnel)).by === 'kernel', 15_000)
}

const because = (tunnel: RunningTunnel, reason: string) =>
  until(`the reason is ${reason}`, async () => (await carrier(tunnel)).reason === reason)

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

import { constants, setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connect } from '../../../src/lab/host.js'
import {
  IN_VAIN,
  ok,
  type Pair,
  pings,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { endNames, serveNames, silenceNames, startNamed } from '../../support/hosts/names.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { transfer } from '../../support/hosts/transfer.js'

// Most of what is here is waiting.
t.jobs = 8

// What else the machine does is not what is measured. Programs that are started from here inherit it.
setPriority(constants.priority.PRIORITY_HIGHEST)

/** How long after the way is back the first ping may be answered; main looks around once a second. */
const RECOVERY_MS = 3_000

/** Both tunnels, and a ping that never ends, so that frames go out all the time. */
async function pinging(pair: Pair, to = pair.underlay, ...args: string[]) {
  const a = await startTunnel(pair.a, '10.9.0.1', to.b, ...args)
  const b = await startTunnel(pair.b, '10.9.0.2', to.a, ...args)
  await untilPing(pair.a, '10.9.0.2')
  pair.a.spawn('ping', ['-q', '-i', '0.05', '10.9.0.2'])
  return { a, b }
}

/** Takes the way away for a while; it must be gone then, and come back by itself. */
async function interrupted(t: Test, pair: Pair, forMs: number, away: () => unknown, back: () => unknown) {
  await away()
  await sleep(forMs)
  t.notOk(await pings(pair.a, '10.9.0.2', '-W', '0.2'), 'nothing passes')
  await back()
  const tookMs = await untilPing(pair.a, '10.9.0.2', RECOVERY_MS)
  t.pass(`it is back ${Math.round(tookMs)} ms after the way`)
}

function carriesOn(t: Test, ...tunnels: readonly RunningTunnel[]): void {
  for (const { child, stderr } of tunnels) {
    t.equal(child.exitCode, null)
    t.equal(stderr, '')
  }
}

// The longest first, so that the others run meanwhile.
t.test('a name is resolved again when keepalives are missed, and followed', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const moved = '192.0.2.22'
  const names = await serveNames(pair.a, pair.underlay.b)
  const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  const a = startNamed(t, pair.a)
  await a.said(/is up/)
  await untilPing(pair.a, '10.9.0.2')
  await until('it is known to answer', async () => (await a.status()).peers[0].keepalives === true)
  names.kill()
  pair.b.configure('eth0', [`${moved}/24`])
  await ok(pair.b, 'ip', 'addr', 'del', `${pair.underlay.b}/24`, 'dev', 'eth0')
  await ok(pair.b, 'ip', 'addr', 'add', `${moved}/24`, 'dev', 'eth0').catch(() => {})
  await serveNames(pair.a, moved)
  const lostMs = performance.now()
  pair.a.spawn('ping', ['-q', '-i', '0.5', '10.9.0.2'])
  await a.said(/host-b\.test has moved to 192\.0\.2\.22:5149/, 40_000)
  const tookMs = performance.now() - lostMs
  t.ok(tookMs > 5_000 && tookMs < 20_000, `noticed after ${(tookMs / 1000).toFixed(1)} s`)
  t.ok((await untilPing(pair.a, '10.9.0.2', RECOVERY_MS)) < RECOVERY_MS)
  t.match((await a.status()).peers[0], { host: 'host-b.test', endpoint: `${moved}:5149` })
  carriesOn(t, a, b)
})

t.test(
  'a name that cannot be resolved again is kept, and a stop need not wait for DNS',
  { buffered: true },
  async (t) => {
    using pair = twoHosts()
    const names = await serveNames(pair.a, pair.underlay.b)
    const a = startNamed(t, pair.a)
    await a.said(/is up/)
    names.kill()
    await silenceNames(pair.a)
    pair.a.spawn('ping', ['-q', '-i', '0.5', '10.9.0.2'])
    using wire = new PacketSocket(pair.a, 'lo')
    const [query] = await wire.capture(1, ({ bytes }) => bytes.includes('\x06host-b\x04test'), 40_000)
    t.ok(query, 'the name server is asked')
    const { code, tookMs } = await a.stop()
    t.equal(code, 0)
    // A look-up would go on for seconds; what a stop itself takes is measured where nothing else runs.
    t.ok(tookMs < 1_500, `it ended ${Math.round(tookMs)} ms after the signal`)
  },
)

for (const how of ['silent', 'without the name'] as const) {
  t.test(
    `at boot, while DNS is ${how}, the device is there, and the peer comes later`,
    { buffered: true },
    async (t) => {
      using pair = twoHosts()
      await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
      const silent = how === 'silent'
      const server = silent ? undefined : await serveNames(pair.a)
      const a = startNamed(t, pair.a)
      const up = await a.said(/tap0 is up: .* to host-b\.test, which is not found yet, over UDP/)
      t.equal(a.log[0], up, 'that is said first')
      t.equal(up.mtu_bytes, 1500 - 62, 'an MTU that fits Ethernet, with IPv6 outside, too')
      const said = await a.said(
        silent ? /DNS does not answer/ : /"host-b\.test" does not resolve \(ENOTFOUND\)/,
      )
      t.equal(said.level, 40)
      t.notOk(await pings(pair.a, '10.9.0.2', ...IN_VAIN))
      // musl waits for an answer longer than glibc.
      await until('the look-up has failed', async () => (await a.status()).peers[0]?.trouble !== null)
      t.match((await a.status()).peers[0], { endpoint: null, trouble: /host-b\.test/, state: 'new' })
      t.ok((await a.status()).drops.unreachable > 0, 'what is sent meanwhile is counted')
      await sleep(2_500)
      t.equal(
        a.log.filter(({ level }) => level === 40).length,
        2,
        'it says so once, and that it is not private',
      )
      if (server !== undefined) await endNames(server)
      await serveNames(pair.a, pair.underlay.b)
      const fromMs = performance.now()
      await a.said(/host-b\.test is at 192\.0\.2\.2:5149/)
      t.comment(`found ${Math.round(performance.now() - fromMs)} ms after the name`)
      await a.said(/the MTU is 1458 bytes now, was 1438/)
      await untilPing(pair.a, '10.9.0.2')
      t.equal((await a.stop()).code, 0)
    },
  )
}

t.test(
  'a start with --wait waits while there is no DNS, and goes on when DNS comes',
  { buffered: true },
  async (t) => {
    using pair = twoHosts()
    await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
    const a = startNamed(t, pair.a, '--wait')
    const said = await a.said(/DNS does not answer, so host-b\.test is not resolved yet/)
    t.equal(said.level, 40)
    await sleep(2_500)
    t.equal(a.log.length, 1, 'it says so once')
    t.same(leftIn(pair.a), [], 'there is no device yet')
    await serveNames(pair.a, pair.underlay.b)
    await a.said(/tap0 is up: .* to 192\.0\.2\.2:5149/)
    await untilPing(pair.a, '10.9.0.2')
    t.equal((await a.stop()).code, 0)
  },
)

t.test('the remote is not there yet: its host refuses, with ICMP errors', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  pair.a.spawn('ping', ['-q', '-i', '0.05', '10.9.0.2'])
  await until('an ICMP error has come', async () => (await a.status()).icmp.unreachable > 0)
  await sleep(2_000)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  t.ok((await untilPing(pair.a, '10.9.0.2', RECOVERY_MS)) < RECOVERY_MS)
  t.equal((await a.status()).drops.unreachable, 0, 'no error of one datagram has cost another')
  carriesOn(t, a)
})

t.test('the remote’s host is not there yet', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const late = '192.0.2.22'
  const a = await startTunnel(pair.a, '10.9.0.1', late)
  pair.a.spawn('ping', ['-q', '-i', '0.05', '10.9.0.2'])
  // The kernel asks for its MAC three times, a second apart.
  await until('the host is unreachable', async () => (await a.status()).icmp.unreachable > 0)
  pair.b.configure('eth0', [`${late}/24`])
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--listen', `${late}:5149`)
  t.ok((await untilPing(pair.a, '10.9.0.2', RECOVERY_MS)) < RECOVERY_MS)
  carriesOn(t, a)
})

t.test('the remote is restarted: killed, and ended well', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const { a, b } = await pinging(pair)
  let remote = b
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await interrupted(
      t,
      pair,
      500,
      () => remote.stop(signal),
      async () => {
        remote = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
      },
    )
  }
  carriesOn(t, a, remote)
})

t.test('TCP goes on where it was when the remote was restarted', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const { a, b } = await pinging(pair)
  const bytes = 96 * 1024 * 1024
  const moving = transfer({ listener: pair.b, address: '10.9.0.2', connector: pair.a, bytes })
  await until('half of it is through', async () => (await a.status()).outbound.bytes > bytes / 2)
  await b.stop('SIGKILL')
  await sleep(500)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  const { listener, connector } = await moving
  t.same(listener.received, connector.sent)
  t.same(connector.received, listener.sent)
})

t.test('ICMP errors that come thick cost no offload', { buffered: true }, async (t) => {
  using pair = twoHosts()
  for (const setting of ['icmp_ratemask=0', 'icmp_msgs_per_sec=1000000', 'icmp_msgs_burst=100000'])
    await ok(pair.b, 'sysctl', '-qw', `net.ipv4.${setting}`)
  // A shaped way back lets them come late and in the middle of other sends, as over a network.
  const slow = ['tbf', 'rate', '200mbit', 'burst', '5kb', 'limit', '64mb']
  await ok(pair.b, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...slow)
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await ok(pair.a, 'ip', 'neigh', 'add', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'tap0')
  pair.a.spawn('socat', ['-u', '-b1400', '/dev/zero', 'UDP-SENDTO:10.9.0.2:9'])
  const errors = async () => {
    const { icmp } = await a.status()
    return icmp.unreachable + icmp.unread
  }
  await until('many errors', async () => (await errors()) > 10_000, 30_000)
  const { offloads, outbound, drops } = await a.status()
  t.equal(offloads.udp_segment, true)
  t.ok(outbound.frames > 10_000)
  t.equal(drops.unreachable + drops.send_failed, 0, 'not a frame is lost')
  carriesOn(t, a)
})

for (const kind of ['none', 'unreachable', 'prohibit', 'blackhole'] as const) {
  const what = kind === 'none' ? 'the route is gone' : `the route is of type ${kind}`
  t.test(`${what}, and comes back`, { buffered: true }, async (t) => {
    using pair = twoHosts()
    const { a, b } = await pinging(pair)
    const { b: remote } = pair.underlay
    const [away, back] =
      kind === 'none'
        ? [
            ['del', '192.0.2.0/24', 'dev', 'eth0'],
            ['add', '192.0.2.0/24', 'dev', 'eth0', 'src', '192.0.2.1'],
          ]
        : [
            ['add', kind, remote],
            ['del', kind, remote],
          ]
    const route = (change: readonly string[]) => ok(pair.a, 'ip', 'route', ...change)
    await interrupted(
      t,
      pair,
      kind === 'none' ? 10_000 : 2_000,
      () => route(away),
      () => route(back),
    )
    await a.said(/there is no route to 192\.0\.2\.2 any more; carrying on/)
    await a.said(/the route to 192\.0\.2\.2 is by eth0/)
    const { drops, peers } = await a.status()
    const reason = kind === 'prohibit' ? 'forbidden' : kind === 'blackhole' ? 'send_failed' : 'unreachable'
    t.ok(drops[reason] > 10, `${drops[reason]} frames are counted as ${reason}`)
    t.equal(peers[0].underlay?.interface, 'eth0')
    carriesOn(t, a, b)
  })
}

t.test('a start without a route to the remote waits for one', { buffered: true }, async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'ip', 'route', 'del', '192.0.2.0/24', 'dev', 'eth0')
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await a.said(/there is no route to 192\.0\.2\.2 yet/)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await ok(pair.a, 'ip', 'route', 'add', '192.0.2.0/24', 'dev', 'eth0', 'src', '192.0.2.1')
  t.ok((await untilPing(pair.a, '10.9.0.2', RECOVERY_MS)) < RECOVERY_MS)
  carriesOn(t, a)
})

for (const end of ['a', 'b'] as const) {
  const what = end === 'a' ? 'its own end of the underlay link' : 'the other end of the underlay link'
  t.test(`${what} goes down and up`, { buffered: true }, async (t) => {
    using pair = twoHosts()
    const { a, b } = await pinging(pair)
    const set = (state: string) => ok(pair[end], 'ip', 'link', 'set', 'eth0', state)
    await interrupted(
      t,
      pair,
      10_000,
      () => set('down'),
      () => set('up'),
    )
    carriesOn(t, a, b)
  })
}

t.test(
  'the underlay interface is made anew, the remote a link-local address',
  { buffered: true },
  async (t) => {
    using pair = twoHosts()
    const near = { host: pair.a, device: 'eth0', addresses: ['fe80::a/64'] }
    const far = { host: pair.b, device: 'eth0', addresses: ['fe80::b/64'] }
    const cable = async () => {
      await ok(pair.a, 'ip', 'link', 'del', 'eth0')
      connect(near, far)
    }
    // One address each, or the datagrams would come from the other.
    for (const host of [pair.a, pair.b])
      await ok(host, 'sysctl', '-qw', 'net.ipv6.conf.default.addr_gen_mode=1')
    await cable()
    const { a, b } = await pinging(pair, { ...pair.underlay, a: 'fe80::a%eth0', b: 'fe80::b%eth0' })
    await interrupted(
      t,
      pair,
      2_000,
      () => ok(pair.a, 'ip', 'link', 'del', 'eth0'),
      () => connect(near, far),
    )
    // Too quick for its name to be missed.
    await cable()
    t.ok((await untilPing(pair.a, '10.9.0.2', RECOVERY_MS)) < RECOVERY_MS)
    carriesOn(t, a, b)
  },
)

t.test('the underlay’s MTU falls below what the device can follow', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const { a, b } = await pinging(pair)
  for (const host of [pair.a, pair.b]) host.configure('eth0', [], { mtuBytes: 100 })
  await a.said(/the MTU is 68 bytes now/)
  for (const host of [pair.a, pair.b]) host.configure('eth0', [], { mtuBytes: 1500 })
  await a.said(/the MTU is 1458 bytes now, was 68/)
  t.ok((await untilPing(pair.a, '10.9.0.2', RECOVERY_MS)) < RECOVERY_MS)
  carriesOn(t, a, b)
})

t.test(
  'the device is moved to another network namespace and goes on there',
  { buffered: true },
  async (t) => {
    using pair = twoHosts()
    const { a, b } = await pinging(pair)
    const holder = pair.a.spawn('unshare', ['-n', 'sleep', '60'])
    await until('it has a namespace', () => holder.pid !== undefined)
    await sleep(200)
    await ok(pair.a, 'ip', 'link', 'set', 'tap0', 'netns', String(holder.pid))
    for (const args of [
      ['link', 'set', 'tap0', 'up'],
      ['addr', 'add', '10.9.0.1/24', 'dev', 'tap0'],
    ])
      await ok(pair.a, 'nsenter', '-n', '-t', String(holder.pid), 'ip', ...args)
    await ok(pair.a, 'nsenter', '-n', '-t', String(holder.pid), 'ping', '-c', '3', '-i', '0.1', '10.9.0.2')
    t.ok((await a.status()).outbound.frames > 0, 'its status is answered')
    await sleep(1_200)
    carriesOn(t, a, b)
  },
)

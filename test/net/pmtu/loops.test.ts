/** The way to a peer leads back into the tunnel: said once, the MTU stays, and all is well when it is mended. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { getLink } from '../../../src/linux/interface.js'
import {
  ok,
  type Pair,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'

// Each is in hosts of its own, and most of it is waiting.
t.jobs = 3

const LOOP_MS = 6_000
const WARN = 40

const mtuOf = (pair: Pair, device: string) => pair.a.netlink((netlink) => getLink(netlink, device).mtuBytes)

/** Both ends of a tunnel, when pings pass and the MTU is known. */
async function startBoth(pair: Pair): Promise<RunningTunnel> {
  const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  await until(
    'the path MTU is known',
    async () => (await tunnel.status()).peers[0].path_mtu?.how === 'acknowledged',
  )
  return tunnel
}

interface Loop {
  readonly tunnel: RunningTunnel
  readonly pair: Pair
  /** What the route to the peer is changed to. */
  readonly route: readonly string[]
  /** The warning. */
  readonly warns: RegExp
  /** How many lines about the MTU are said at most. */
  readonly mtuLines: number
}

/** Makes the loop and takes it away, with pings all the time. */
async function lives(t: Test, { tunnel, pair, route, warns, mtuLines }: Loop): Promise<void> {
  const lines = tunnel.log.length
  const said = (pattern: RegExp) => tunnel.log.slice(lines).filter(({ msg }) => pattern.test(String(msg)))
  const before = (await tunnel.status()).peers[0].outbound.frames
  pair.a.spawn('ping', ['-i', '0.05', '-s', '1000', '10.9.0.2'])
  await ok(pair.a, 'ip', 'route', 'add', `${pair.underlay.b}/32`, ...route)
  await tunnel.said(warns)
  await sleep(LOOP_MS)
  t.equal(mtuOf(pair, 'tap0'), 1458, 'the MTU is what it was')
  t.equal(said(warns).length, 1)
  t.match(said(warns)[0], { level: WARN })
  t.ok(said(/the MTU is/).length <= mtuLines, `${said(/the MTU is/).length} lines about the MTU`)
  const status = await tunnel.status()
  t.ok(
    // In all that time a storm would have a million.
    status.peers[0].outbound.frames - before < 100_000,
    `${status.peers[0].outbound.frames - before} frames`,
  )
  t.ok((status.drops.unreachable ?? 0) > 50, 'what cannot go out is counted')
  await ok(pair.a, 'ip', 'route', 'del', `${pair.underlay.b}/32`, ...route)
  const tookMs = await untilPing(pair.a, '10.9.0.2')
  t.ok(tookMs < 3_000, `mended after ${Math.round(tookMs)} ms`)
  await until(
    'the path MTU is known again',
    async () => {
      return (await tunnel.status()).peers[0].path_mtu?.how === 'acknowledged'
    },
    10_000,
  )
  t.equal(mtuOf(pair, 'tap0'), 1458)
}

t.test('by the device itself', async (t) => {
  using pair = twoHosts()
  const tunnel = await startBoth(pair)
  const warns = /the route to 192\.0\.2\.2 is by tap0, this tunnel itself, so nothing comes .* add a route/
  await lives(t, { tunnel, pair, route: ['dev', 'tap0'], warns, mtuLines: 0 })
})

t.test('through a second tunnel that is inside the first', async (t) => {
  using pair = twoHosts()
  const tunnel = await startBoth(pair)
  const flags = ['--listen', '6000', '--dev', 'tap1']
  await startTunnel(pair.a, '10.8.0.1', '10.9.0.2:6000', ...flags)
  await startTunnel(pair.b, '10.8.0.2', '10.9.0.1:6000', ...flags)
  await untilPing(pair.a, '10.8.0.2')
  await until('the second MTU', () => mtuOf(pair, 'tap1') === 1416)
  const warns = /is by tap1, and what tap1 carries goes through tap0, this tunnel itself, so nothing comes/
  await lives(t, { tunnel, pair, route: ['via', '10.8.0.2'], warns, mtuLines: 3 })
  await untilPing(pair.a, '10.8.0.2')
  await until('the second tunnel has its MTU again', () => mtuOf(pair, 'tap1') === 1416, 10_000)
})

t.test("through one of the kernel's tunnels that is inside this one", async (t) => {
  using pair = twoHosts()
  const tunnel = await startBoth(pair)
  for (const [host, me, other] of [
    [pair.a, 1, 2],
    [pair.b, 2, 1],
  ] as const) {
    await ok(host, 'ip', ...`link add vx0 type vxlan id 7 remote 10.9.0.${other} dstport 4789`.split(' '))
    host.configure('vx0', [`10.8.0.${me}/24`])
  }
  await untilPing(pair.a, '10.8.0.2')
  const warns = /is by vx0, and what vx0 carries goes through tap0, this tunnel itself, so nothing comes/
  await lives(t, { tunnel, pair, route: ['via', '10.8.0.2'], warns, mtuLines: 0 })
})

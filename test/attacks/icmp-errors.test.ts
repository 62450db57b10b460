/** Somebody who forges ICMP errors of every kind, 20,000 a second, while frames go through. */
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { DropReason, StatusReport } from '../../src/control/status.js'
import type { Host } from '../../src/lab/host.js'
import { allErrors } from '../support/forged-icmp.js'
import { forgedFrame } from '../support/hosts/forged-frame.js'
import type { FrameFlood } from '../support/hosts/frame-flooder.js'
import { ok, type RunningTunnel, startWarmTunnel, until, untilPing } from '../support/hosts/lab.js'
import { type Ends, type Path, pathOf, untilPathMtu } from '../support/hosts/path.js'
import { KeyFolder, keyFlags } from '../support/hosts/wireguard-go.js'

const FLOODER = fileURLToPath(new URL('../support/hosts/frame-flooder.js', import.meta.url))
const PER_SECOND = 20_000
const SECONDS = 4
/** What main looks at in a second, of each family, and as much again for a machine that is busy. */
const LOOKED_AT_PER_SECOND = 2 * 1_280

/** Frames that did not leave for want of a way, in the tunnel's own eyes. */
const OUTBOUND: readonly DropReason[] = [
  'unreachable',
  'forbidden',
  'send_failed',
  'send_buffer_full',
  'too_big',
  'over_path',
]

/** Frames of the router next to host a with errors about datagrams from there to host b. */
function forgeries(path: Path, ipv6: boolean): string[] {
  const [source, destination] = ipv6
    ? [path.underlay.a6, path.underlay.b6]
    : [path.underlay.a, path.underlay.b]
  const [from, gateway] = ipv6 ? ['2001:db8:1::2', '2001:db8:1::77'] : ['198.18.0.2', '198.18.0.77']
  const about = { source: { address: source, port: 5149 }, destination: { address: destination, port: 5149 } }
  return allErrors(gateway).map((header) => forgedFrame(path, { header, from, about }).toString('base64'))
}

async function flood(router: Host, frames: readonly string[]): Promise<number> {
  const options: FrameFlood = { device: 'left', frames, perSecond: PER_SECOND, seconds: SECONDS + 1 }
  return Number(await ok(router, process.execPath, FLOODER, JSON.stringify(options)))
}

/** Datagrams that a host's sockets had no room for: where the machine is busy, iperf3 does not keep up. */
async function overrun(host: Host): Promise<number> {
  const [names, values] = (await ok(host, 'cat', '/proc/net/snmp'))
    .split('\n')
    .filter((it) => it.startsWith('Udp:'))
  return Number(values.split(' ')[names.split(' ').indexOf('RcvbufErrors')])
}

interface Streams {
  readonly packets: number
  readonly lost: number
  /** As many as were too fast for this machine's programs, before the tunnel's way or behind it. */
  readonly machine: number
  readonly tcpMbits: number
}

/** 50 Mbit/s over UDP, and as much over TCP. */
async function streams(path: Path, near: RunningTunnel): Promise<Streams> {
  const slow = async () => (await overrun(path.b)) + (await near.status()).drops.device_queue_full
  const before = await slow()
  const [udp, tcp] = await Promise.all(
    [
      ['-u', '-p', '5201', '-l', '1300'],
      ['-p', '5202'],
    ].map(async (args) =>
      JSON.parse(
        await ok(path.a, 'iperf3', '-c', '10.9.0.2', '-b', '50M', '-t', String(SECONDS), '-J', ...args),
      ),
    ),
  )
  const { lost_packets, packets } = udp.end.sum
  const tcpMbits = Math.round(tcp.end.sum_received.bits_per_second / 1e6)
  return { packets, lost: lost_packets, machine: (await slow()) - before, tcpMbits }
}

const heard = ({ icmp }: StatusReport) => icmp.unreachable + icmp.too_big + icmp.other

async function underFlood(t: Test, path: Path, ends: Ends, ipv6: boolean): Promise<void> {
  // As a host that does not route, which would take redirects.
  await ok(path.a, 'sysctl', '-qw', 'net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0')
  await untilPing(path.a, '10.9.0.2')
  await untilPathMtu(ends.a, 1500, 'acknowledged', 20_000)
  const ports = ['5201', '5202']
  for (const port of ports) path.b.spawn('iperf3', ['-s', '-p', port], { stdio: 'ignore' })
  for (const port of ports)
    await until('iperf3 listens', async () => (await ok(path.b, 'ss', '-ltnH', 'sport', '=', port)) !== '')
  const frames = forgeries(path, ipv6)
  const quiet = await streams(path, ends.a)
  const atFirst = await ends.a.status()
  const [flooded, sent] = await Promise.all([streams(path, ends.a), flood(path.routers[0], frames)])
  const then = await ends.a.status()
  const looked = heard(then) - heard(atFirst)
  const unread = then.icmp.unread - atFirst.icmp.unread
  const perSecond = Math.round(sent / (SECONDS + 1))
  t.comment(
    `${perSecond} a second: ${looked} looked at, ${unread} not; ${JSON.stringify({ quiet, flooded })}`,
  )
  for (const reason of OUTBOUND) t.equal(then.drops[reason] - atFirst.drops[reason], 0, reason)
  t.ok(quiet.lost <= quiet.machine, 'without a flood no frame is lost on the way')
  t.ok(flooded.lost <= flooded.machine, 'nor is one with it')
  t.ok(perSecond > PER_SECOND / 2 && looked + unread > sent / 2, 'the forgeries have come')
  t.ok(looked < LOOKED_AT_PER_SECOND * (SECONDS + 2), 'no more are looked at than there is time for')
  const { peers, icmp } = await ends.a.status()
  t.match(peers[0].path_mtu, { bytes: 1500, how: 'acknowledged' })
  t.ok(icmp.too_big > 0 && icmp.unreachable > 0 && icmp.other > 0, JSON.stringify(icmp))
  t.equal(ends.a.log.filter(({ msg }) => /the MTU is/.test(String(msg))).length, 0, 'the MTU stayed')
}

for (const isPrivate of [false, true]) {
  for (const ipv6 of [false, true]) {
    const what = `${isPrivate ? 'a private' : 'a plain'} tunnel over ${ipv6 ? 'IPv6' : 'IPv4'}`
    t.test(`20,000 forged ICMP errors a second of every kind cost ${what} no frame`, async (t) => {
      using keys = new KeyFolder()
      using path = pathOf(1500, 1500)
      const [ka, kb] = [keys.make('a'), keys.make('b')]
      const keyed = (own: typeof ka, other: typeof ka) => (isPrivate ? keyFlags(own, other) : [])
      const { a, b, a6, b6 } = path.underlay
      if (ipv6) await untilPing(path.a, b6)
      const [near, far] = await Promise.all([
        startWarmTunnel(path.a, '10.9.0.1', ipv6 ? b6 : b, ...keyed(ka, kb)),
        startWarmTunnel(path.b, '10.9.0.2', ipv6 ? a6 : a, ...keyed(kb, ka)),
      ])
      await underFlood(t, path, { a: near, b: far }, ipv6)
      await near.stop()
      await far.stop()
    })
  }
}

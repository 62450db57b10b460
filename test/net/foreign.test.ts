import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { DropReason, StatusReport } from '../../src/control/status.js'
import { getLink } from '../../src/linux/interface.js'
import type { Endpoint } from '../../src/linux/sockaddr.js'
import type { DeviceMode } from '../../src/wire/mode.js'
import { sendDatagrams } from './datagrams.js'
import type { Flood, FloodReport } from './flooder.js'
import { BROADCAST, ETHERTYPE, frame, ipv4 } from './frames.js'
import {
  ok,
  type Pair,
  PROGRAM,
  pings,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from './lab.js'
import { Noise } from './noise.js'
import { PacketSocket } from './packet-socket.js'
import { transfer } from './transfer.js'

const PORT = 5149

/** Frames that differ, and that the kernel has no use for. */
function frames(count: number): Buffer[] {
  const noise = new Noise(count)
  return Array.from({ length: count }, () => frame(BROADCAST, ETHERTYPE.experimental, noise.bytes(60)))
}

/** Waits until as many datagrams have been dealt with; the report then. */
async function settled(tunnel: RunningTunnel, device: string, datagrams: number): Promise<StatusReport> {
  await until(`${datagrams} datagrams have been dealt with`, async () => {
    return accounted(await tunnel.status(device)) >= datagrams
  })
  return tunnel.status(device)
}

/** Drops of what came from the network, before it was written to the device. */
const INBOUND_DROPS = [
  'foreign',
  'empty',
  'runt',
  'oversize',
  'not_ip',
  'device_down',
  'device_refused',
  'storm',
  'filtered',
  'socket_buffer_full',
] as const satisfies readonly DropReason[]

/** Datagrams that came, as the counters have it: written to the device, or dropped for a reason. */
function accounted({ inbound, drops }: StatusReport): number {
  return INBOUND_DROPS.reduce((sum, reason) => sum + drops[reason], inbound.frames)
}

/** The drops that are not zero. */
function dropped({ drops }: StatusReport): Partial<Record<DropReason, number>> {
  return Object.fromEntries(Object.entries(drops).filter(([, count]) => count !== 0))
}

for (const underlay of ['IPv4', 'IPv6'] as const) {
  for (const acceptAny of [false, true]) {
    const what = acceptAny ? 'with --accept-any it takes' : 'it drops and counts'
    t.test(`${what} what comes from another address or port, ${underlay}`, async (t) => {
      using pair = twoHosts()
      const [to, peer, other] =
        underlay === 'IPv4'
          ? [pair.underlay.a, pair.underlay.b, '192.0.2.3']
          : [pair.underlay.a6, pair.underlay.b6, '2001:db8::3']
      pair.b.configure('eth0', [`${other}/${underlay === 'IPv4' ? 24 : 64}`])
      const tunnel = await startTunnel(pair.a, '10.9.0.1', peer, ...(acceptAny ? ['--accept-any'] : []))
      using device = new PacketSocket(pair.a, 'tap0')
      const sent = frames(30)
      const parts = [sent.slice(0, 10), sent.slice(10, 20), sent.slice(20)]
      const sources: Endpoint[] = [
        { address: peer, port: PORT + 1 },
        { address: other, port: PORT },
        { address: peer, port: PORT },
      ]
      for (const [index, from] of sources.entries())
        await sendDatagrams(pair.b, from, { address: to, port: PORT }, parts[index])

      const report = await settled(tunnel, 'tap0', 30)
      const written = acceptAny ? sent : parts[2]
      const arrived = await device.capture(written.length, ({ outgoing }) => !outgoing)
      t.same(
        arrived.map(({ bytes }) => bytes),
        written,
      )
      t.same(dropped(report), acceptAny ? {} : { foreign: 20 })
      t.equal(report.inbound.frames, written.length)
    })
  }
}

t.test(
  'with accept_any strangers are taken for the one peer that there is after a reload, too',
  async (t) => {
    using pair = twoHosts()
    mkdirSync(t.testdirName, { recursive: true })
    const file = join(t.testdirName, 'tunnel.yaml')
    const write = (peer: string) =>
      writeFileSync(file, `local: [10.9.0.1]\nmode: tun\naccept_any: true\npeers: [${peer}]\n`)
    write('192.0.2.77')
    const tunnel = await startTunnel(pair.a, '--config', file)
    write('192.0.2.78')
    await ok(pair.a, process.execPath, PROGRAM, 'reload')
    const from: Endpoint = { address: pair.underlay.b, port: PORT }
    await sendDatagrams(pair.b, from, { address: pair.underlay.a, port: PORT }, [ipv4(253, Buffer.alloc(8))])
    await until('a packet has been dealt with', async () => {
      const { inbound, drops } = await tunnel.status('tun0')
      return inbound.frames + drops.not_allowed === 1
    })
    const { inbound, peers } = await tunnel.status('tun0')
    t.same([inbound.frames, peers[0].inbound.frames], [1, 1])
  },
)

/** Datagrams of the peer's that are no frames (or packets), and what they are counted as. */
const MISFITS: Readonly<Record<DeviceMode, readonly [reason: DropReason, payloads: readonly Buffer[]][]>> = {
  tap: [
    ['empty', Array.from({ length: 7 }, () => Buffer.alloc(0))],
    ['runt', Array.from({ length: 13 }, (_, index) => Buffer.alloc(index + 1, 0xff))],
    ['oversize', [1519, 2000, 9000].map((bytes) => Buffer.alloc(bytes, 0xff))],
  ],
  tun: [
    ['empty', Array.from({ length: 7 }, () => Buffer.alloc(0))],
    [
      'not_ip',
      Array.from({ length: 16 }, (_, index) => Buffer.alloc(64, index << 4)).filter(
        (_, v) => v !== 4 && v !== 6,
      ),
    ],
    ['not_ip', [Buffer.alloc(19, 0x45), Buffer.alloc(39, 0x60)]],
    ['oversize', [1501, 2000, 9000].map((bytes) => Buffer.alloc(bytes, 0x45))],
  ],
}

for (const mode of ['tap', 'tun'] as const) {
  t.test(
    `in ${mode} mode it counts what is no ${mode === 'tap' ? 'frame' : 'packet'}, each for what it is`,
    async (t) => {
      using pair = twoHosts()
      const device = `${mode}0`
      const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mode', mode)
      using capture = new PacketSocket(pair.a, device)
      const from = { address: pair.underlay.b, port: PORT }
      const to = { address: pair.underlay.a, port: PORT }
      const expected: Record<string, number> = {}
      for (const [reason, payloads] of MISFITS[mode]) {
        await sendDatagrams(pair.b, from, to, payloads)
        expected[reason] = (expected[reason] ?? 0) + payloads.length
      }
      const fits = mode === 'tap' ? frames(3) : [ipv4(253, Buffer.alloc(8)), ipv4(253, Buffer.alloc(1480))]
      await sendDatagrams(pair.b, from, to, fits)
      const bad = Object.values(expected).reduce((sum, count) => sum + count)
      const report = await settled(tunnel, device, bad + fits.length)
      t.same(dropped(report), expected)
      const arrived = await capture.capture(fits.length + 1, ({ outgoing }) => !outgoing, 500)
      t.same(
        arrived.map(({ bytes }) => bytes),
        fits,
        'nothing else has reached the device',
      )
    },
  )
}

/** The memory that a process has in use. */
function rssMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1024
}

async function flood({ b, underlay }: Pair, datagrams: number, seed: number): Promise<FloodReport> {
  const flooder = fileURLToPath(new URL('./flooder.js', import.meta.url))
  const peer = { address: underlay.b, port: PORT }
  const order: Flood = {
    to: { address: underlay.a, port: PORT },
    from: [peer, { address: underlay.b, port: PORT + 1 }, peer, { address: '192.0.2.77', port: PORT }],
    datagrams,
    maxBytes: 1472,
    seed,
  }
  return JSON.parse(await ok(b, process.execPath, flooder, JSON.stringify(order)))
}

/** What has been sent to a host, as far as its cable took it, and what its tunnel has made of that. */
async function balance(pair: Pair, a: RunningTunnel, b: RunningTunnel, device: string) {
  const { rxDropped } = pair.a.netlink((netlink) => getLink(netlink, 'eth0')).statistics
  const [report, other] = [await a.status(device), await b.status(device)]
  return { accounted: accounted(report), byPeer: other.outbound.frames, lost: rxDropped, report }
}

async function survives(t: Test, mode: DeviceMode): Promise<void> {
  using pair = twoHosts()
  const device = `${mode}0`
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mode', mode)
  const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--mode', mode)
  await untilPing(pair.a, '10.9.0.2')
  await flood(pair, 200_000, 1)
  await sleep(500)

  const before = await balance(pair, a, b, device)
  const rssBefore = rssMiB(a.pid)
  const { sent, tookMs } = await flood(pair, 1_000_000, 2)
  await sleep(500)
  const rssAfter = rssMiB(a.pid)
  const after = await balance(pair, a, b, device)

  t.comment(
    `${sent} datagrams in ${Math.round(tookMs)} ms; RSS ${rssBefore.toFixed(1)} -> ${rssAfter.toFixed(1)} MiB; ` +
      `written ${after.report.inbound.frames}, dropped ${JSON.stringify(dropped(after.report))}, lost on the cable ${after.lost}`,
  )
  t.equal(sent, 1_000_000)
  t.ok(rssAfter - rssBefore < 10, `its memory has grown by ${(rssAfter - rssBefore).toFixed(1)} MiB`)
  t.equal(
    after.accounted - before.accounted,
    sent + (after.byPeer - before.byPeer) - (after.lost - before.lost),
    'every datagram has been written or is counted as dropped',
  )
  const { foreign, socket_buffer_full } = after.report.drops
  t.ok(foreign > 100_000, 'strangers were among them')
  t.ok(after.report.inbound.frames > 10_000, "and the peer's own")
  t.ok(socket_buffer_full < after.accounted, 'not everything was lost before it was seen')

  t.equal(a.child.exitCode, null, 'the tunnel is up')
  t.equal(a.stderr, '')
  t.ok(await pings(pair.a, '10.9.0.2'))
  t.ok(await pings(pair.b, '10.9.0.1'))
  const { listener, connector } = await transfer({
    listener: pair.b,
    address: '10.9.0.2',
    connector: pair.a,
    bytes: 8 * 1024 * 1024,
  })
  t.same(listener.received, connector.sent, 'traffic flows')
  t.same(connector.received, listener.sent, 'both ways')
  t.equal((await a.stop()).code, 0)
}

for (const mode of ['tap', 'tun'] as const)
  t.test(`a flood of a million random datagrams, half of them from the peer, ${mode}`, (t) =>
    survives(t, mode),
  )

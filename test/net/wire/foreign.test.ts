import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { DropReason, StatusReport } from '../../../src/control/status.js'
import type { Endpoint } from '../../../src/linux/sockaddr.js'
import type { DeviceMode } from '../../../src/wire/mode.js'
import { accounted, dropped } from '../../support/hosts/accounts.js'
import { sendDatagrams } from '../../support/hosts/datagrams.js'
import { BROADCAST, ETHERTYPE, frame, ipv4 } from '../../support/hosts/frames.js'
import { ok, PROGRAM, type RunningTunnel, startTunnel, twoHosts, until } from '../../support/hosts/lab.js'
import { Noise } from '../../support/hosts/noise.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'

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

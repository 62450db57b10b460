import t, { type Test } from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { ETHERNET_HEADER_BYTES } from '../../../src/wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../../../src/wire/ip.js'
import type { DeviceMode } from '../../../src/wire/mode.js'
import { ok, type Pair, pings, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { transfer } from '../../support/hosts/transfer.js'

const PORT = 5149
const IPPROTO_UDP = 17
const DONT_FRAGMENT = 0x4000

/** What a datagram on the underlay is made of. */
interface Datagram {
  readonly frameBytes: number
  readonly payload: Buffer
  /** The IPv4 header's flags and fragment offset; undefined for IPv6, which has none. */
  readonly fragmentWord: number | undefined
}

/** A frame of the underlay as a datagram of the tunnel, or undefined where it is none. */
function datagram(frame: Buffer): Datagram | undefined {
  const v4 = frame.readUInt16BE(12) === 0x0800
  const ip = ETHERNET_HEADER_BYTES
  if (frame[v4 ? ip + 9 : ip + 6] !== IPPROTO_UDP) return undefined
  const udp = ip + (v4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES)
  if (frame.readUInt16BE(udp + 2) !== PORT) return undefined
  return {
    frameBytes: frame.length,
    payload: frame.subarray(udp + UDP_HEADER_BYTES),
    fragmentWord: v4 ? frame.readUInt16BE(ip + 6) : undefined,
  }
}

/** Whether it is the ICMP echo (request or reply) of a `ping -s 100` inside. */
function isEcho(frame: Buffer, mode: DeviceMode): boolean {
  const ip = mode === 'tap' ? ETHERNET_HEADER_BYTES : 0
  return frame.length === ip + 128 && frame[ip] === 0x45 && frame[ip + 9] === 1
}

async function figures(t: Test, mode: DeviceMode, underlay: 'ipv4' | 'ipv6', bytes: number, outer: number) {
  using pair = twoHosts()
  const device = `${mode}0`
  const { a, b, a6, b6 } = pair.underlay
  const [toA, toB] = underlay === 'ipv4' ? [a, b] : [a6, b6]
  await startTunnel(pair.a, '10.9.0.1', toB, '--mode', mode)
  await startTunnel(pair.b, '10.9.0.2', toA, '--mode', mode)
  await untilPing(pair.a, '10.9.0.2')

  using innerA = new PacketSocket(pair.a, device)
  using outerA = new PacketSocket(pair.a, 'eth0')
  using innerB = new PacketSocket(pair.b, device)
  using outerB = new PacketSocket(pair.b, 'eth0')
  t.ok(await pings(pair.a, '10.9.0.2', '-s', '100'))

  const payloadOf = (frame: Buffer) => datagram(frame)?.payload ?? Buffer.alloc(0)
  const inner = await Promise.all(
    [innerA, innerB].map((it) => it.capture(2, ({ bytes }) => isEcho(bytes, mode))),
  )
  const carried = await Promise.all(
    [outerA, outerB].map((it) => it.capture(2, ({ bytes }) => isEcho(payloadOf(bytes), mode))),
  )
  for (const side of [0, 1]) {
    const name = side === 0 ? 'near side' : 'far side'
    t.same(
      inner[side].map(({ bytes, outgoing }) => [bytes.length, outgoing]),
      [
        [bytes, side === 0],
        [bytes, side === 1],
      ],
      `${name}: request and reply on the device`,
    )
    for (const index of [0, 1]) {
      const it = datagram(carried[side][index].bytes)
      t.equal(it?.frameBytes, outer, `${name}: on the underlay`)
      t.same(it?.payload, inner[0][index].bytes, `${name}: the payload is the frame and nothing else`)
      t.same(inner[side][index].bytes, inner[0][index].bytes, `${name}: the same frame on both devices`)
      if (underlay === 'ipv4') t.equal(it?.fragmentWord, DONT_FRAGMENT, `${name}: DF, and no fragment`)
    }
  }
}

t.test('the article: ping -s 100 is 142 bytes on the tap and 42 more on the underlay', async (t) => {
  await figures(t, 'tap', 'ipv4', 142, 142 + 42)
})

t.test('ping -s 100 in a tun is 128 bytes, and 42 more on the underlay', async (t) => {
  await figures(t, 'tun', 'ipv4', 128, 128 + 42)
})

t.test('over IPv6 it is 62 more', async (t) => {
  await figures(t, 'tap', 'ipv6', 142, 142 + 62)
  await figures(t, 'tun', 'ipv6', 128, 128 + 62)
})

/** An end that is no part of this project, with the MTU of a device that nobody has told of the overhead. */
async function startSocat({ b, underlay }: Pair, mode: DeviceMode): Promise<void> {
  const device = `TUN:10.9.0.2/24,tun-name=${mode}0,tun-type=${mode},iff-no-pi,iff-up`
  b.spawn('socat', [device, `UDP:${underlay.a}:${PORT},bind=${underlay.b}:${PORT}`])
  const isUp = async (host: Host) =>
    JSON.parse(await ok(host, 'ip', '-j', 'addr')).some(
      (link: { ifname: string; addr_info: unknown[] }) =>
        link.ifname === `${mode}0` && link.addr_info.length > 0,
    )
  await until('socat has a device', () => isUp(b))
}

for (const mode of ['tap', 'tun'] as const) {
  t.test(`socat is the other end, ${mode}: pings both ways and bulk both ways`, async (t) => {
    using pair = twoHosts()
    const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mode', mode)
    await startSocat(pair, mode)
    await untilPing(pair.a, '10.9.0.2')
    t.ok(await pings(pair.b, '10.9.0.1'), 'ping from socat')
    t.ok(await pings(pair.a, '10.9.0.2', '-s', '1400'), 'a long one to socat')
    t.ok(await pings(pair.b, '10.9.0.1', '-s', '1472'), 'one of 1500 bytes from socat, in outer fragments')
    const { listener, connector, tookMs } = await transfer({
      listener: pair.b,
      address: '10.9.0.2',
      connector: pair.a,
      bytes: 16 * 1024 * 1024,
    })
    t.same(listener.received, connector.sent)
    t.same(connector.received, listener.sent)
    t.comment(`16 MiB each way in ${Math.round(tookMs)} ms`)
    const { drops } = await tunnel.status(`${mode}0`)
    for (const reason of ['foreign', 'empty', 'runt', 'oversize', 'not_ip', 'device_refused'] as const)
      t.equal(drops[reason], 0, reason)
  })
}

t.test(
  'an end that has not been told of the overhead sends full frames, whatever the underlay is',
  async (t) => {
    using pair = twoHosts(1400)
    await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    await startSocat(pair, 'tap')
    await untilPing(pair.a, '10.9.0.2')
    t.ok(await pings(pair.b, '10.9.0.1', '-s', '1472'), 'a frame of 1514 bytes in outer fragments')
  },
)

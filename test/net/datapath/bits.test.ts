/**
 * What the kernel's own datapath puts on an underlay without offloads is what the workers would have sent, bit for bit,
 * but for the UDP checksum. And what a worker must not give to the device.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { getLink } from '../../../src/linux/interface.js'
import { PacketSender } from '../../../src/linux/packet-sender.js'
import { internetChecksum } from '../../../src/wire/checksum.js'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../src/wire/ethernet.js'
import { type Flow, framesOf, PLAIN_FLOW } from '../../support/frames.js'
import { ipv4, ipv6 } from '../../support/hosts/frames.js'
import { ok, type RunningTunnel, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'

const PORT = 5149
const ETHERNET_BYTES = 14

const macOf = (host: Host, device: string) =>
  Buffer.from((host.netlink((it) => getLink(it, device).mac) ?? '').replaceAll(':', ''), 'hex')

const carrier = async (tunnel: RunningTunnel) => (await tunnel.status()).peers[0].datapath.by

/** Frames of some lengths, for the device of `b` from that of `a`, in mode tun without Ethernet headers. */
function samples(mode: 'tap' | 'tun', a: Buffer, b: Buffer, longest: number): Buffer[] {
  const l2 = mode === 'tap' ? 14 : 0
  return [0, 1, 63, 500, 'longest' as const].flatMap((payload) =>
    ([4, 6] as const).flatMap((ip) =>
      (['tcp', 'udp'] as const).map((protocol) => {
        const flow: Flow = { ...PLAIN_FLOW, ip, l2, protocol, hosts: [1, 2], options: new Uint8Array(0) }
        const headers = l2 + (ip === 4 ? 20 : 40) + (protocol === 'tcp' ? 20 : 8)
        const bytes = payload === 'longest' ? longest - headers : payload
        const [frame] = framesOf(flow, [{ payload: new Uint8Array(bytes).fill(7), flags: 0x10 }])
        if (mode === 'tap') Buffer.concat([b, a]).copy(frame)
        return Buffer.from(frame)
      }),
    ),
  )
}

for (const [mode, version] of [
  ['tap', 4],
  ['tap', 6],
  ['tun', 4],
  ['tun', 6],
] as const) {
  t.test(`mode ${mode} over IPv${version}: both ways send the same datagrams`, async (t) => {
    using pair = twoHosts()
    const to = version === 4 ? pair.underlay : { a: pair.underlay.a6, b: pair.underlay.b6 }
    for (const host of [pair.a, pair.b])
      await ok(host, 'ethtool', '-K', 'eth0', 'tx', 'off', 'gso', 'off', 'tso', 'off', 'gro', 'off')
    using underlay = new PacketSocket(pair.b, 'eth0')
    const ip = ETHERNET_BYTES
    const udp = ip + (version === 4 ? 20 : 40)

    /** The datagrams of these frames as they came to the other end's underlay, without their UDP checksums. */
    const sentBy = async (datapath: 'kernel' | 'workers') => {
      const flags = ['--mode', mode, '--dev', 'tap0', '--datapath', datapath]
      const local = (host: 1 | 2) => [
        ...[`10.9.0.${host}`, `fd00:9::${host}`, ...flags],
        ...(mode === 'tap' ? ['--mac', `02:00:00:00:00:0${host}`] : []),
      ]
      const a = await startTunnel(pair.a, ...local(1), to.b)
      const b = await startTunnel(pair.b, ...local(2), to.a)
      for (const address of ['10.9.0.2', 'fd00:9::2']) await untilPing(pair.a, address)
      await until(`the ${datapath} carries`, async () => (await carrier(a)) === datapath, 10_000)
      await until(`and the other end's`, async () => (await carrier(b)) === datapath, 10_000)
      const longest = (await a.status()).mtu_bytes + (mode === 'tap' ? ETHERNET_BYTES : 0)
      const { index } = pair.a.netlink((it) => getLink(it, 'tap0'))
      const macs =
        mode === 'tap' ? [macOf(pair.a, 'tap0'), macOf(pair.b, 'tap0')] : [Buffer.alloc(0), Buffer.alloc(0)]
      const frames = samples(mode, macs[0], macs[1], longest)
      underlay.flush()
      for (const frame of frames) {
        const v6 = frame[mode === 'tap' ? ETHERNET_BYTES : 0] >>> 4 === 6
        const sender = pair.a.run(() => new PacketSender(index, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4))
        t.equal(sender.send(frame), 0)
        sender.close()
        await sleep(2)
      }
      const came = await underlay.capture(
        frames.length,
        ({ bytes, outgoing }) => !outgoing && frames.some((it) => bytes.subarray(udp + 8).equals(it)),
      )
      for (const tunnel of [a, b]) t.equal((await tunnel.stop()).code, 0)
      t.equal(came.length, frames.length, `all that the ${datapath} sent`)
      const sums = came.map(({ bytes }) => bytes.readUInt16BE(udp + 6))
      t.ok(
        sums.every((sum) => (sum === 0) === (datapath === 'kernel')),
        `UDP checksums of the ${datapath}`,
      )
      return came.map(({ bytes }) => {
        t.equal(bytes.readUInt16BE(udp + 2), PORT)
        bytes.writeUInt16BE(0, udp + 6)
        // The kernel derives a label from the flow of the socket (net.ipv6.auto_flowlabels), and the programs have none.
        if (version === 6) bytes.writeUInt32BE(0x6000_0000, ip)
        return bytes.toString('hex')
      })
    }
    const workers = await sentBy('workers')
    const kernel = await sentBy('kernel')
    t.same(kernel, workers)
  })
}

t.test('a worker gives no frame to the device whose checksum nobody has filled in', async (t) => {
  for (const version of [4, 6] as const) {
    using pair = twoHosts()
    const to = version === 4 ? pair.underlay : { a: pair.underlay.a6, b: pair.underlay.b6 }
    const kernel = ['--datapath', 'kernel']
    const a = await startTunnel(pair.a, ...kernel, '10.9.0.1', to.b)
    const b = await startTunnel(pair.b, ...kernel, '10.9.0.2', to.a)
    await untilPing(pair.a, '10.9.0.2')
    for (const tunnel of [a, b])
      await until('the kernel carries', async () => (await carrier(tunnel)) === 'kernel', 10_000)
    // To a group, which no program takes: so it comes to the worker, as what comes by another interface would.
    const flow: Flow = { ...PLAIN_FLOW, protocol: 'udp', hosts: [2, 1] }
    const [right] = framesOf(flow, [{ payload: new Uint8Array(100), flags: 0 }])
    right.set([0x01, 0, 0x5e, 0, 0, 0x63])
    const wrong = Uint8Array.from(right)
    wrong[wrong.length - 1] ^= 1
    using wire = new PacketSocket(pair.b, 'eth0')
    const macs = Buffer.concat([macOf(pair.a, 'eth0'), macOf(pair.b, 'eth0')])
    const send = (frame: Uint8Array) => wire.send(unsummed(version, macs, to, frame))

    const before = await a.status()
    send(wrong)
    await until('it is counted', async () => (await a.status()).drops.checksum === before.drops.checksum + 1)
    send(right)
    await until(
      'the right one is written',
      async () => (await a.status()).inbound.frames >= before.inbound.frames + 1,
    )
    t.equal((await a.status()).drops.checksum, 1, `over IPv${version}`)
    for (const tunnel of [a, b]) t.equal((await tunnel.stop()).code, 0)
  }
})

/** A datagram without UDP checksum from `b` to `a`, as the other end's program would send it. */
function unsummed(
  version: 4 | 6,
  macs: Buffer,
  { a, b }: Record<'a' | 'b', string>,
  frame: Uint8Array,
): Buffer {
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(PORT, 0)
  udp.writeUInt16BE(PORT, 2)
  udp.writeUInt16BE(8 + frame.length, 4)
  const payload = Buffer.concat([udp, frame])
  const packet = version === 4 ? ipv4(17, payload) : ipv6(17, payload)
  const bytes = (address: string) => Buffer.from(ipaddr.parse(address).toByteArray())
  if (version === 4) {
    packet.set(bytes(b), 12)
    packet.set(bytes(a), 16)
    packet.writeUInt16BE(0, 10)
    packet.writeUInt16BE(internetChecksum(packet, 0, 20), 10)
  } else {
    packet.set(bytes(b), 8)
    packet.set(bytes(a), 24)
  }
  const type = Buffer.from(version === 4 ? [0x08, 0x00] : [0x86, 0xdd])
  return Buffer.concat([macs, type, packet])
}

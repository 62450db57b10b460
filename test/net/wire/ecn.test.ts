/** Congestion marks over a real router (RFC 6040): the packet's mark on the datagram, and the router's in the packet. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { ETHERNET_HEADER_BYTES } from '../../../src/wire/ethernet.js'
import { IPPROTO_UDP } from '../../../src/wire/udp.js'
import { dsFieldOf } from '../../support/hosts/bpf-end.js'
import { IN_VAIN, ok, pings, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { type Path, pathOf } from '../../support/hosts/path.js'
import { transfer } from '../../support/hosts/transfer.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

const PORT = 5149
/** On the underlay, nothing of the program's own is as long as the pings: it is shorter, or a probe of the path MTU. */
const PING = ['-s', '700'] as const
const LEAST_BYTES = 700
const MOST_BYTES = 900
const CE = 3
const SUPER_BYTES = 3_000

/** The DS field of a datagram of the tunnel; undefined for anything else. */
function outerOf(bytes: Buffer): number | undefined {
  const isIpv4 = bytes.readUInt16BE(12) === 0x0800
  const udp = ETHERNET_HEADER_BYTES + (isIpv4 ? 20 : 40)
  if (bytes[ETHERNET_HEADER_BYTES + (isIpv4 ? 9 : 6)] !== IPPROTO_UDP || bytes.length < LEAST_BYTES)
    return undefined
  return bytes.readUInt16BE(udp + 2) === PORT ? dsFieldOf(bytes) : undefined
}

const pingOf = (bytes: Buffer) => (bytes.length > MOST_BYTES ? undefined : outerOf(bytes))

/** The router sets CE in all datagrams of the tunnel towards b. */
async function markAll({ routers: [router] }: Path): Promise<void> {
  await ok(router, 'nft', 'add', 'table', 'inet', 'marks')
  await ok(router, 'nft', 'add chain inet marks forward { type filter hook forward priority 0; }')
  for (const ip of ['ip', 'ip6'])
    await ok(router, 'nft', `add rule inet marks forward oifname right udp dport ${PORT} ${ip} ecn set ce`)
}

for (const [title, mode, underlay, flags, secret] of [
  ['workers', 'tap', 'IPv4', ['--datapath', 'workers'], false],
  ['kernel', 'tap', 'IPv4', ['--datapath', 'kernel', '--tos', 'inherit'], false],
  ['kernel', 'tun', 'IPv6', ['--datapath', 'kernel'], false],
  ['private', 'tun', 'IPv6', ['--tos', 'inherit'], true],
] as const) {
  t.test(`${title}, mode ${mode} over ${underlay}`, async (t) => {
    using path = pathOf(1500, 1500)
    using keys = new KeyFolder()
    const [ka, kb] = [keys.make('a'), keys.make('b')]
    const to = underlay === 'IPv4' ? path.underlay : { a: path.underlay.a6, b: path.underlay.b6 }
    if (underlay === 'IPv6') await untilPing(path.a, to.b)
    for (const host of [path.a, path.b]) host.run(() => writeFileSync('/proc/sys/net/ipv4/tcp_ecn', '1'))
    const all = ['--mode', mode, '--dev', 'tap0', ...flags]
    const keysOf = (own: typeof ka, other: typeof ka) => (secret ? keyFlags(own, other) : [])
    const near = await startTunnel(path.a, '10.9.0.1', to.b, ...all, ...keysOf(ka, kb))
    const far = await startTunnel(path.b, '10.9.0.2', to.a, ...all, ...keysOf(kb, ka))
    await untilPing(path.a, '10.9.0.2')
    const carrier = title === 'kernel' ? 'kernel' : 'workers'
    for (const end of [near, far])
      await until(
        'it is carried',
        async () => (await end.status('tap0')).peers[0].datapath.by === carrier,
        10_000,
      )

    using outer = new PacketSocket(path.b, 'eth0')
    using inner = new PacketSocket(path.b, 'tap0')
    const came = async (
      socket: PacketSocket,
      count: number,
      dsField: (bytes: Buffer) => number | undefined,
    ) =>
      (
        await socket.capture(count, ({ bytes, outgoing }) => !outgoing && dsField(bytes) !== undefined, 500)
      ).map(({ bytes }) => dsField(bytes))
    const innerOf = (bytes: Buffer) =>
      bytes.length < LEAST_BYTES ? undefined : dsFieldOf(bytes, mode === 'tap' ? ETHERNET_HEADER_BYTES : 0)
    const flush = () => {
      outer.flush()
      inner.flush()
    }
    const mask = (flags as readonly string[]).includes('inherit') ? 0xff : 0x03
    for (const dsField of [0, 1, 2, 3, 0xb8, 0xba]) {
      flush()
      t.ok(await pings(path.a, '10.9.0.2', ...PING, '-Q', String(dsField)))
      t.same(await came(outer, 1, pingOf), [dsField & mask], `the datagram of ${dsField}`)
      t.same(await came(inner, 1, innerOf), [dsField], 'and the packet at the other end')
    }

    flush()
    const { listener, connector } = await transfer({
      listener: path.b,
      address: '10.9.0.2',
      connector: path.a,
      bytes: 2_000_000,
    })
    t.same([listener.received, connector.received], [connector.sent, listener.sent])
    const marked = await outer.capture(Number.POSITIVE_INFINITY, (it) => outerOf(it.bytes) === 2, 50)
    t.ok(
      marked.some(({ bytes }) => bytes.length > SUPER_BYTES),
      'TCP with ECN is ECN-capable on the underlay, also in runs',
    )

    await markAll(path)
    for (const [dsField, wanted] of [
      [1, CE],
      [0xba, 0xbb],
      [3, CE],
    ]) {
      flush()
      t.ok(await pings(path.a, '10.9.0.2', ...PING, '-Q', String(dsField)))
      t.same(
        (await came(outer, 1, pingOf)).map((it) => (it ?? 0) & 3),
        [CE],
      )
      t.same(await came(inner, 1, innerOf), [wanted], `the router's mark is in the packet of ${dsField}`)
    }
    flush()
    const before = (await far.status('tap0')).drops.congested
    t.notOk(await pings(path.a, '10.9.0.2', ...PING, ...IN_VAIN), 'a loss, without ECN')
    t.equal((await came(outer, 1, pingOf)).length, 1)
    t.same(await came(inner, 1, innerOf), [])
    await until('it is counted', async () => (await far.status('tap0')).drops.congested > before)
    t.equal((await far.status('tap0')).peers[0].state, 'up', 'what the program itself sends is not dropped')
  })
}

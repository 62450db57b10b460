/** Frames that are too long for the path, and whose senders cannot be told, go in fragments. */
import { ETHERNET_HEADER_BYTES } from '../../src/wire/ethernet.js'
import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

/** A full frame of Ethernet. The device takes it as a port of a bridge. */
const LONG_BYTES = 1_514
/** A frame that any path here carries in one datagram. */
const SHORT_BYTES = 1_000

const PATH_BYTES = 1_400

const UNDERLAYS = [
  ['IPv4', (number: number) => `198.51.100.${number}`],
  ['IPv6', (number: number) => `2001:db8::${number}`],
] as const

/** Two hosts that are up, with devices that are ports of bridges of 1500, and know what the path carries. */
async function bridged(
  world: SimWorld,
  addressOf: (number: number) => string,
  way: { icmp?: boolean; secret?: boolean } = {},
): Promise<readonly [a: SimHost, b: SimHost]> {
  const { icmp = true, secret = true } = way
  const number = world.hosts.length + 1
  const [a, b] = [number, number + 1].map((it) =>
    world.host(`h${it}`, { addresses: [addressOf(it)], secret }),
  )
  world.between(a, b, { mtuBytes: PATH_BYTES, icmp })
  await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
  for (const { platform } of [a, b]) platform?.device?.join({ index: 3, name: 'br0', othersBytes: [1500] })
  await world.pass(10_000)
  return [a, b]
}

for (const [family, addressOf] of UNDERLAYS) {
  for (const secret of [true, false]) {
    const kind = secret ? 'private' : 'plain'
    simTest(`${kind} over ${family}: a long frame arrives whole over a narrow link`, async (t, world) => {
      const [a, b] = await bridged(world, addressOf, { secret })
      t.equal(a.mtuBytes, 1500)
      t.match(a.peer(b.name).path_mtu, { bytes: PATH_BYTES, how: 'acknowledged' })
      const packets: number[][] = []
      world.network.watch = (datagram) => {
        if (datagram.from === a.name && datagram.payload.length > SHORT_BYTES)
          packets.push([...datagram.packets])
      }
      const most = Number(a.peer(b.name).carried_mtu_bytes) + ETHERNET_HEADER_BYTES
      const lengths = [SHORT_BYTES, most, most + 1, LONG_BYTES - 1, LONG_BYTES]
      for (const bytes of lengths) a.offer(b, `of ${bytes}`, bytes)
      a.offer(b, 'longer than the device takes', LONG_BYTES + 5)
      await world.pass(100)
      world.network.watch = () => {}
      t.same(
        b.received.map(({ text, bytes }) => [text, bytes]),
        lengths.map((bytes) => [`of ${bytes}`, bytes]),
      )
      t.equal(a.status().path.fragmented, 3)
      t.equal(a.status().drops.over_path, 1)
      if (family === 'IPv6')
        t.ok(
          packets.flat().every((bytes) => bytes <= PATH_BYTES),
          'no router would cut it',
        )
      else
        t.ok(
          packets.flat().some((bytes) => bytes > PATH_BYTES && bytes <= 1500),
          'a router cuts it',
        )
    })
  }

  simTest(`over ${family} a lost fragment is the whole frame, and nothing more`, async (t, world) => {
    const [a, b] = await bridged(world, addressOf)
    for (const lost of [0, 1]) {
      world.network.swallowsFragment = (index) => index === lost
      a.offer(b, `without fragment ${lost}`, LONG_BYTES)
      a.offer(b, 'short', SHORT_BYTES)
      await world.pass(100)
      world.network.swallowsFragment = () => false
      a.offer(b, 'long', LONG_BYTES)
      await world.pass(100)
    }
    t.same(b.texts, ['short', 'long', 'short', 'long'])
    const { drops, path } = b.status()
    t.same(
      Object.entries(drops).filter(([, count]) => count > 0),
      [],
      'nothing of it comes to the program',
    )
    t.equal(path.fragmented, 0)
    t.equal(a.status().path.fragmented, 4, 'for the sender they have gone')
  })

  simTest(`over ${family} a link that drops fragments misleads nobody`, async (t, world) => {
    const [a, b] = await bridged(world, addressOf)
    world.between(a, b, { fragments: false })
    world.flow(a, b, 50, LONG_BYTES)
    world.flow(b, a, 70, SHORT_BYTES)
    await world.pass(700_000)
    t.equal(b.received.length, 0)
    t.ok(a.received.length > 9_900)
    // Nobody notices it: probes and keepalives go whole. So neither the peer nor its path counts as worse than it is.
    for (const [host, peer] of [
      [a, b],
      [b, a],
    ]) {
      t.match(host.peer(peer.name), { state: 'up', path_mtu: { bytes: PATH_BYTES, how: 'acknowledged' } })
      t.equal(host.mtuBytes, 1500)
      t.same(
        host.lines.filter(({ level }) => level >= 40),
        [],
      )
    }
    world.between(a, b, { fragments: true })
    await world.pass(1_000)
    t.ok(b.received.length >= 19)
  })

  simTest(`over ${family} a flood of fragments does not make the path look wide`, async (t, world) => {
    const [a, b] = await bridged(world, addressOf)
    const end = world.flow(a, b, 2, LONG_BYTES)
    const fragmented: number[] = []
    world.network.watch = ({ from, packets, payload }) => {
      if (from === a.name && packets.length > 1) fragmented.push(payload.length)
    }
    await world.pass(3_000)
    const report = await world.run(Promise.resolve(a.platform?.commands.mtu_refresh({}, () => {})))
    t.match(report, { mtu_bytes: 1500, peers: [{ path_mtu: { bytes: PATH_BYTES, how: 'acknowledged' } }] })
    world.between(a, b, { mtuBytes: 1350 })
    await world.pass(5_000)
    t.equal(a.peer(b.name).path_mtu?.bytes, 1350)
    end()
    await world.pass(100)
    t.ok(fragmented.length > 3_000)
    t.equal(new Set(fragmented).size, 1, 'nothing else goes in fragments')
  })
}

simTest('over IPv6 that says nothing of what is too long, nothing goes in fragments', async (t, world) => {
  const [, addressOf] = UNDERLAYS[1]
  const [a, b] = await bridged(world, addressOf, { icmp: false })
  t.match(a.peer(b.name).path_mtu, { bytes: PATH_BYTES, how: 'acknowledged' })
  for (let i = 0; i < 10; i++) a.offer(b, 'long', LONG_BYTES)
  await world.pass(100)
  t.same(b.texts, [])
  t.equal(a.status().path.fragmented, 0)
  t.equal(a.status().drops.over_path, 10, 'they are dropped and counted')
  world.between(a, b, { icmp: true })
  await world.pass(750_000)
  a.offer(b, 'after a search', LONG_BYTES)
  await world.pass(100)
  t.same(b.texts, ['after a search'])
})

simTest('over IPv6 the kernel forgets what the path carries, and is reminded', async (t, world) => {
  const [, addressOf] = UNDERLAYS[1]
  const [a, b] = await bridged(world, addressOf)
  const lost: number[] = []
  for (const [everyMs, frames] of [
    [1_000, 3_600],
    [70_000, 51],
  ]) {
    const before = b.received.length
    for (let frame = 0; frame < frames; frame++) {
      a.offer(b, `${frame}`, LONG_BYTES)
      await world.pass(everyMs)
    }
    lost.push(frames - (b.received.length - before))
  }
  // A frame may come before main looks: then it is what reminds the kernel. That is once in ten minutes.
  t.ok(lost[0] <= 6, `${lost[0]} frames of one hour were lost, with one a second`)
  t.equal(lost[1], 0, `${lost[1]} with one in 70 s`)
  t.equal(a.status().drops.over_path, 0)
  t.same(
    a.lines.filter(({ level }) => level >= 40),
    [],
  )

  t.comment('from now on no router says it any more')
  world.between(a, b, { icmp: false })
  await world.pass(700_000)
  const before = { came: b.received.length, dropped: a.status().drops.over_path }
  for (let i = 0; i < 10; i++) a.offer(b, 'in vain', LONG_BYTES)
  await world.pass(100)
  t.equal(b.received.length, before.came)
  t.equal(a.status().drops.over_path, before.dropped + 10)
})

simTest(
  'a NAT that lets no fragments through loses the long frames of the hosts behind it',
  async (t, world) => {
    const nat = world.nat('203.0.113.1', 'cone')
    const inner = world.host('inner', { addresses: ['10.0.0.2'], nat })
    const server = world.host('server')
    world.between(inner, server, { mtuBytes: PATH_BYTES, fragments: false })
    await world.run(
      Promise.all([
        server.begin({ peers: [inner.asPeer({ endpoint: undefined })] }),
        inner.begin({ peers: [server.asPeer({ persistent_keepalive: 25 })] }),
      ]),
    )
    for (const { platform } of [inner, server])
      platform?.device?.join({ index: 3, name: 'br0', othersBytes: [1500] })
    await world.pass(10_000)
    for (const [from, to] of [
      [inner, server],
      [server, inner],
    ]) {
      from.offer(to, 'long', LONG_BYTES)
      from.offer(to, 'short', SHORT_BYTES)
    }
    await world.pass(100)
    t.same([server.texts, inner.texts], [['short'], ['short']])
    for (const host of [inner, server]) t.equal(host.status().path.fragmented, 1)
  },
)

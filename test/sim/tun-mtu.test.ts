/** Mode tun: the device's MTU over narrow links. With IPv6 inside it is never below 1280. */
import { encapFor } from '../../src/encap/encap.js'
import { IPV6_MIN_MTU_BYTES } from '../../src/wire/ip.js'
import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

const FAMILIES = ['ipv4', 'ipv6'] as const

/** Two hosts of mode tun on an underlay of one family, and each other's peer. */
function twoHosts(world: SimWorld, family: (typeof FAMILIES)[number], secret: boolean) {
  const place = () => {
    const number = world.hosts.length + 1
    const address = family === 'ipv4' ? `198.51.100.${number}` : `2001:db8::${number}`
    return world.host(`h${number}`, { addresses: [address], secret, mode: 'tun' })
  }
  return [place(), place()] as const
}

/** @param local the overlay addresses of the first, by default one of each family */
async function start(world: SimWorld, [a, b]: readonly [SimHost, SimHost], local = a.overlay.local) {
  await world.run(Promise.all([a.begin({ local, peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
  await world.pass(10_000)
}

for (const secret of [true, false]) {
  const kind = secret ? 'private' : 'plain'
  for (const outer of FAMILIES) {
    const overheadBytes = encapFor('tun', secret).overheadBytes(outer, false)
    simTest(
      `${kind} over ${outer}: what the link carries less ${overheadBytes}, or 1280`,
      async (t, world) => {
        for (const pathBytes of [1500, 1400, 1280 + overheadBytes, 1279 + overheadBytes, 1280]) {
          const hosts = twoHosts(world, outer, secret)
          const [a, b] = hosts
          world.between(a, b, { mtuBytes: pathBytes })
          await start(world, hosts)
          const carriedBytes = pathBytes - overheadBytes
          t.match(a.peer(b.name).path_mtu, { bytes: pathBytes, how: 'acknowledged' })
          t.equal(a.peer(b.name).carried_mtu_bytes, carriedBytes)
          t.equal(a.mtuBytes, Math.max(carriedBytes, IPV6_MIN_MTU_BYTES), `over a link of ${pathBytes}`)
          for (const family of FAMILIES) {
            const to = b.overlay.address(family)
            for (const bytes of [carriedBytes - 1, carriedBytes, IPV6_MIN_MTU_BYTES])
              a.send(to, `${family} ${bytes}`, { bytes })
            a.send(to, `${family} too long`, { bytes: Number(a.mtuBytes) + 1 })
          }
          await world.pass(100)
          t.same(
            b.received.map(({ text, bytes }) => [text, bytes]),
            FAMILIES.flatMap((family) =>
              [carriedBytes - 1, carriedBytes, IPV6_MIN_MTU_BYTES].map((bytes) => [
                `${family} ${bytes}`,
                bytes,
              ]),
            ),
          )
          t.equal(a.status().path.fragmented, carriedBytes < IPV6_MIN_MTU_BYTES ? 2 : 0, 'only those of 1280')
          t.equal(a.count('dropOverPath'), 2)
        }
      },
    )
  }

  simTest(`${kind}: with IPv4 alone inside, the device follows below 1280`, async (t, world) => {
    const overheadBytes = encapFor('tun', secret).overheadBytes('ipv4', false)
    for (const pathBytes of [1300, 1000, 576]) {
      const hosts = twoHosts(world, 'ipv4', secret)
      const [a, b] = hosts
      world.between(a, b, { mtuBytes: pathBytes })
      await start(world, hosts, [`${a.overlay.ipv4}/24`])
      t.equal(a.mtuBytes, pathBytes - overheadBytes)
      t.equal(b.mtuBytes, IPV6_MIN_MTU_BYTES, 'the other one has IPv6, too')
      a.send(b.overlay.ipv4, 'just fits', { bytes: pathBytes - overheadBytes })
      a.send(b.overlay.ipv4, 'one more', { bytes: pathBytes - overheadBytes + 1 })
      b.send(a.overlay.ipv6, 'in fragments', { bytes: 1280 })
      await world.pass(100)
      t.same([b.texts, a.texts], [['just fits'], ['in fragments']])
      t.equal(a.status().path.fragmented, 0)
    }
  })

  for (const icmp of [true, false]) {
    const how = icmp ? 'that says so' : 'that says nothing'
    simTest(`${kind}: a link ${how} gets narrower and wider under traffic`, async (t, world) => {
      const overheadBytes = encapFor('tun', secret).overheadBytes('ipv4', false)
      const hosts = twoHosts(world, 'ipv4', secret)
      const [a, b] = hosts
      await start(world, hosts)
      t.equal(a.mtuBytes, 1500 - overheadBytes)
      world.flow(a, b, 20, 1300)
      for (const pathBytes of [1450, 1300]) {
        world.between(a, b, { mtuBytes: pathBytes, icmp })
        await world.pass(5_000)
        t.equal(a.peer(b.name).path_mtu?.bytes, pathBytes)
        t.equal(a.mtuBytes, Math.max(pathBytes - overheadBytes, IPV6_MIN_MTU_BYTES))
        const text = `over ${pathBytes}`
        for (const family of FAMILIES) a.send(b.overlay.address(family), text, { bytes: a.mtuBytes })
        await world.pass(100)
        t.equal(b.texts.filter((it) => it === text).length, 2)
      }
      world.between(a, b, { mtuBytes: 1500 })
      await world.pass(750_000)
      t.equal(a.mtuBytes, 1500 - overheadBytes)
      const steps = a.platform?.device?.mtus ?? []
      t.ok(
        steps.every((it) => it >= IPV6_MIN_MTU_BYTES),
        `${steps}`,
      )
    })
  }

  simTest(`${kind}: a device that promises too much has a router's answers`, async (t, world) => {
    const overheadBytes = encapFor('tun', secret).overheadBytes('ipv4', false)
    for (const pathBytes of [1400, 1300]) {
      const hosts = twoHosts(world, 'ipv4', secret)
      const [a, b] = hosts
      world.between(a, b, { mtuBytes: pathBytes })
      await start(world, hosts)
      a.platform?.device?.byHand(1500)
      await world.pass(1_100)
      for (const family of FAMILIES) a.send(b.overlay.address(family), 'too long', { bytes: 1500 })
      a.send(b.overlay.ipv4, 'in fragments', { bytes: 1500, df: false })
      await world.pass(100)
      t.same(b.texts, ['in fragments'])
      const carriedBytes = pathBytes - overheadBytes
      const told = FAMILIES.map((family) => ({
        from: b.overlay.address(family),
        to: a.overlay.address(family),
        mtuBytes: family === 'ipv4' ? carriedBytes : Math.max(carriedBytes, IPV6_MIN_MTU_BYTES),
      }))
      t.same(a.overlay.tooBig, told, `over a link of ${pathBytes}`)
      t.equal(a.status().path.too_big_answers, 2)
      // Who has been told sends what passes.
      for (const { from, mtuBytes } of told) a.send(from, `${mtuBytes}`, { bytes: mtuBytes })
      await world.pass(100)
      t.same(
        b.texts.slice(1),
        told.map(({ mtuBytes }) => `${mtuBytes}`),
      )
    }
  })
}

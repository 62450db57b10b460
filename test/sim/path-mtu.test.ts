import { renderPeers } from '../../src/cli/peers.js'
import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

/** What sealing, UDP, IPv4 and Ethernet add to a packet of the overlay. */
const OVERHEAD_BYTES = 75
/** An Ethernet frame of the device's MTU. */
const frameBytes = (mtuBytes: number) => mtuBytes + 14

for (const icmp of [true, false]) {
  const how = icmp ? 'that says so' : 'that says nothing'
  simTest(`a link ${how} is narrow: its exact width is found`, async (t, world) => {
    for (const [index, mtuBytes] of [576, 1280, 1391, 1499].entries()) {
      const a = world.host(`a${index}`)
      const b = world.host(`b${index}`)
      world.between(a, b, { mtuBytes, icmp })
      await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
      await world.pass(10_000)
      t.match(a.peer(b.name).path_mtu, { bytes: mtuBytes, how: 'acknowledged', state: 'complete' })
      t.equal(a.mtuBytes, mtuBytes - OVERHEAD_BYTES)
      a.offer(b, 'just fits', frameBytes(mtuBytes - OVERHEAD_BYTES))
      a.offer(b, 'one more', frameBytes(mtuBytes - OVERHEAD_BYTES + 1))
      await world.pass(100)
      t.same(b.texts, ['just fits'])
      t.equal(a.count('dropOverPath'), 1)
    }
  })

  simTest(`a link ${how} gets narrower and wider under traffic`, async (t, world) => {
    const { a, b } = await world.pair()
    await world.pass(5_000)
    t.equal(a.mtuBytes, 1425)
    world.flow(a, b, 20, frameBytes(1000))
    world.between(a, b, { mtuBytes: 1300, icmp })
    await world.pass(5_000)
    t.equal(a.peer('b').path_mtu?.bytes, 1300)
    t.equal(a.mtuBytes, 1300 - OVERHEAD_BYTES)
    t.equal(a.said(/the MTU is 1225 bytes now/).length, 1)
    a.offer(b, 'as long as can be', frameBytes(1225))
    await world.pass(100)
    t.ok(b.texts.includes('as long as can be'))
    world.between(a, b, { mtuBytes: 1500 })
    await world.pass(60_000)
    t.equal(a.mtuBytes, 1225, 'nobody looks for more before the time')
    await world.pass(670_000)
    t.equal(a.mtuBytes, 1425)
    t.equal(b.mtuBytes, 1425)
    const steps = a.platform?.device?.mtus ?? []
    t.ok(steps.length <= 4 && steps.every((it) => it >= 1205), `${steps}`)
  })
}

simTest(
  'a peer with a narrow path keeps the MTU down, is named, and does no more once it is down',
  async (t, world) => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => world.host(name))
    world.between(a, c, { mtuBytes: 1400 })
    await world.run(
      Promise.all([
        a.begin({ peers: [b.asPeer(), c.asPeer()] }),
        ...[b, c].map((host) => host.begin({ peers: [a.asPeer()] })),
      ]),
    )
    await world.pass(10_000)
    t.equal(a.mtuBytes, 1325)
    const holds = /the path to c keeps the MTU of all peers at 1325, but the others carry 1425/
    t.equal(a.said(holds).length, 1)
    t.match(
      renderPeers(a.status()),
      /! c: its path keeps the MTU of all peers at 1325, but the others carry 1425/,
    )
    await c.stop()
    await world.pass(30_000)
    t.equal(a.said(/c is down/).length, 1)
    t.equal(a.said(/the MTU is 1425 bytes now, was 1325/).length, 1)
    t.equal(a.mtuBytes, 1425)
    t.notMatch(renderPeers(a.status()), /keeps the MTU/)
    t.equal(a.said(/keeps the MTU/).length, 1, 'said once')
  },
)

simTest('the command looks for more at once', async (t, world) => {
  const { a, b } = await world.pair()
  world.between(a, b, { mtuBytes: 1400 })
  await world.pass(650_000)
  t.equal(a.mtuBytes, 1400 - OVERHEAD_BYTES)
  world.between(a, b, { mtuBytes: 1500 })
  const report = await world.run(Promise.resolve(a.platform?.commands.mtu_refresh({}, () => {})))
  t.match(report, { mtu_bytes: 1425, peers: [{ name: 'b', path_mtu: { bytes: 1500 } }] })
})

simTest("the interface's own MTU is followed at once, down and up", async (t, world) => {
  const { a } = await world.pair()
  await world.pass(5_000)
  a.attachment.mtuBytes = 1280
  await world.pass(1_100)
  t.equal(a.mtuBytes, 1280 - OVERHEAD_BYTES)
  a.attachment.mtuBytes = 1500
  await world.pass(5_000)
  t.equal(a.mtuBytes, 1425)
})

simTest(
  'a frame that is lost at a narrow link does not stay unnoticed while the way loses much',
  async (t, world) => {
    const { a, b } = await world.pair()
    world.between(a, b, { loss: 0.2, jitterMs: 30 })
    await world.pass(30_000)
    world.flow(a, b, 50)
    world.between(a, b, { mtuBytes: 1350, icmp: false })
    await world.pass(120_000)
    t.equal(a.peer('b').path_mtu?.bytes, 1350)
  },
)

simTest('what an end that answers no probes is reached with is found by ICMP', async (t, world) => {
  for (const [index, mtuBytes] of [1500, 1400].entries()) {
    const a = world.host(`a${index}`, { secret: false })
    const b = world.host(`b${index}`, { secret: false })
    b.attachment.listeners.set(b.port, () => {})
    world.between(a, b, { mtuBytes })
    await a.start({ peers: [b.asPeer()] })
    await world.pass(20_000)
    t.match(a.peer(b.name).path_mtu, { bytes: mtuBytes, how: 'reached' })
    t.equal(a.mtuBytes, mtuBytes - 42)
  }
})

simTest('a way that carries not even the least is no reason to give up', async (t, world) => {
  const { a, b } = await world.pair()
  world.between(a, b, { mtuBytes: 400, icmp: false })
  await world.pass(1_000)
  world.flow(a, b, 100, 60)
  await world.pass(60_000)
  t.match(a.peer('b').path_mtu, { bytes: 576, how: 'floor' })
  t.equal(a.peer('b').state, 'up')
  world.between(a, b, { mtuBytes: 1500 })
  await world.pass(60_000)
  t.match(a.peer('b').path_mtu, { bytes: 1500, how: 'acknowledged' })
})

/** Lets time pass until the path to b has been searched again. */
async function refreshed(world: SimWorld, a: SimHost): Promise<void> {
  await world.pass((a.peer('b').path_mtu?.next_s ?? 0) * 1_000 + 20_000)
}

/** A host and a peer that does not run. A router says that the path is narrow. */
async function toldOfSilent(world: SimWorld) {
  const [a, b] = ['a', 'b'].map((name) => world.host(name))
  b.attachment.asleep = true
  world.between(a, b, { mtuBytes: 1300, icmp: true })
  await world.run(a.begin({ peers: [b.asPeer()] }))
  await world.pass(20_000)
  return { a, b }
}

simTest('a path gets wider whose far end answers nothing at all', async (t, world) => {
  const { a, b } = await toldOfSilent(world)
  t.match(a.peer('b').path_mtu, { bytes: 1300, how: 'told' })
  t.equal(a.mtuBytes, 1225)
  await refreshed(world, a)
  await refreshed(world, a)
  t.match(a.peer('b').path_mtu, { bytes: 1300, how: 'told' }, 'while the router says so')
  world.between(a, b, { mtuBytes: 1500 })
  await refreshed(world, a)
  t.match(a.peer('b').path_mtu, { bytes: 1300, how: 'told' }, 'what one search hears is not enough')
  await refreshed(world, a)
  t.match(a.peer('b').path_mtu, { bytes: 1500, how: 'assumed' })
  t.equal(a.mtuBytes, 1425)
  world.between(a, b, { mtuBytes: 1400 })
  await refreshed(world, a)
  t.match(a.peer('b').path_mtu, { bytes: 1400, how: 'told' }, 'a router says so again')
})

simTest('the answers of a router that are lost now and then do not make a path wider', async (t, world) => {
  const { a, b } = await toldOfSilent(world)
  for (const icmp of [false, true, false, true, false]) {
    world.between(a, b, { icmp })
    await refreshed(world, a)
    t.match(a.peer('b').path_mtu, { bytes: 1300, how: 'told' })
  }
  t.equal(a.mtuBytes, 1225)
})

simTest('a trace that could send nothing tells nothing', async (t, world) => {
  const { a } = await toldOfSilent(world)
  a.attachment.up = false
  await refreshed(world, a)
  await refreshed(world, a)
  await refreshed(world, a)
  t.equal(a.peer('b').path_mtu?.bytes, 1300)
})

simTest('what a narrow interface sends says nothing of a router that refuses more', async (t, world) => {
  const { a } = await toldOfSilent(world)
  a.attachment.mtuBytes = 1200
  for (let search = 0; search < 3; search++) await refreshed(world, a)
  t.equal(a.peer('b').path_mtu?.bytes, 1200)
  world.between(a, world.hosts[1], { icmp: false })
  a.attachment.mtuBytes = 1500
  await world.pass(20_000)
  t.match(a.peer('b').path_mtu, { bytes: 1300, how: 'told' })
})

simTest('of another way nothing is known that was said of the one before', async (t, world) => {
  const { a, b } = await toldOfSilent(world)
  a.attachment.up = false
  await world.pass(2_000)
  world.between(a, b, { mtuBytes: 1500 })
  a.attachment.up = true
  await world.pass(1_100)
  t.match(a.peer('b').path_mtu, { bytes: 1300, how: 'previous' }, 'until the trace has ended')
  await world.pass(20_000)
  t.match(a.peer('b').path_mtu, { bytes: 1500, how: 'assumed' })
})

simTest('a far end that answered, and answers no more', async (t, world) => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => world.host(name))
  world.between(a, c, { mtuBytes: 1300, icmp: false })
  a.attachment.mtuBytes = 1400
  await world.run(a.begin({ peers: [b.asPeer(), c.asPeer()] }))
  await world.pass(60_000)
  t.match(a.peer('b').path_mtu, { bytes: 1400, how: 'reached' })
  t.match(a.peer('c').path_mtu, { bytes: 1300, how: 'reached' })
  for (const host of [b, c]) host.attachment.asleep = true
  a.attachment.mtuBytes = 1500
  await world.pass(20_000)
  t.match(a.peer('b').path_mtu, { bytes: 1500, how: 'assumed' }, 'only the interface was narrow')
  for (let search = 0; search < 3; search++) await refreshed(world, a)
  t.match(a.peer('c').path_mtu, { bytes: 1300, how: 'reached' }, 'nobody ever said what is lost there')
})

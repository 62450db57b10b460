/** The device as a port of a bridge, and its MTU set by hand. */
import type { SimDevice } from './device.js'
import type { SimHost } from './host.js'
import { simTest } from './world.js'

/** A full frame of Ethernet: longer than the path carries in one datagram. */
const LONG_BYTES = 1_514

function deviceOf({ name, platform }: SimHost): SimDevice {
  if (platform?.device === undefined) throw new Error(`${name} has no device`)
  return platform.device
}

simTest('as a port of a bridge, the device takes its MTU, and gives it back', async (t, world) => {
  const { a, b } = await world.pair()
  const device = deviceOf(a)
  await world.pass(5_000)
  t.equal(a.mtuBytes, 1425)
  a.offer(b, 'too long', LONG_BYTES)
  await world.pass(100)
  t.equal(a.status().drops.over_path, 1, 'the device should not have taken it')

  device.join({ index: 3, name: 'br0', othersBytes: [1500] })
  await world.pass(450)
  t.equal(a.mtuBytes, 1500)
  t.match(a.status(), { mtu_bytes: 1500, mtu_by: 'bridge', bridge: 'br0' })
  t.equal(a.peer('b').carried_mtu_bytes, 1425)
  a.offer(b, 'long', LONG_BYTES)
  await world.pass(100)
  t.same(b.texts, ['long'])
  t.equal(a.status().path.fragmented, 1)

  world.between(a, b, { mtuBytes: 1400 })
  world.flow(a, b, 50)
  await world.pass(5_000)
  t.equal(a.peer('b').carried_mtu_bytes, 1325)
  t.equal(a.mtuBytes, 1500, 'whatever the path carries')
  device.join({ index: 3, name: 'br0', othersBytes: [9000] })
  await world.pass(450)
  t.equal(a.mtuBytes, 9000)
  device.join(undefined)
  await world.pass(450)
  t.equal(a.mtuBytes, 1325)
  t.match(a.status(), { mtu_bytes: 1325, mtu_by: 'paths', bridge: null })
  t.same(device.mtus, [1425, 1500, 9000, 1325])
  t.equal(a.said(/is a port of br0/).length, 2)
  t.equal(a.said(/is no port of br0 any more/).length, 1)
})

simTest(
  'an MTU that is set by hand stays, and what is too long goes as with one of the settings',
  async (t, world) => {
    const { a, b } = await world.pair()
    const device = deviceOf(a)
    await world.pass(5_000)
    device.byHand(1500)
    await world.pass(450)
    t.match(a.status(), { mtu_bytes: 1500, mtu_by: 'hand' })
    a.offer(b, 'long', LONG_BYTES)
    await world.pass(100)
    t.same(b.texts, ['long'])
    world.between(a, b, { mtuBytes: 1400 })
    world.flow(a, b, 50)
    await world.pass(60_000)
    t.equal(a.mtuBytes, 1500)
    t.equal(a.said(/somebody has set the MTU of tap0 to 1500/).length, 1, 'said once')
    device.byHand(1325)
    await world.pass(450)
    t.match(a.status(), { mtu_bytes: 1325, mtu_by: 'paths' })
    world.between(a, b, { mtuBytes: 1500 })
    await world.pass(700_000)
    t.equal(a.mtuBytes, 1425)
  },
)

simTest('an end that is in a bridge while no peer is known', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  await a.start({ peers: [b.asPeer()] })
  deviceOf(a).join({ index: 3, name: 'br0', othersBytes: [1500] })
  await world.pass(1_100)
  t.equal(a.mtuBytes, 1500)
  await b.start({ peers: [a.asPeer()] })
  await world.pass(10_000)
  t.equal(a.mtuBytes, 1500)
  t.equal(a.peer('b').path_mtu?.bytes, 1500)
})

simTest(
  'the interface of five hundred paths changes, and the device follows a few times only',
  async (t, world) => {
    const hub = world.host('hub', { rows: 512 })
    const peers = Array.from({ length: 500 }, (_, index) => ({
      name: `d${index}`,
      endpoint: `203.0.${index >> 8}.${index & 255}`,
      public_key: world.publicKey(),
    }))
    await world.run(hub.begin({ peers }))
    const device = deviceOf(hub)
    let follows = 0
    const link = device.link.bind(device)
    device.link = () => {
      follows++
      return link()
    }
    await world.pass(12_000)
    t.ok(follows < 40, `${follows} times when all searches have ended without an answer`)
    for (const [mtuBytes, deviceBytes] of [
      [1400, 1325],
      [1500, 1425],
    ]) {
      follows = 0
      hub.attachment.mtuBytes = mtuBytes
      await world.pass(1_000)
      t.equal(hub.mtuBytes, deviceBytes)
      t.ok(follows <= 6, `${follows} times for ${mtuBytes}`)
    }
    t.equal(hub.said(/keeps the MTU of all peers/).length, 0, 'no path is narrower than the others')
    t.same(device.mtus, [1425, 1325, 1425])
  },
)

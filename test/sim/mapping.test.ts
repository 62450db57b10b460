/** What a router is asked for, when the host's address or its settings change. In simulated time. */
import { SimPcpRouter } from './router.js'
import { type HostChoices, type SimWorld, simTest } from './world.js'

const TUN: HostChoices = { mode: 'tun' }

/** A hub, and a member behind a router that has made a mapping for it. */
async function behindRouter(world: SimWorld) {
  const hub = world.host('hub', TUN)
  const nat = world.nat('203.0.113.1', 'cone')
  const a = world.host('a', { ...TUN, addresses: ['10.0.0.2'], nat })
  const router = new SimPcpRouter(() => world.time.nowMs)
  a.attachment.router = router
  await world.run(hub.begin({ introduce: true, peers: [a.asPeer({ endpoint: undefined })] }))
  await world.run(a.begin({ port_mapping: true, peers: [hub.asPeer({ introducer: true })] }))
  await world.pass(5_000, () => router.has(a.port))
  await world.pass(2_000)
  return { hub, a, router }
}

simTest('a host that gets another address has the mapping made for that', async (t, world) => {
  const { a, router } = await behindRouter(world)
  t.equal(router.client, '10.0.0.2')
  a.attachment.addresses = ['10.0.0.3']
  await world.pass(5_000)
  t.equal(router.client, '10.0.0.3')
  t.ok(router.has(a.port))
  t.equal(a.status().port_mapping?.external, '203.0.113.1:40000')
  const { requests } = router
  await world.pass(60_000)
  t.equal(router.requests, requests, 'once')
})

simTest('a reload without an introducer removes the mapping', async (t, world) => {
  const { hub, a, router } = await behindRouter(world)
  t.ok(router.has(a.port))
  await a.reload({ port_mapping: true, peers: [hub.asPeer()] })
  await world.pass(2_000)
  t.notOk(router.has(a.port))
  t.equal(a.status().port_mapping, null)
  await a.reload({ port_mapping: true, peers: [hub.asPeer({ introducer: true })] })
  await world.pass(5_000)
  t.ok(router.has(a.port), 'and it comes again with the introducer')
})

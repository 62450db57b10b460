/** Calendars that are set on or back while hosts find each other, and hosts that sleep. In simulated time. */
import type { SimHost } from './host.js'
import { SimPcpRouter } from './router.js'
import { type HostChoices, type SimWorld, simTest } from './world.js'

const TUN: HostChoices = { mode: 'tun' }
const STEP_MS = 50
const HOUR_MS = 3_600_000
const STEPS = [HOUR_MS, -HOUR_MS] as const

const memberOf = (host: SimHost) => host.asPeer({ endpoint: undefined })
const viewOf = (host: SimHost, other: SimHost) => host.status().peers.find(({ name }) => name === other.name)
const hasSession = (host: SimHost, other: SimHost) => viewOf(host, other)?.privacy?.handshake_s != null
const isRelayed = (host: SimHost, other: SimHost) => viewOf(host, other)?.relayed != null
const areRelayed = (a: SimHost, b: SimHost) => isRelayed(a, b) && isRelayed(b, a)
const areDirect = (a: SimHost, b: SimHost) =>
  hasSession(a, b) && hasSession(b, a) && !isRelayed(a, b) && !isRelayed(b, a)

async function timeUntil(world: SimWorld, holds: () => boolean, limitMs = 60_000): Promise<number> {
  const startMs = world.time.nowMs
  while (!holds() && world.time.nowMs - startMs < limitMs) await world.pass(STEP_MS)
  return Math.round(world.time.nowMs - startMs)
}

/**
 * A hub, and two members that know only that.
 * @param tag makes the names others than those of another network
 * @param first what else the first member is
 */
async function threeHosts(world: SimWorld, tag: string, first: HostChoices = {}, settings = {}) {
  const hub = world.host(`hub${tag}`, TUN)
  const [a, b] = [world.host(`a${tag}`, { ...TUN, ...first }), world.host(`b${tag}`, TUN)]
  await world.run(hub.begin({ introduce: true, peers: [a, b].map(memberOf) }))
  const begin = (host: SimHost) => host.begin({ ...settings, peers: [hub.asPeer({ introducer: true })] })
  return { hub, a, b, begin }
}

simTest('a calendar that is set while hosts are introduced changes nothing', async (t, world) => {
  for (const ms of STEPS) {
    const { hub, a, b, begin } = await threeHosts(world, `${ms}`)
    const started = Promise.all([begin(a), begin(b)])
    // Each of them in the middle of it.
    for (const [index, host] of [hub, a, b].entries())
      world.time.after(100 * (index + 1), () => host.clock.step(ms))
    await world.run(started)
    const knowMs = await timeUntil(world, () => viewOf(a, b) !== undefined && viewOf(b, a) !== undefined)
    const directMs = await timeUntil(world, () => areDirect(a, b))
    t.ok(knowMs <= 2_000 && directMs <= 2_000, `${ms}: ${knowMs} ms, and direct after ${directMs} ms more`)
    for (const host of [hub, a, b]) await host.stop()
  }
})

simTest(
  'a calendar that is set while the path changes to the relay and back delays nothing',
  async (t, world) => {
    for (const ms of STEPS)
      for (const both of [false, true]) {
        const { hub, a, b, begin } = await threeHosts(world, `${ms}${both}`)
        await world.run(Promise.all([begin(a), begin(b)]))
        await timeUntil(world, () => areDirect(a, b))
        await world.pass(5_000)
        const ends = [world.flow(a, b, 50), world.flow(b, a, 50)]
        await world.pass(1_000)
        world.between(a, b, { loss: 1 })
        for (const host of both ? [a, b] : [a]) host.clock.step(ms)
        const lostMs = await timeUntil(world, () => areRelayed(a, b))
        t.ok(lostMs <= 3_000, `${ms}, ${both ? 'both' : 'one'}: relayed after ${lostMs} ms`)
        for (const host of both ? [a, b, hub] : [a, hub]) host.clock.step(ms)
        world.between(a, b, { loss: 0 })
        // A try may just have been lost, and the next one comes up to four seconds later.
        const directMs = await timeUntil(world, () => areDirect(a, b))
        t.ok(directMs <= 6_000, `${ms}, ${both ? 'both' : 'one'}: direct after ${directMs} ms`)
        for (const end of ends) end()
        for (const host of [hub, a, b]) await host.stop()
      }
  },
)

simTest('keys of relayed members are renewed after a calendar was set back', async (t, world) => {
  const { hub, a, b, begin } = await threeHosts(world, '')
  world.between(a, b, { loss: 1 })
  await world.run(Promise.all([begin(a), begin(b)]))
  await timeUntil(world, () => areRelayed(a, b) && hasSession(a, b) && hasSession(b, a))
  await world.pass(200)
  const end = world.flow(a, b, 500)
  for (const host of [a, b, hub]) host.clock.step(-HOUR_MS)
  let oldestS = 0
  for (let minute = 0; minute < 8; minute++) {
    await world.pass(60_000)
    for (const view of [viewOf(a, b), viewOf(b, a), viewOf(a, hub), viewOf(hub, a)])
      oldestS = Math.max(oldestS, view?.privacy?.handshake_s ?? Number.POSITIVE_INFINITY)
  }
  end()
  await world.pass(200)
  t.ok(oldestS <= 150, `keys are ${Math.round(oldestS)} s old at the most`)
  const numbers = b.texts.map((it) => Number(it.split(' ')[1]))
  t.same(numbers, [...numbers.keys()], `all ${numbers.length} packets came`)
  for (const host of [a, b, hub])
    t.equal(host.status().drops.handshake_refused, 0, `${host.name} has refused nobody`)
})

simTest(
  'a mapping outlasts a calendar that is set, and is asked for anew after a sleep',
  async (t, world) => {
    const nat = world.nat('203.0.113.1', 'cone')
    const settings = { port_mapping: true }
    const { a, begin } = await threeHosts(world, '', { addresses: ['10.0.0.2'], nat }, settings)
    const router = new SimPcpRouter(() => world.time.nowMs)
    a.attachment.router = router
    await world.run(begin(a))
    const ms = await timeUntil(world, () => router.has(a.port))
    t.ok(ms <= 5_000, `a mapping after ${ms} ms`)
    t.equal(a.status().port_mapping?.external, '203.0.113.1:40000')
    let gaps = 0
    for (const step of [HOUR_MS, -2 * HOUR_MS]) {
      a.clock.step(step)
      for (let minute = 0; minute < 11; minute++) {
        await world.pass(60_000)
        if (!router.has(a.port)) gaps++
      }
    }
    t.equal(gaps, 0, 'there is one all the time')
    t.ok(router.requests <= 4, `${router.requests} requests in 22 minutes`)
    a.suspend()
    await world.pass(HOUR_MS / 2)
    t.notOk(router.has(a.port))
    a.resume()
    const againMs = await timeUntil(world, () => router.has(a.port))
    t.ok(againMs <= 3_000, `a mapping ${againMs} ms after half an hour of sleep`)
  },
)

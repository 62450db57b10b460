/** Where members meet: the best of several ways, and another one when that is lost. In simulated time. */
import { writeControl } from '../../src/wire/control.js'
import { writeAsk } from '../../src/wire/introduction.js'
import type { SimHost } from './host.js'
import type { SimDatagram } from './network.js'
import { type HostChoices, type SimWorld, simTest } from './world.js'

const TUN: HostChoices = { mode: 'tun' }
const STEP_MS = 50

const memberOf = (host: SimHost) => host.asPeer({ endpoint: undefined })

/** A hub, and two members that know only the hub. */
async function twoMembers(world: SimWorld, choices: readonly [HostChoices, HostChoices]) {
  const hub = world.host('hub', { mode: choices[0].mode ?? 'tun' })
  const [a, b] = [world.host('a', { ...TUN, ...choices[0] }), world.host('b', { ...TUN, ...choices[1] })]
  await world.run(hub.begin({ introduce: true, peers: [a, b].map(memberOf) }))
  const peers = [hub.asPeer({ introducer: true })]
  await world.run(Promise.all([a.begin({ peers }), b.begin({ peers })]))
  return { hub, a, b }
}

async function timeUntil(world: SimWorld, holds: () => boolean, limitMs = 60_000): Promise<number> {
  const startMs = world.time.nowMs
  while (!holds() && world.time.nowMs - startMs < limitMs) await world.pass(STEP_MS)
  return Math.round(world.time.nowMs - startMs)
}

const endpointOf = (host: SimHost, other: SimHost) =>
  host.status().peers.find(({ name }) => name === other.name)?.endpoint ?? ''

const isAt = (host: SimHost, other: SimHost, address: string) =>
  endpointOf(host, other).startsWith(`${address}:`)

/** A flow in both directions. @returns ends it, and gives the numbers of the packets that were lost */
function flows(world: SimWorld, a: SimHost, b: SimHost, everyMs = 10) {
  const ends = [world.flow(a, b, everyMs), world.flow(b, a, everyMs)]
  return async () => {
    for (const end of ends) end()
    await world.pass(500)
    const lost = [a, b].map((host) => {
      const numbers = new Set(host.texts.map((text) => Number(text.split(' ').at(-1))))
      return Math.max(...numbers) + 1 - numbers.size
    })
    for (const host of [a, b]) host.overlay.received.length = 0
    return lost
  }
}

simTest('two hosts behind one NAT, which lets nobody turn back, meet on their LAN', async (t, world) => {
  const nat = world.nat('203.0.113.1', 'cone')
  world.network.swallows = ({ to, from }) => to.address === nat.address && from !== 'hub'
  const { a, b, hub } = await twoMembers(world, [
    { addresses: ['10.0.0.2'], nat },
    { addresses: ['10.0.0.3'], nat },
  ])
  const ms = await timeUntil(world, () => isAt(a, b, '10.0.0.3') && isAt(b, a, '10.0.0.2'))
  t.comment(`on the LAN ${ms} ms after the start`)
  t.ok(ms <= 3_000, `${ms} ms`)
  // What is for a member goes to it a moment after there is a session.
  await world.pass(200)
  const before = hub.received.length
  const end = flows(world, a, b)
  await world.pass(2_000)
  t.same(await end(), [0, 0])
  t.equal(hub.received.length, before)
})

simTest('a better way that comes later is taken, and no frame is lost for it', async (t, world) => {
  const nat = world.nat('203.0.113.1', 'cone')
  // The LAN does not carry yet, and the NAT lets them turn back.
  const isLan = ({ to }: SimDatagram) => to.address.startsWith('10.0.0.')
  world.network.swallows = isLan
  const { a, b } = await twoMembers(world, [
    { addresses: ['10.0.0.2'], nat },
    { addresses: ['10.0.0.3'], nat },
  ])
  const metMs = await timeUntil(world, () => isAt(a, b, nat.address) && isAt(b, a, nat.address))
  t.ok(metMs <= 5_000, `by the outer address after ${metMs} ms`)
  await world.pass(2_000)
  const end = flows(world, a, b)
  await world.pass(1_000)
  world.network.swallows = () => false
  const ms = await timeUntil(world, () => isAt(a, b, '10.0.0.3') && isAt(b, a, '10.0.0.2'))
  t.comment(`on the LAN ${ms} ms after it carries`)
  t.ok(ms <= 31_000, `${ms} ms`)
  let moves = 0
  world.network.watch = (it) => {
    if (it.from !== 'hub' && it.to.address === nat.address) moves++
  }
  await world.pass(10_000)
  t.equal(moves, 0, 'and nobody goes back')
  t.same(await end(), [0, 0], 'no packet was lost')
})

simTest('a way that is lost is left for another one in a few seconds', async (t, world) => {
  const nat = world.nat('203.0.113.1', 'cone')
  const { a, b } = await twoMembers(world, [
    { addresses: ['10.0.0.2'], nat },
    { addresses: ['10.0.0.3'], nat },
  ])
  await timeUntil(world, () => isAt(a, b, '10.0.0.3') && isAt(b, a, '10.0.0.2'))
  for (const busy of [true, false]) {
    world.network.swallows = () => false
    await timeUntil(world, () => isAt(a, b, '10.0.0.3') && isAt(b, a, '10.0.0.2'))
    await world.pass(20_000)
    const end = busy ? flows(world, a, b) : undefined
    await world.pass(1_000)
    world.network.swallows = ({ to }) => to.address.startsWith('10.0.0.')
    const ms = await timeUntil(world, () => isAt(a, b, nat.address) && isAt(b, a, nat.address))
    t.comment(`${busy ? 'busy' : 'idle'}: by the outer address ${ms} ms after the LAN is lost`)
    t.ok(ms <= (busy ? 4_000 : 24_000), `${ms} ms`)
    await world.pass(1_000)
    a.overlay.received.length = 0
    b.offer(a, 'by the other way')
    await world.pass(500)
    t.ok(a.texts.includes('by the other way'))
    await end?.()
  }
})

simTest('a host whose address on the LAN changes is found there again', async (t, world) => {
  const nat = world.nat('203.0.113.1', 'cone')
  const { a, b } = await twoMembers(world, [
    { addresses: ['10.0.0.2'], nat },
    { addresses: ['10.0.0.3'], nat },
  ])
  await timeUntil(world, () => isAt(a, b, '10.0.0.3') && isAt(b, a, '10.0.0.2'))
  await world.pass(5_000)
  b.attachment.addresses = ['10.0.0.77']
  const ms = await timeUntil(world, () => isAt(a, b, '10.0.0.77') && isAt(b, a, '10.0.0.2'))
  t.comment(`found again after ${ms} ms`)
  t.ok(ms <= 8_000, `${ms} ms`)
  // Both send again what is theirs.
  a.offer(b, 'to the new address')
  await world.pass(500)
  t.ok(b.texts.includes('to the new address'))
})

simTest('IPv6 is better than an outer IPv4 address', async (t, world) => {
  const { a, b } = await twoMembers(world, [
    { addresses: ['198.51.100.20', '2001:db8::a'] },
    { addresses: ['198.51.100.30', '2001:db8::b'] },
  ])
  const ms = await timeUntil(world, () => isAt(a, b, '[2001:db8::b]') && isAt(b, a, '[2001:db8::a]'))
  t.ok(ms <= 5_000, `by IPv6 after ${ms} ms`)
})

simTest('of two ways of one kind, none is left for the other one without a reason', async (t, world) => {
  const { a, b } = await twoMembers(world, [
    { addresses: ['198.51.100.20', '2001:db8::a'] },
    { addresses: ['198.51.100.30', '198.51.100.31'] },
  ])
  await timeUntil(world, () => endpointOf(a, b) !== '')
  const moves = () => a.said(/b has moved/).length + b.said(/a has moved/).length
  // Both begin at the same time, by the relay too, so there is some moving at first. It is logged 10 s later.
  await world.pass(30_000)
  const before = moves()
  t.ok(before <= 4, `${before} moves at first`)
  await world.pass(60_000)
  t.equal(moves(), before, 'equal ways are not changed to and fro')
})

simTest(
  'mappings that last 30 and 22 s are kept open for an hour in which nothing is sent',
  async (t, world) => {
    const nats = [world.nat('203.0.113.1', 'cone'), world.nat('203.0.113.2', 'cone')]
    for (const [index, seconds] of [30, 22].entries()) nats[index].answeredMs = seconds * 1_000
    const { a, b, hub } = await twoMembers(world, [
      { addresses: ['10.0.0.2'], nat: nats[0] },
      { addresses: ['10.0.0.2'], nat: nats[1] },
    ])
    const ms = await timeUntil(world, () => endpointOf(a, b) !== '' && endpointOf(b, a) !== '')
    t.ok(ms <= 3_000, `${ms} ms`)
    await world.pass(10_000)
    const places = [endpointOf(a, b), endpointOf(b, a), endpointOf(hub, a)]
    let [sent, longest, lastMs] = [0, 0, world.time.nowMs]
    world.network.watch = ({ from, to }) => {
      if (from !== 'a' || to.address !== nats[1].address) return
      longest = Math.max(longest, world.time.nowMs - lastMs)
      lastMs = world.time.nowMs
      sent++
    }
    await world.pass(3_600_000)
    t.comment(`${sent} datagrams of a to b in an hour, at most ${Math.round(longest)} ms apart`)
    t.ok(longest <= 20_100, `${longest} ms`)
    t.ok(sent <= 400, `${sent} datagrams`)
    t.same([endpointOf(a, b), endpointOf(b, a), endpointOf(hub, a)], places)
    b.offer(a, 'still there')
    await world.pass(500)
    t.ok(a.texts.includes('still there'))
  },
)

simTest(
  'in mode tap, members know the MACs of each other, and none has that of another one',
  async (t, world) => {
    const { a, b, hub } = await twoMembers(world, [{ mode: 'tap' }, { mode: 'tap' }])
    const macOf = (host: SimHost) =>
      [...host.overlay.mac].map((it) => it.toString(16).padStart(2, '0')).join(':')
    const knows = (host: SimHost, other: SimHost) =>
      host.tunnel
        ?.fdb()
        .entries.some(({ mac, peer, age_s }) => mac === macOf(other) && peer === other.name && age_s === null)
    const ms = await timeUntil(world, () => knows(a, b) === true && knows(b, a) === true)
    t.ok(ms <= 3_000, `${ms} ms`)
    t.equal(hub.status().drops.introduction_refused, 0)
  },
)

simTest(
  'a member that tells of a victim, and of the MAC of another one, gets little out of it',
  async (t, world) => {
    const { a, b, hub } = await twoMembers(world, [{ mode: 'tap' }, { mode: 'tap' }])
    await timeUntil(world, () => endpointOf(a, b) !== '' && endpointOf(b, a) !== '')
    await world.pass(2_000)
    let victims = 0
    world.network.watch = ({ from, to }) => {
      if (from === 'b' && to.address === '203.0.113.9') victims++
    }
    const endpoints = [1, 2, 3, 4].map((port) => ({ address: Uint8Array.of(203, 0, 113, 9), port, kinds: 2 }))
    const macs = [Uint8Array.from(b.overlay.mac)]
    for (let second = 0; second < 60; second++) {
      const claims = { endpoints: endpoints.map((it) => ({ ...it, port: it.port + 10 * second })), macs }
      const content = writeAsk({ epoch: 0, revision: 0 }, claims)
      const frame = writeControl('tap', { type: 'ask', token: 0n, sizeBytes: 0, content })
      for (const row of a.rowsInUse) a.platform?.workers.path?.offer(row, frame)
      await world.pass(1_000)
    }
    t.comment(`${victims} datagrams of b to the victim in a minute`)
    t.ok(victims > 0 && victims <= 32 + 16 * 60, `${victims} datagrams`)
    t.not(endpointOf(b, a).startsWith('203.0.113.9'), true, 'and it is not believed')
    t.ok(hub.status().drops.introduction_refused >= 50, 'each is counted')
    t.equal(hub.said(/a says that it has the MAC .*, but b has it/).length, 1, 'and said once')
  },
)

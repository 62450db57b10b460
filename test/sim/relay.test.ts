/** Members that have no direct path, and introducers that relay between them, in simulated time. */
import type { Test } from 'tap'
import type { SimHost } from './host.js'
import { type HostChoices, type SimWorld, simTest } from './world.js'

const TUN: HostChoices = { mode: 'tun' }
const STEP_MS = 20

const memberOf = (host: SimHost) => host.asPeer({ endpoint: undefined })
const hubOf = (hub: SimHost) => hub.asPeer({ introducer: true })

/** Whether nothing passes directly between two hosts. */
const cut = (world: SimWorld, a: SimHost, b: SimHost, loss = 1) => world.between(a, b, { loss })

const viewOf = (host: SimHost, other: SimHost) => host.status().peers.find(({ name }) => name === other.name)
const hasSession = (host: SimHost, other: SimHost) => viewOf(host, other)?.privacy?.handshake_s != null
/** By whom it is relayed; null if it is reached directly. */
const relayOf = (host: SimHost, other: SimHost) => viewOf(host, other)?.relayed?.by ?? null

async function timeUntil(world: SimWorld, holds: () => boolean, limitMs = 60_000): Promise<number> {
  const startMs = world.time.nowMs
  while (!holds() && world.time.nowMs - startMs < limitMs) await world.pass(STEP_MS)
  return Math.round(world.time.nowMs - startMs)
}

/** Introducers, and two members that know only those. */
async function network(world: SimWorld, hubNames: readonly string[], settings = {}, isCut = true) {
  const hubs = hubNames.map((name) => world.host(name, TUN))
  const [a, b] = ['a', 'b'].map((name) => world.host(name, TUN))
  if (isCut) cut(world, a, b)
  const peers = [a, b].map(memberOf)
  for (const hub of hubs) await world.run(hub.begin({ introduce: true, peers, ...settings }))
  await world.run(Promise.all([a, b].map((it) => it.begin({ peers: hubs.map(hubOf) }))))
  await timeUntil(world, () => viewOf(a, b) !== undefined && viewOf(b, a) !== undefined)
  return { hubs, hub: hubs[0], a, b }
}

/** Each says something that reaches the other. */
async function bothSpeak(t: Test, world: SimWorld, a: SimHost, b: SimHost, what: string) {
  await world.pass(200)
  a.offer(b, `${what} from a`)
  b.offer(a, `${what} from b`)
  await world.pass(300)
  t.same([a.texts.at(-1), b.texts.at(-1)], [`${what} from b`, `${what} from a`])
}

simTest('a session by the relay is there at once, also with loss and delay', async (t, world) => {
  for (const [index, [loss, delayMs]] of [
    [0, 5],
    [0, 80],
    [0.2, 20],
  ].entries()) {
    const hub = world.host(`hub${index}`, TUN)
    const [a, b] = ['a', 'b'].map((name) => world.host(`${name}${index}`, TUN))
    cut(world, a, b)
    for (const it of [a, b]) world.between(hub, it, { loss, delayMs })
    await world.run(hub.begin({ introduce: true, peers: [a, b].map(memberOf) }))
    await world.run(Promise.all([a, b].map((it) => it.begin({ peers: [hubOf(hub)] }))))
    await timeUntil(world, () => viewOf(a, b) !== undefined && viewOf(b, a) !== undefined)
    const ms = await timeUntil(world, () => hasSession(a, b) && hasSession(b, a))
    t.comment(`loss ${loss}, ${delayMs} ms each way and hop: ${ms} ms`)
    t.ok(ms <= (loss === 0 ? 500 : 4_000), `${ms} ms`)
    for (const host of [a, b, hub]) await host.stop()
  }
})

simTest('a direct path is taken when it comes, and left when it is lost, by both ends', async (t, world) => {
  const { hub, a, b } = await network(world, ['hub'])
  await timeUntil(world, () => hasSession(a, b) && hasSession(b, a))
  await bothSpeak(t, world, a, b, 'relayed')
  t.same([relayOf(a, b), relayOf(b, a)], ['hub', 'hub'])
  t.equal(viewOf(a, b)?.relayed?.why, 'no direct path has answered yet')
  t.equal(viewOf(a, b)?.endpoint, null, "the hub's endpoint is not its own")
  const key = b.publicKey
  const forWg = () => a.platform?.configurable?.get().peers.find(({ publicKey }) => key.equals(publicKey))
  t.equal(forWg()?.endpoint, undefined, 'not for wg(8) either')
  const seen = hub.status().relay.datagrams
  t.ok(seen > 0)

  const end = world.flow(a, b, 20)
  cut(world, a, b, 0)
  const directMs = await timeUntil(world, () => relayOf(a, b) === null && relayOf(b, a) === null)
  t.comment(`direct ${directMs} ms after it is possible`)
  await world.pass(1_000)
  end()
  await world.pass(200)
  const numbers = b.texts.filter((it) => it.startsWith('a ')).map((it) => Number(it.split(' ')[1]))
  t.same(
    [...numbers].sort((x, y) => x - y),
    [...numbers.keys()],
    'nothing is lost at the change',
  )

  await bothSpeak(t, world, a, b, 'direct')
  t.equal(viewOf(a, b)?.endpoint, `${b.attachment.addresses[0]}:${b.port}`)
  t.equal(forWg()?.endpoint?.address, b.attachment.addresses[0])
  const before = hub.status().relay.datagrams
  await bothSpeak(t, world, a, b, 'still direct')
  t.equal(hub.status().relay.datagrams, before, 'the hub relays nothing')

  cut(world, a, b)
  const stop = world.flow(a, b, 20)
  const lostMs = await timeUntil(world, () => relayOf(a, b) === 'hub' && relayOf(b, a) === 'hub')
  stop()
  t.ok(lostMs <= 3_500, `relayed again after ${lostMs} ms`)
  t.ok(hasSession(a, b) && hasSession(b, a), 'in the same session')
  t.equal(viewOf(a, b)?.relayed?.why, 'the direct path was lost')
  await bothSpeak(t, world, a, b, 'relayed again')
})

simTest('a path that carries only one way is left, or never taken', async (t, world) => {
  const { a, b } = await network(world, ['hub'], {}, false)
  await timeUntil(world, () => hasSession(a, b) && relayOf(a, b) === null && relayOf(b, a) === null)
  world.network.way('a', 'b').loss = 1
  const end = world.flow(b, a, 50)
  const ms = await timeUntil(world, () => relayOf(a, b) === 'hub' && relayOf(b, a) === 'hub')
  t.ok(ms <= 5_000, `both are relayed after ${ms} ms`)
  end()
  await bothSpeak(t, world, a, b, 'relayed')
  let flaps = 0
  for (let second = 0; second < 180; second++) {
    await world.pass(1_000)
    if (relayOf(a, b) === null || relayOf(b, a) === null) flaps++
  }
  t.equal(flaps, 0, 'neither takes it in three minutes')
  await bothSpeak(t, world, a, b, 'still relayed')
})

simTest(
  'an hour of a relayed pair: keys are renewed through the relay, and nothing is lost',
  async (t, world) => {
    const { hub, a, b } = await network(world, ['hub'])
    await timeUntil(world, () => hasSession(a, b) && hasSession(b, a))
    await world.pass(200)
    b.overlay.received.length = 0
    const end = world.flow(a, b, 500)
    let relayed = true
    for (let minute = 0; minute < 60; minute++) {
      await world.pass(60_000)
      if (relayOf(a, b) !== 'hub' || (viewOf(a, b)?.privacy?.handshake_s ?? 999) > 180) relayed = false
    }
    end()
    await world.pass(200)
    t.ok(relayed, 'relayed all the time, with keys that are not older than three minutes')
    const numbers = b.texts.map((it) => Number(it.split(' ')[1]))
    t.same(numbers, [...numbers.keys()], `all ${numbers.length} packets came, in order`)
    const { relay_unasked, relay_unknown, relay_share, replayed } = hub.status().drops
    t.same([relay_unasked, relay_share, replayed], [0, 0, 0])
    t.ok(relay_unknown < 5, `${relay_unknown} unknown at the start`)
  },
)

simTest('with two introducers, the other one relays when the first is away', async (t, world) => {
  const { hubs, a, b } = await network(world, ['hub', 'spare'])
  await timeUntil(world, () => hasSession(a, b) && hasSession(b, a))
  const first = relayOf(a, b)
  t.ok(first === 'hub' || first === 'spare')
  for (const busy of [true, false]) {
    const from = hubs.find(({ name }) => name === relayOf(a, b))
    const other = hubs.find((it) => it !== from)?.name
    const end = busy ? world.flow(a, b, 100) : () => {}
    from?.crash()
    const ms = await timeUntil(world, () => relayOf(a, b) === other && relayOf(b, a) === other)
    end()
    t.comment(`${busy ? 'busy' : 'idle'}: by ${other} after ${ms} ms`)
    t.ok(ms <= (busy ? 3_500 : 9_000), `${ms} ms`)
    await bothSpeak(t, world, a, b, 'by the other')
    await from?.start()
    await world.pass(10_000)
    t.same([relayOf(a, b), relayOf(b, a)], [other, other], 'and it stays')
  }
})

simTest('a host that is cut off from all for two seconds blames no path for it', async (t, world) => {
  const { hubs, a, b } = await network(world, ['hub', 'spare'], {}, false)
  await timeUntil(world, () => hasSession(a, b) && relayOf(a, b) === null && relayOf(b, a) === null)
  await world.pass(5_000)
  const end = world.flow(a, b, 20)
  for (const it of [...hubs, b]) cut(world, a, it)
  await world.pass(2_000)
  t.equal(relayOf(a, b), null)
  for (const it of [...hubs, b]) cut(world, a, it, 0)
  const seen = b.texts.length
  await world.pass(100)
  t.ok(b.texts.length > seen, 'it goes on at once')
  await world.pass(3_000)
  t.same([relayOf(a, b), relayOf(b, a)], [null, null])
  end()
})

simTest('an introducer that restarts relays again, and meanwhile nothing goes wrong', async (t, world) => {
  const { hub, a, b } = await network(world, ['hub'])
  await timeUntil(world, () => hasSession(a, b) && hasSession(b, a))
  hub.crash()
  await world.pass(5_000)
  await hub.start({ introduce: true, peers: [a, b].map(memberOf) })
  const end = world.flow(a, b, 100)
  const seen = b.texts.length
  const ms = await timeUntil(world, () => b.texts.length > seen + 5)
  end()
  t.ok(ms <= 30_000, `relayed again ${ms} ms after the restart`)
  await bothSpeak(t, world, a, b, 'after it')
})

simTest(
  'an introducer with relay_limit: 0 relays nothing, and members try directly at once',
  async (t, world) => {
    const { hub, a, b } = await network(world, ['hub'], { relay_limit: 0 }, false)
    const ms = await timeUntil(world, () => hasSession(a, b) && hasSession(b, a))
    t.ok(ms <= 500, `${ms} ms`)
    t.same([relayOf(a, b), relayOf(b, a)], [null, null])
    cut(world, a, b)
    await world.pass(60_000)
    t.equal(hub.status().relay.datagrams, 0)
    t.equal(hub.status().drops.relay_unasked, 0, 'nobody asks for it')
  },
)

simTest(
  'a relayed datagram moves no endpoint, and a member that goes is not relayed any more',
  async (t, world) => {
    const { hub, a, b } = await network(world, ['hub'], {}, false)
    await timeUntil(world, () => hasSession(a, b) && relayOf(a, b) === null && relayOf(b, a) === null)
    const before = viewOf(a, b)?.endpoint
    // b thinks that its direct path is lost, and it is so for a moment.
    world.network.way('a', 'b').loss = 1
    const end = world.flow(b, a, 50)
    await timeUntil(world, () => relayOf(b, a) === 'hub')
    world.network.way('a', 'b').loss = 0
    t.ok(
      viewOf(a, b)?.endpoint === before || relayOf(a, b) === 'hub',
      'b is not taken to be where the hub is',
    )
    await timeUntil(world, () => relayOf(a, b) === null && relayOf(b, a) === null)
    end()
    t.equal(viewOf(a, b)?.endpoint, before)
    cut(world, a, b)
    const flow = world.flow(a, b, 50)
    await timeUntil(world, () => relayOf(a, b) === 'hub' && relayOf(b, a) === 'hub')
    await hub.reload({ introduce: true, peers: [memberOf(a)] })
    await timeUntil(world, () => viewOf(a, b) === undefined)
    const relayed = hub.status().relay.datagrams
    await world.pass(2_000)
    flow()
    t.equal(hub.status().relay.datagrams, relayed, 'nothing more is relayed')
  },
)

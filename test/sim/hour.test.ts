import { MESSAGE } from '../../src/wire/wireguard.js'
import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

const HOUR_MS = 3_600_000

/** Counts the datagrams of a world, by their kind. */
function counted(world: SimWorld) {
  const counts = { all: 0, bytes: 0, initiations: 0, responses: 0, transport: 0 }
  world.network.watch = ({ payload }) => {
    counts.all++
    counts.bytes += payload.length
    if (payload[0] === MESSAGE.initiation) counts.initiations++
    if (payload[0] === MESSAGE.response) counts.responses++
    if (payload[0] === MESSAGE.transport) counts.transport++
  }
  return counts
}

/** Timers that a running host has at most: its own few, and a few for each peer. */
const MOST_TIMERS = 12

function checkTimers(t: { ok(is: boolean, why: string): void }, ...hosts: readonly SimHost[]): void {
  for (const { name, clock } of hosts)
    t.ok(clock.running <= MOST_TIMERS, `${name} has ${clock.running} timers`)
}

simTest('an hour of a quiet private tunnel', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(20_000)
  checkTimers(t, a, b)
  const counts = counted(world)
  await world.pass(HOUR_MS)
  checkTimers(t, a, b)
  // The keepalives of liveness keep the keys in use: they are renewed every two minutes. As long as both ends begin at
  // the same moment, each does so with its own.
  t.ok(counts.initiations >= 28 && counts.initiations <= 62, `${counts.initiations} initiations`)
  t.equal(counts.responses, counts.initiations)
  // In five seconds: one end asks and the other one answers; and now and then they search for a wider path.
  t.ok(counts.all > 1_400 && counts.all < 4_000, `${counts.all} datagrams`)
  for (const [host, other] of [
    [a, b],
    [b, a],
  ]) {
    t.equal(host.peer(other.name).state, 'up')
    const age = host.peer(other.name).privacy?.handshake_s ?? Number.POSITIVE_INFINITY
    t.ok(age < 125, `keys of ${age} s`)
    t.same(host.said(/silent|down|again/), [])
  }
})

simTest('an hour of a busy private tunnel', async (t, world) => {
  const { a, b } = await world.pair()
  world.between(a, b, { delayMs: 20, jitterMs: 5 })
  await world.pass(5_000)
  const counts = counted(world)
  const sentFrames = { a: 0, b: 0 }
  const ends = [world.flow(a, b, 400, 500), world.flow(b, a, 600, 500)]
  const before = { a: a.received.length, b: b.received.length }
  await world.pass(HOUR_MS)
  for (const end of ends) end()
  await world.pass(1_000)
  checkTimers(t, a, b)
  sentFrames.a = HOUR_MS / 400
  sentFrames.b = HOUR_MS / 600
  // Nothing is lost, not even while keys are renewed.
  t.equal(b.received.length - before.b, sentFrames.a)
  t.equal(a.received.length - before.a, sentFrames.b)
  t.ok(counts.initiations >= 28 && counts.initiations <= 31, `${counts.initiations} initiations`)
  t.equal(a.count('dropNoKeypair') + b.count('dropNoKeypair'), 0)
  t.equal(a.count('dropReplayed') + b.count('dropReplayed'), 0)
  // Each second the path is confirmed, by each end: what is asked and what is answered.
  const control = counts.transport - sentFrames.a - sentFrames.b
  t.ok(control > 7_000 && control < 50_000, `${control} other messages`)
})

simTest('an hour without a peer, and then it comes', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  await a.start({ peers: [b.asPeer()] })
  const counts = counted(world)
  await world.pass(HOUR_MS)
  checkTimers(t, a)
  // Tries end after 90 seconds, and begin again only for something to send.
  t.ok(counts.initiations >= 15 && counts.initiations <= 20, `${counts.initiations} initiations`)
  a.offer(b, 'too early')
  await world.pass(1_000)
  t.ok(counts.initiations <= 21)
  await b.start({ peers: [a.asPeer()] })
  await world.pass(1_000)
  t.equal(a.peer('b').state, 'up')
})

simTest('keys that nobody uses are gone after three minutes', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(5_000)
  t.ok(a.peer('b').privacy?.handshake_s !== null)
  b.crash()
  await world.pass(200_000)
  t.equal(a.peer('b').privacy?.handshake_s, null)
})

import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

/** How long it takes until a frame of a's gets to b again, at a frame in 100 ms; undefined if not within `withinMs`. */
async function silenceMs(
  world: SimWorld,
  a: SimHost,
  b: SimHost,
  withinMs: number,
): Promise<number | undefined> {
  const fromMs = world.time.nowMs
  const before = b.received.length
  const end = world.flow(a, b, 100)
  await world.pass(withinMs, () => b.received.length > before)
  end()
  return b.received.length > before ? world.time.nowMs - fromMs : undefined
}

simTest('one end restarts, orderly or not: frames flow again at once', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(5_000)
  for (const how of ['stops', 'crashes'] as const) {
    if (how === 'stops') await b.stop()
    else b.crash()
    await world.pass(2_000)
    await b.start()
    // It begins a handshake by itself, because it knows where a is.
    const ms = await silenceMs(world, a, b, 10_000)
    t.ok(ms !== undefined && ms < 1_000, `b ${how}: ${ms} ms`)
    t.equal(await silenceMs(world, b, a, 10_000), 100 + 5, 'and back')
    await world.pass(30_000)
  }
})

simTest('an end that was restarted and waits to be contacted is found by the timers', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  await world.run(
    Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer({ endpoint: undefined })] })]),
  )
  t.equal(typeof (await silenceMs(world, a, b, 10_000)), 'number')
  b.crash()
  await world.pass(2_000)
  await b.start()
  // a has keys that b knows nothing of. It gives up on them 15 s after its first unanswered frame.
  const ms = await silenceMs(world, a, b, 60_000)
  t.ok(ms !== undefined && ms >= 5_000 && ms < 21_000, `${ms} ms`)
})

simTest('both ends restart at the same moment, again and again', async (t, world) => {
  const { a, b } = await world.pair()
  for (let round = 0; round < 20; round++) {
    await world.pass(world.random.between(0, 3_000))
    a.crash()
    b.crash()
    await world.run(Promise.all([a.begin(), b.begin()]))
    const ms = await silenceMs(world, a, b, 20_000)
    t.ok(ms !== undefined && ms < 6_000, `round ${round}: ${ms} ms`)
  }
  await world.pass(20_000)
  t.equal(a.peer('b').state, 'up')
  t.equal(b.peer('a').state, 'up')
})

simTest('a start and a stop at every moment of a handshake leave nothing behind', async (t, world) => {
  const { a, b } = await world.pair()
  world.between(a, b, { delayMs: 20, jitterMs: 10, loss: 0.1 })
  for (let round = 0; round < 30; round++) {
    await b.stop()
    t.equal(b.clock.running, 0, 'no timer')
    const starting = b.begin()
    await world.pass(world.random.between(0, 200))
    await world.run(starting)
  }
  world.between(a, b, { loss: 0 })
  t.equal(typeof (await silenceMs(world, a, b, 30_000)), 'number')
})

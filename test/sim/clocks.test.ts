import { MESSAGE } from '../../src/wire/wireguard.js'
import { simTest } from './world.js'

const HOUR_MS = 3_600_000

simTest('a calendar that is set back or on under a running tunnel changes nothing', async (t, world) => {
  const { a, b } = await world.pair()
  world.flow(a, b, 500)
  world.flow(b, a, 500)
  const initiations: number[] = []
  world.network.watch = ({ payload }) => {
    if (payload[0] === MESSAGE.initiation) initiations.push(world.time.nowMs)
  }
  for (const [index, ms] of [HOUR_MS, -2 * HOUR_MS, 30_000 * HOUR_MS, -30_000 * HOUR_MS].entries()) {
    const host = index % 2 === 0 ? a : b
    await world.pass(5_000)
    host.clock.step(ms)
    await world.pass(115_000)
  }
  await world.pass(1_000)
  const { length } = a.received
  await world.pass(10_000)
  t.equal(a.received.length - length, 20)
  t.ok(initiations.length >= 3 && initiations.length <= 12, `${initiations.length} initiations`)
  t.equal(a.peer('b').state, 'up')
  t.equal(b.peer('a').state, 'up')
})

simTest(
  'a host whose calendar is back an hour after a restart is heard: the other end begins',
  async (t, world) => {
    const { a, b } = await world.pair()
    await world.pass(5_000)
    b.crash()
    b.clock.step(-HOUR_MS)
    await b.start()
    await world.pass(4_000)
    t.ok(a.status().drops.handshake_refused > 0, 'its initiations are older than those before')
    world.flow(a, b, 100)
    await world.pass(30_000)
    t.equal(a.peer('b').state, 'up')
    t.equal(b.peer('a').state, 'up')
    b.offer(a, 'back again')
    await world.pass(100)
    t.ok(a.texts.includes('back again'))
  },
)

simTest(
  'keys age while a host is suspended: the first frame afterwards is not sealed with dead ones',
  async (t, world) => {
    for (const sleptMs of [100_000, 178_000, 200_000, HOUR_MS]) {
      const a = world.host(`a${sleptMs}`)
      const b = world.host(`b${sleptMs}`)
      await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
      await world.pass(5_000)
      a.suspend()
      await world.pass(sleptMs)
      a.resume()
      a.offer(b, 'good morning')
      b.offer(a, 'and to you')
      await world.pass(1_000)
      t.same(b.texts, ['good morning'], `after ${sleptMs} ms`)
      t.same(a.texts, ['and to you'])
      await world.pass(10_000)
      t.equal(a.peer(b.name).state, 'up')
      t.equal(b.peer(a.name).state, 'up')
      await a.stop()
      await b.stop()
    }
  },
)

simTest(
  'what was due while a host was suspended is due afterwards, and not all at once',
  async (t, world) => {
    const { a, b } = await world.pair()
    await world.pass(20_000)
    let sent = 0
    world.network.watch = ({ from }) => {
      if (from === 'a') sent++
    }
    a.suspend()
    await world.pass(HOUR_MS)
    t.equal(sent, 0)
    t.equal(b.peer('a').state, 'down')
    a.resume()
    await world.pass(2_000)
    t.ok(sent > 0 && sent < 60, `${sent} datagrams in two seconds`)
    await world.pass(10_000)
    t.equal(b.peer('a').state, 'up')
    t.equal(b.said(/a is heard again/).length, 1)
  },
)

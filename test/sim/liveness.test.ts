import { FdbUpkeep } from '../../src/memory/fdb-upkeep.js'
import { isControl, writeControl } from '../../src/wire/control.js'
import type { SimPlatform } from './platform.js'
import { simTest } from './world.js'

const SECONDS = 1_000

for (const secret of [true, false]) {
  const kind = secret ? 'private' : 'plain'
  simTest(`a peer is up, silent, down, and heard again: ${kind}`, async (t, world) => {
    const { a, b } = await world.pair({ secret })
    await world.pass(10 * SECONDS)
    t.equal(a.peer('b').state, 'up')
    t.equal(a.peer('b').keepalives, true)
    world.between(a, b, { up: false })
    const fromMs = world.time.nowMs
    const passedMs = () => world.time.nowMs - fromMs
    await world.pass(60 * SECONDS, () => a.peer('b').state === 'silent')
    t.ok(passedMs() > 6 * SECONDS && passedMs() <= 12 * SECONDS, `silent after ${passedMs()} ms`)
    await world.pass(60 * SECONDS, () => a.peer('b').state === 'down')
    t.ok(passedMs() > 11 * SECONDS && passedMs() <= 21 * SECONDS, `down after ${passedMs()} ms`)
    t.match(a.said(/^b is/), ['b is heard', 'b is silent', 'b is down: it answers no more'])
    world.between(a, b, { up: true })
    await world.pass(6 * SECONDS)
    t.equal(a.peer('b').state, 'up')
    t.match(a.said(/^b is/).at(-1), 'b is heard again')
    t.ok(Number(a.peer('b').heard_s) < 6)
  })
}

simTest('one direction fails: the end that hears nothing says so', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(10 * SECONDS)
  world.network.way('b', 'a').up = false
  await world.pass(30 * SECONDS)
  t.equal(a.peer('b').state, 'down')
  t.equal(b.peer('a').state, 'up', 'it hears the keepalives of the other one')
})

simTest(
  'an end that answers no keepalives gets none, and is silent only when it answers nothing',
  async (t, world) => {
    const a = world.host('a', { secret: false })
    const b = world.host('b', { secret: false })
    const to = { address: a.attachment.addresses[0], port: a.port }
    let hellos = 0
    let answers = true
    // It sends every frame back, except for what only udptun-fast understands.
    b.attachment.listeners.set(b.port, (payload) => {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
      if (isControl(view, 0, payload.length, true)) hellos++
      else if (answers) world.network.send(b.attachment, b.port, to, payload)
    })
    await a.start({ peers: [b.asPeer()] })
    // An answer that nobody has asked for counts for nothing.
    const unasked = writeControl('tap', { type: 'hello_ack', token: 7n, sizeBytes: 30 })
    world.network.send(b.attachment, b.port, to, unasked)
    const end = world.flow(a, b, 500)
    await world.pass(30 * SECONDS)
    t.equal(a.peer('b').state, 'up')
    t.equal(a.peer('b').keepalives, false)
    const before = hellos
    end()
    await world.pass(200 * SECONDS)
    t.equal(a.peer('b').state, 'up', 'nothing was asked, so nothing is missing')
    t.equal(hellos, before, 'no more keepalives and no more probes')
    answers = false
    world.flow(a, b, 500)
    await world.pass(25 * SECONDS)
    t.equal(a.peer('b').state, 'up')
    await world.pass(10 * SECONDS)
    t.equal(a.peer('b').state, 'silent')
    answers = true
    await world.pass(2 * SECONDS)
    t.equal(a.peer('b').state, 'up')
  },
)

simTest('an interface that is down, a route that is gone, and back', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(10 * SECONDS)
  a.attachment.up = false
  await world.pass(1 * SECONDS)
  t.equal(a.said(/there is no route to 198\.51\.100\.2 any more/).length, 1)
  t.equal(a.peer('b').underlay?.interface, null)
  a.offer(b, 'nowhere')
  await world.pass(60 * SECONDS)
  t.equal(a.count('dropUnreachable'), 1)
  a.attachment.up = true
  await world.pass(1 * SECONDS)
  t.equal(a.said(/the route to 198\.51\.100\.2 is by eth0/).length, 1)
  await world.pass(10 * SECONDS)
  t.equal(a.peer('b').state, 'up')
  a.offer(b, 'there')
  await world.pass(100)
  t.same(b.texts, ['there'])
})

simTest('a tunnel starts without a route, and carries when there is one', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  a.attachment.up = false
  await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
  t.equal(a.said(/there is no route to 198\.51\.100\.2 yet/).length, 1)
  await world.pass(100 * SECONDS)
  a.attachment.up = true
  await world.pass(1 * SECONDS)
  // Nobody tries on for ever: what is sent begins a handshake.
  a.offer(b, 'at last')
  await world.pass(5 * SECONDS)
  t.same(b.texts, ['at last'])
  t.equal(a.peer('b').state, 'up')
  t.equal(a.peer('b').path_mtu?.how, 'acknowledged')
})

simTest('a route into the tunnel itself carries nothing, and is told', async (t, world) => {
  const { a } = await world.pair()
  await world.pass(5 * SECONDS)
  a.platform?.network.inside.add('198.51.100.2')
  await world.pass(1_100)
  t.equal(a.said(/this tunnel itself, so nothing comes to b/).length, 1)
  a.platform?.network.inside.clear()
  await world.pass(2 * SECONDS)
  t.equal(a.said(/is by eth0/).length, 1)
})

simTest(
  'an uplink that fails takes all peers down, and their addresses are forgotten together',
  async (t, world) => {
    const hub = world.host('hub')
    const others = Array.from({ length: 8 }, (_, index) => world.host(`h${index}`))
    await world.run(
      Promise.all([
        hub.begin({ peers: others.map((it) => it.asPeer()) }),
        ...others.map((it) => it.begin({ peers: [hub.asPeer()] })),
      ]),
    )
    await world.pass(10 * SECONDS)
    const { memory, plan } = hub.platform as SimPlatform
    const fdb = new FdbUpkeep(memory, plan.fdb, plan.peerRows)
    for (const row of hub.rowsInUse) fdb.learn(0x02aa, row, row)
    const { size } = fdb
    for (const host of others) host.crash()
    const looks: number[] = []
    const { forgetAll } = FdbUpkeep.prototype
    t.intercept(FdbUpkeep.prototype, 'forgetAll', {
      value(this: FdbUpkeep, ports: Iterable<number>) {
        looks.push(world.time.nowMs)
        forgetAll.call(this, ports)
      },
    })
    await world.pass(40 * SECONDS)
    t.same(new Set(hub.status().peers.map(({ state }) => state)), new Set(['down']))
    t.equal(fdb.size, size - others.length)
    t.equal(new Set(looks).size, looks.length, `one look at a time: ${looks}`)
    t.ok(looks.length < others.length, `${looks.length} looks at all addresses for ${others.length} peers`)
  },
)

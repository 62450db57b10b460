import { MESSAGE, TRANSPORT_OVERHEAD_BYTES } from '../../src/wire/wireguard.js'
import type { NatKind, SimNat } from './nat.js'
import { type SimWorld, simTest } from './world.js'

const KINDS: readonly NatKind[] = ['cone', 'symmetric']

/** A host behind a NAT that knows a server outside. The server does not know where the host is. */
async function startBehind(world: SimWorld, nat: SimNat, keepaliveS: number, suffix = '') {
  const inner = world.host(`inner${suffix}`, { addresses: ['10.0.0.2'], nat })
  const server = world.host(`server${suffix}`)
  await world.run(
    Promise.all([
      server.begin({ peers: [inner.asPeer({ endpoint: undefined })] }),
      inner.begin({ peers: [server.asPeer({ persistent_keepalive: keepaliveS })] }),
    ]),
  )
  return { inner, server }
}

for (const kind of KINDS) {
  simTest(
    `a host behind a ${kind} NAT is reached after a long silence, with a persistent keepalive`,
    async (t, world) => {
      const nat = world.nat('203.0.113.1', kind)
      const { inner, server } = await startBehind(world, nat, 25)
      await world.pass(600_000)
      server.offer(inner, 'are you there')
      await world.pass(100)
      t.same(inner.texts, ['are you there'])
      t.match(server.peer('inner').endpoint, /^203\.0\.113\.1:/)
      t.equal(server.peer('inner').state, 'up')
    },
  )

  simTest(`a ${kind} NAT that forgets everything is no more than a hiccup`, async (t, world) => {
    const nat = world.nat('203.0.113.1', kind)
    const { inner, server } = await startBehind(world, nat, 25)
    world.flow(server, inner, 100)
    await world.pass(5_000)
    for (let round = 0; round < 5; round++) {
      nat.forget()
      const before = inner.received.length
      // The next keepalive from inside opens it again: the one of liveness comes every 5 s.
      await world.pass(30_000, () => inner.received.length > before)
      t.ok(inner.received.length > before, `round ${round}`)
      await world.pass(20_000)
    }
  })
}

simTest(
  'a persistent keepalive alone keeps a way through a NAT, and without one there is none',
  async (t, world) => {
    for (const seconds of [25, 0]) {
      const nat = world.nat(`203.0.113.${1 + seconds}`, 'cone')
      nat.answeredMs = 60_000
      // Between other ends than udptun-fast nothing else is sent: all that has content is lost.
      world.network.swallows = ({ payload }) =>
        payload[0] === MESSAGE.transport && payload.length > TRANSPORT_OVERHEAD_BYTES
      const { inner, server } = await startBehind(world, nat, seconds, String(seconds))
      await world.pass(100_000)
      world.network.swallows = () => false
      server.offer(inner, 'are you there')
      await world.pass(1_000)
      t.same(inner.texts, seconds > 0 ? ['are you there'] : [])
      await inner.stop()
      await server.stop()
    }
  },
)

simTest('a hundred hosts behind one NAT speak with one server', async (t, world) => {
  const nat = world.nat('203.0.113.1', 'symmetric')
  const server = world.host('server')
  const inner = Array.from({ length: 100 }, (_, index) =>
    world.host(`i${index}`, { addresses: [`10.0.0.${index + 2}`], nat }),
  )
  await world.run(
    Promise.all([
      server.begin({ peers: inner.map((it) => it.asPeer({ endpoint: undefined })) }),
      ...inner.map((it) => it.begin({ peers: [server.asPeer({ persistent_keepalive: 25 })] })),
    ]),
  )
  await world.pass(20_000)
  for (const host of inner) server.offer(host, host.name)
  await world.pass(100)
  t.same(
    inner.map(({ texts }) => texts),
    inner.map(({ name }) => [name]),
  )
})

simTest('two hosts behind a cone NAT each find each other, because both begin', async (t, world) => {
  const a = world.host('a', { addresses: ['10.0.0.2'], nat: world.nat('203.0.113.1', 'cone') })
  const b = world.host('b', { addresses: ['10.0.0.2'], nat: world.nat('203.0.113.2', 'cone') })
  const more = { persistent_keepalive: 25 }
  await world.run(
    Promise.all([
      a.begin({ peers: [b.asPeer({ endpoint: '203.0.113.2', ...more })] }),
      b.begin({ peers: [a.asPeer({ endpoint: '203.0.113.1', ...more })] }),
    ]),
  )
  await world.pass(12_000)
  a.offer(b, 'through two walls')
  await world.pass(100)
  t.same(b.texts, ['through two walls'])
})

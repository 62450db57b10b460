import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

const PLAIN = { secret: false }

/** Host a knows the others by names, in a plain tunnel. Each of them knows a by its address. */
async function byNames(world: SimWorld, count: number) {
  const a = world.host('a', PLAIN)
  const others = Array.from({ length: count }, (_, index) => world.host(`h${index}`, PLAIN))
  for (const host of others) world.dns.set(`${host.name}.example`, { addresses: host.attachment.addresses })
  const named = (host: SimHost) => host.asPeer({ endpoint: `${host.name}.example` })
  await world.run(
    Promise.all([
      a.begin({ peers: others.map(named) }),
      ...others.map((host) => host.begin({ peers: [a.asPeer()] })),
    ]),
  )
  await world.pass(10_000)
  return { a, others }
}

/** Each host gets the address of the next one, and the names say so. */
async function rotate(world: SimWorld, a: SimHost, others: readonly SimHost[]): Promise<void> {
  const addresses = others.map(({ attachment }) => [...attachment.addresses])
  for (const host of others) host.crash()
  for (const [index, host] of others.entries()) {
    host.attachment.addresses = addresses[(index + 1) % others.length]
    world.dns.set(`${host.name}.example`, { addresses: host.attachment.addresses })
  }
  await world.run(Promise.all(others.map((host) => host.begin({ peers: [a.asPeer()] }))))
}

for (const count of [2, 3, 5]) {
  simTest(`${count} names that pass on their addresses in a circle are followed`, async (t, world) => {
    const { a, others } = await byNames(world, count)
    await rotate(world, a, others)
    await world.pass(62_000)
    for (const host of others) {
      t.equal(a.peer(host.name).endpoint, `${host.attachment.addresses[0]}:5149`)
      t.equal(a.peer(host.name).trouble, null)
    }
    t.same(a.said(/already/), [], 'nothing is said against it')
    await world.pass(20_000)
    // What goes to one of them comes to that one, and is counted for it alone.
    const before = others.map(({ name }) => a.peer(name))
    const [first] = others
    for (let i = 0; i < 50; i++) {
      a.offer(first, `${i}`)
      first.offer(a, `${i}`)
      await world.pass(20)
    }
    t.equal(first.texts.length, 50)
    for (const [index, { name }] of others.entries()) {
      const now = a.peer(name)
      t.equal(now.state, 'up', name)
      const counts = [
        now.outbound.frames - before[index].outbound.frames,
        now.inbound.frames - before[index].inbound.frames,
      ]
      // What main itself says counts, too.
      for (const count of counts) t.ok(index === 0 ? count >= 50 : count < 10, `${name}: ${counts}`)
    }
    await first.stop()
    await world.pass(25_000)
    t.same(
      others.map(({ name }) => a.peer(name).state),
      ['down', ...others.slice(1).map(() => 'up')],
      'and each has a life of its own',
    )
  })
}

simTest('names that pass on their addresses in a chain are followed', async (t, world) => {
  const { a, others } = await byNames(world, 3)
  const [x, y, z] = others
  const old = [x, y].map(({ attachment }) => attachment.addresses)
  for (const host of others) host.crash()
  z.attachment.addresses = ['198.51.100.99']
  ;[y.attachment.addresses, x.attachment.addresses] = [['198.51.100.4'], old[1]]
  for (const host of others) world.dns.set(`${host.name}.example`, { addresses: host.attachment.addresses })
  await world.run(Promise.all(others.map((host) => host.begin({ peers: [a.asPeer()] }))))
  await world.pass(80_000)
  for (const host of others) {
    t.equal(a.peer(host.name).endpoint, `${host.attachment.addresses[0]}:5149`)
    t.equal(a.peer(host.name).state, 'up')
  }
})

simTest(
  'two names of one address: the second is refused, and comes when the first leaves',
  async (t, world) => {
    const { a, others } = await byNames(world, 2)
    const [x, y] = others
    const [place] = x.attachment.addresses
    await y.stop()
    world.dns.set('h1.example', { addresses: [place] })
    await world.pass(70_000)
    t.equal(a.peer('h0').state, 'up')
    t.equal(a.peer('h0').endpoint, `${place}:5149`)
    t.equal(
      a.said(/^h1\.example is at .*, but the peer h0 is there already; give each an endpoint of its own/)
        .length,
      1,
    )
    t.match(a.peer('h1').trouble, /but the peer h0 is there already/)
    await world.pass(600_000)
    t.equal(a.said(/already/).length, 1, 'said once')
    // The first is removed from the file.
    x.crash()
    y.attachment.addresses = [place]
    await y.start()
    await a.reload({ peers: [y.asPeer({ endpoint: 'h1.example' })] })
    await world.pass(10_000)
    t.equal(a.peer('h1').endpoint, `${place}:5149`)
    t.equal(a.peer('h1').state, 'up')
  },
)

simTest('a name may move to an address that a removed peer had', async (t, world) => {
  const { a, others } = await byNames(world, 2)
  const [x, y] = others
  const [place] = x.attachment.addresses
  x.crash()
  y.crash()
  await a.reload({ peers: [y.asPeer({ endpoint: 'h1.example' })] })
  y.attachment.addresses = [place]
  world.dns.set('h1.example', { addresses: [place] })
  await y.start()
  await world.pass(62_000)
  t.equal(a.peer('h1').endpoint, `${place}:5149`)
  await world.pass(10_000)
  t.equal(a.peer('h1').state, 'up')
})

simTest('a reload that swaps what two endpoints are called swaps no traffic', async (t, world) => {
  const { a, others } = await byNames(world, 2)
  const [x, y] = others
  await a.reload({
    peers: [x.asPeer({ endpoint: 'h1.example', macs: [] }), y.asPeer({ endpoint: 'h0.example', macs: [] })],
  })
  await world.pass(70_000)
  t.equal(a.peer('h0').endpoint, `${y.attachment.addresses[0]}:5149`)
  t.equal(a.peer('h1').endpoint, `${x.attachment.addresses[0]}:5149`)
  t.equal(a.peer('h0').state, 'up')
  t.equal(a.peer('h1').state, 'up')
})

simTest(
  'private: a reload that swaps two endpoints, and hosts that swap their addresses',
  async (t, world) => {
    const [a, x, y] = ['a', 'x', 'y'].map((name) => world.host(name))
    const toA = { peers: [a.asPeer()] }
    await world.run(Promise.all([a.begin({ peers: [x.asPeer(), y.asPeer()] }), x.begin(toA), y.begin(toA)]))
    await world.pass(5_000)
    const swap = () => {
      ;[x.attachment.addresses, y.attachment.addresses] = [y.attachment.addresses, x.attachment.addresses]
    }
    const at = (host: SimHost) => `${host.attachment.addresses[0]}:5149`
    swap()
    await a.reload({ peers: [x.asPeer({ endpoint: at(x) }), y.asPeer({ endpoint: at(y) })] })
    await world.pass(2_000)
    t.same([a.peer('x').endpoint, a.peer('y').endpoint], [at(x), at(y)])
    a.offer(x, 'to x')
    a.offer(y, 'to y')
    await world.pass(100)
    t.same([x.texts, y.texts], [['to x'], ['to y']])
    // They roam, each onto the address of the other.
    swap()
    x.offer(a, 'from x')
    y.offer(a, 'from y')
    await world.pass(500)
    t.same([a.peer('x').endpoint, a.peer('y').endpoint], [at(x), at(y)])
    a.offer(x, 'to x again')
    await world.pass(100)
    t.same(x.texts, ['to x', 'to x again'])
    t.same(y.texts, ['to y'])
    t.same(a.said(/already/), [])
  },
)

import { EMPTY, withMember } from '../../src/control/members/book.js'
import { writeBook } from '../../src/control/members/book-text.js'
import { formatKey } from '../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../src/noise/keys.js'
import { simTest } from './world.js'

simTest('peers are added, changed and removed, and the others notice nothing', async (t, world) => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => world.host(name))
  const toA = { peers: [a.asPeer()] }
  await world.run(
    Promise.all([a.begin({ peers: [b.asPeer(), c.asPeer()] }), ...[b, c, d].map((host) => host.begin(toA))]),
  )
  await world.pass(5_000)
  const frames = world.flow(a, b, 50)
  const before = b.received.length
  t.match(await a.reload({ peers: [b.asPeer(), d.asPeer()] }), { added: ['d'], removed: ['c'], changed: [] })
  await world.pass(5_000)
  t.ok(b.received.length - before >= 99, 'b missed nothing')
  t.equal(a.peer('d').state, 'up')
  t.throws(() => a.peer('c'))
  a.offer(c, 'you are nobody')
  a.offer(d, 'welcome')
  await world.pass(100)
  t.same(c.texts, [])
  t.same(d.texts, ['welcome'])
  t.match(await a.reload({ peers: [b.asPeer({ persistent_keepalive: 10 }), d.asPeer({ name: 'dora' })] }), {
    added: ['dora'],
    removed: ['d'],
    changed: ['b'],
  })
  t.equal(a.peer('dora').privacy?.handshake_s !== null, true, 'only its name is new: it keeps its keys')
  t.match(await a.reload({ mtu: 1300, peers: [b.asPeer(), d.asPeer()] }), { needs_restart: ['mtu'] })
  frames()
})

simTest('workers send nothing more to the row of a removed peer', async (t, world) => {
  for (const secret of [true, false]) {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => world.host(`${name}-${secret}`, { secret }))
    const toA = { peers: [a.asPeer()] }
    await world.run(Promise.all([a.begin({ peers: [b.asPeer(), c.asPeer()] }), b.begin(toA), c.begin(toA)]))
    await world.pass(5_000)
    t.equal(a.rowsInUse.length, 2)
    await a.reload({ peers: [b.asPeer()] })
    await world.pass(1_000)
    t.equal(a.rowsInUse.length, 1)
    c.offer(a, 'from nobody')
    b.offer(a, 'from a peer')
    await world.pass(100)
    t.same(a.texts, ['from a peer'])
    t.same(
      a.received.map(({ row }) => row),
      a.rowsInUse,
    )
    for (const host of [a, b, c]) await host.stop()
  }
})

simTest('a wrong file changes nothing', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(5_000)
  await t.rejects(a.reload({ peers: [{ ...b.asPeer(), endpoint: 'not a name!' }] }), /is not a remote/)
  a.offer(b, 'as before')
  await world.pass(100)
  t.same(b.texts, ['as before'])
})

simTest(
  'an introducer with another private key knows nobody whom the earlier one has invited',
  async (t, world) => {
    const [a, b] = ['a', 'b'].map((name) => world.host(name))
    const values = { introduce: true, peers: [b.asPeer()] }
    const book = withMember(EMPTY, {
      name: 'alice',
      publicKey: formatKey(derivePublicKey(clampPrivateKey(world.random.bytes(32)))),
      presharedKey: formatKey(world.random.bytes(32)),
      addresses: [(a.overlay.local[0] as string).replace(/[.]\d+[/].*$/, '.77')],
      groups: [],
      joinedMs: 0,
      seenMs: undefined,
      untilMs: undefined,
      isWireGuard: false,
    })
    a.files.set(`members-${a.publicKey.subarray(0, 8).toString('hex')}.json`, writeBook(book))
    const names = () => a.status().peers.map(({ name }) => name)
    await a.start(values)
    await world.pass(2_000)
    t.same(names(), ['b', 'alice'])
    const before = a.privateKey
    a.privateKey = clampPrivateKey(world.random.bytes(32))
    t.match(await a.reload(values), { removed: ['alice'], private_key: true })
    t.same(names(), ['b'])
    a.privateKey = before
    t.match(await a.reload(values), { added: ['alice'], private_key: true })
  },
)

simTest('a peer with another endpoint is looked for there', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(5_000)
  b.attachment.addresses = ['198.51.100.50']
  await a.reload({ peers: [b.asPeer({ endpoint: '198.51.100.50' })] })
  await world.pass(100)
  t.equal(a.peer('b').endpoint, '198.51.100.50:5149')
  a.offer(b, 'here you are')
  await world.pass(100)
  t.same(b.texts, ['here you are'])
})

simTest('rows are free again after each reload, with traffic and without', async (t, world) => {
  const hub = world.host('hub')
  const hosts = Array.from({ length: 8 }, (_, index) => world.host(`p${index}`))
  await world.run(
    Promise.all([
      hub.begin({ peers: hosts.slice(0, 4).map((it) => it.asPeer()) }),
      ...hosts.map((it) => it.begin({ peers: [hub.asPeer()] })),
    ]),
  )
  for (const host of hosts) {
    world.flow(host, hub, 70)
    world.flow(hub, host, 30)
  }
  // There are 16 rows. Without settling, they would be used up after three reloads.
  for (let round = 1; round <= 30; round++) {
    const half = round % 2 === 0 ? hosts.slice(0, 4) : hosts.slice(4)
    const fromMs = world.time.nowMs
    await hub.reload({ peers: half.map((it) => it.asPeer()) })
    t.ok(world.time.nowMs - fromMs < 1_000, `a reload takes ${world.time.nowMs - fromMs} ms`)
    await world.pass(7_000)
    for (const host of half) t.equal(hub.peer(host.name).state, 'up', `${host.name} in round ${round}`)
  }
  // What a host got was meant for it: no row has ever had what was another peer's.
  for (const host of hosts) t.ok(host.texts.every((text) => text.startsWith('hub ')))
})

simTest('frames that wait for keys do not go to the next peer of the row', async (t, world) => {
  const hub = world.host('hub')
  const dead = world.host('dead')
  const rows = new Set<number>()
  await hub.start({ peers: [dead.asPeer()] })
  for (let round = 0; round < 20; round++) {
    hub.offer(dead, `secret of round ${round}`)
    const next = world.host(`n${round}`)
    await next.start({ peers: [hub.asPeer({ endpoint: undefined })] })
    await hub.reload({ peers: [next.asPeer()] })
    await world.pass(2_000)
    t.same(next.texts, [], 'nothing that was not for it')
    hub.offer(next, 'for you')
    next.offer(hub, 'for me')
    await world.pass(100)
    t.same(next.texts, ['for you'])
    rows.add(hub.received[hub.received.length - 1].row)
    await next.stop()
    await hub.reload({ peers: [dead.asPeer()] })
  }
  t.ok(rows.size < 20, `rows were used again: ${rows.size}`)
})

simTest('a stop in the middle of reloads ends them', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(2_000)
  const other = world.host('other')
  const { tunnel } = a
  const reloads = [0, 1, 2].map((index) => {
    a.values = { peers: [index % 2 === 0 ? other.asPeer() : b.asPeer()] }
    return tunnel?.reload().catch((error: Error) => error.message)
  })
  await a.stop()
  const ends = await world.run(Promise.all(reloads))
  t.ok(
    ends.some((end) => end === 'the tunnel stops'),
    `${ends}`,
  )
})

simTest('a tunnel without peers is up, and takes some with a reload', async (t, world) => {
  const [a, b] = ['a', 'b'].map((name) => world.host(name))
  await a.start({ peers: [] })
  t.ok(
    a.lines.some(({ msg }) => msg.includes('is up') && msg.includes('to no peer yet')),
    'it says so',
  )
  t.same(a.status().peers, [])
  await world.pass(5_000)
  await b.start({ peers: [a.asPeer()] })
  t.match(await a.reload({ peers: [b.asPeer()] }), { added: ['b'] })
  await world.pass(5_000)
  t.equal(a.peer('b').state, 'up')
  a.offer(b, 'welcome')
  await world.pass(100)
  t.same(b.texts, ['welcome'])
  t.match(await a.reload({ peers: [] }), { removed: ['b'] })
  await world.pass(5_000)
  b.offer(a, 'nobody hears this')
  await world.pass(100)
  t.same([a.status().peers, a.texts, a.faults], [[], [], 0])
})

for (const secret of [false, true])
  simTest(
    `${secret ? 'private' : 'plain'}: a peer that is added right after the start is placed at once, and takes frames`,
    async (t, world) => {
      const [a, b, c] = ['a', 'b', 'c'].map((name) => world.host(`${name}-${secret}`, { secret }))
      await a.start({ peers: [c.asPeer()] })
      await b.start({ peers: [a.asPeer()] })
      await world.pass(300)
      await a.reload({ peers: [c.asPeer(), b.asPeer()] })
      await world.pass(50)
      t.type(a.peer(b.name).endpoint, 'string', 'without a wait for the next second')
      a.offer(b, 'first')
      await world.pass(200)
      t.same(b.texts, ['first'])
    },
  )

simTest('another key in the file: sessions begin again, without a restart', async (t, world) => {
  const [a, b] = ['a', 'b'].map((name) => world.host(name, { secret: true }))
  const [asA, asB] = [a.asPeer({ persistent_keepalive: 1 }), b.asPeer({ persistent_keepalive: 1 })]
  await world.run(Promise.all([a.begin({ peers: [asB] }), b.begin({ peers: [asA] })]))
  await world.pass(5_000)
  t.match(await a.reload({ peers: [asB] }), { private_key: false, needs_restart: [] })
  const ageS = () => a.peer('b').privacy?.handshake_s ?? Number.NaN
  t.ok(ageS() > 4, 'the session goes on')
  const key = clampPrivateKey(world.random.bytes(32))
  a.privateKey = key
  t.match(await a.reload({ peers: [asB] }), { private_key: true, changed: [], needs_restart: [] })
  await world.pass(5_000)
  t.ok(Number.isNaN(ageS()))
  const public_key = formatKey(derivePublicKey(key))
  await b.reload({ peers: [{ ...asA, public_key }] })
  await world.pass(10_000)
  t.ok(ageS() < 10)
  t.equal(b.peer('a').state, 'up')
  b.privateKey = key
  await t.rejects(b.reload({ peers: [{ ...asA, public_key }] }), /is this host's own/)
  await world.pass(5_000)
  t.equal(b.peer('a').state, 'up', 'nothing has changed')
})

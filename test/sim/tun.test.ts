/** Mode tun: prefixes say whose a packet is, in both families. */
import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

/** Networks of a host, one of each family; the second pair lies inside the first. */
const NETWORKS = ['10.77.0.0/16', 'fd77::/48'] as const
const PARTS = ['10.77.128.0/17', 'fd77:0:0:8000::/49'] as const

/** Addresses in {@link NETWORKS} but not in {@link PARTS}, and in both. */
const OUTSIDE_PARTS = ['10.77.1.1', 'fd77::1:1'] as const
const IN_PARTS = ['10.77.129.1', 'fd77:0:0:8001::1'] as const

const KINDS = [
  ['private', true],
  ['plain', false],
] as const

/** A host, and others of which each has only that one as a peer; all of mode tun. */
async function star(world: SimWorld, secret: boolean, prefixes: Readonly<Record<string, readonly string[]>>) {
  const place = (name: string) =>
    world.host(`${name}-${secret ? 'private' : 'plain'}`, { secret, mode: 'tun' })
  const hub = place('hub')
  const others = Object.keys(prefixes).map(place)
  const peers = Object.values(prefixes).map((own, index) => others[index].asPeer({ prefixes: own }))
  // What the others send to the hub may be for any address.
  const toHub = { peers: [hub.asPeer({ prefixes: ['0.0.0.0/1', '::/1'] })] }
  await world.run(Promise.all([hub.begin({ peers }), ...others.map((it) => it.begin(toHub))]))
  await world.pass(5_000)
  return { hub, others }
}

/** Sends from one host to addresses, as texts. @returns what came to each of the hosts since */
async function sent(world: SimWorld, from: SimHost, to: readonly string[], hosts: readonly SimHost[]) {
  const before = hosts.map(({ texts }) => texts.length)
  for (const address of to) from.send(address, address)
  await world.pass(100)
  return hosts.map(({ texts }, index) => texts.slice(before[index]))
}

for (const [kind, secret] of KINDS) {
  simTest(
    `${kind}: a packet goes to the peer with the longest prefix, in both families`,
    async (t, world) => {
      const { hub, others } = await star(world, secret, { b: NETWORKS, c: PARTS, d: [] })
      const [b, c, d] = others
      for (const host of others) t.equal(hub.peer(host.name).state, 'up')
      const own = others.flatMap(({ overlay }) => [overlay.ipv4, overlay.ipv6])
      const nobody = ['10.78.0.1', 'fd78::1', '10.9.0.200']
      t.same(await sent(world, hub, [...OUTSIDE_PARTS, ...IN_PARTS, ...own, ...nobody], [b, c, d]), [
        [...OUTSIDE_PARTS, b.overlay.ipv4, b.overlay.ipv6],
        [...IN_PARTS, c.overlay.ipv4, c.overlay.ipv6],
        [d.overlay.ipv4, d.overlay.ipv6],
      ])
      t.equal(hub.count('dropNoRoute'), nobody.length)
      t.equal(hub.status().drops.no_route, nobody.length)
    },
  )

  simTest(`${kind}: a source that is not the peer's own is not let in`, async (t, world) => {
    const { hub, others } = await star(world, secret, { b: NETWORKS, c: PARTS })
    const [b, c] = others
    const tried = [
      [b, OUTSIDE_PARTS, true],
      [b, IN_PARTS, false],
      [c, IN_PARTS, true],
      [c, OUTSIDE_PARTS, false],
      [b, [c.overlay.ipv4, c.overlay.ipv6], false],
      [c, [hub.overlay.ipv4, hub.overlay.ipv6], false],
      [c, ['8.8.8.8', '2001:4860::8'], false],
    ] as const
    const wanted: string[] = []
    for (const [host, sources, own] of tried) {
      for (const [index, from] of sources.entries()) {
        const text = `${host.name} as ${from}`
        host.send(index === 0 ? hub.overlay.ipv4 : hub.overlay.ipv6, text, { from })
        if (own) wanted.push(text)
      }
    }
    await world.pass(100)
    t.same(hub.texts, wanted)
    t.equal(hub.status().drops.not_allowed, 10)
    t.same(
      [hub.peer(b.name).inbound.dropped, hub.peer(c.name).inbound.dropped],
      [4, 6],
      'against whom it was',
    )
  })

  simTest(`${kind}: a reload changes a peer's prefixes at once, and nothing else of it`, async (t, world) => {
    const { hub, others } = await star(world, secret, { b: NETWORKS, c: [] })
    const [b, c] = others
    const handshakes = () => others.map(({ name }) => hub.peer(name).privacy?.handshake_s)
    const [before, fromMs] = [handshakes(), world.time.nowMs]
    const all = [...IN_PARTS, ...OUTSIDE_PARTS]
    t.same(await sent(world, hub, all, others), [all, []])
    const peers = [b.asPeer({ prefixes: PARTS }), c.asPeer({ prefixes: NETWORKS })]
    t.match(await hub.reload({ peers }), { added: [], removed: [], changed: others.map(({ name }) => name) })
    // The first of them is the last of before: what was remembered of it no longer holds.
    const back = all.toReversed()
    t.same(await sent(world, hub, back, others), [IN_PARTS.toReversed(), OUTSIDE_PARTS.toReversed()])
    b.send(hub.overlay.ipv4, 'not its own any more', { from: OUTSIDE_PARTS[0] })
    c.send(hub.overlay.ipv6, 'its own now', { from: OUTSIDE_PARTS[1] })
    await world.pass(100)
    t.same([hub.texts, hub.status().drops.not_allowed], [['its own now'], 1])
    await hub.reload({ peers: [b.asPeer(), c.asPeer()] })
    t.same(await sent(world, hub, all, others), [[], []])
    t.equal(hub.status().drops.no_route, all.length)
    const passedS = (world.time.nowMs - fromMs) / 1_000
    if (secret)
      for (const [index, ageS] of handshakes().entries())
        t.ok(Math.abs(Number(ageS) - Number(before[index]) - passedS) < 1e-6, 'the keys are the same')
  })

  simTest(`${kind}: a network goes to the peer that comes for one that leaves`, async (t, world) => {
    const { hub, others } = await star(world, secret, { b: NETWORKS, c: PARTS })
    const [b, c] = others
    for (let round = 0; round < 20; round++) {
      const next = world.host(`${kind}-${round}`, { secret, mode: 'tun' })
      await next.start({ peers: [hub.asPeer()] })
      // What is on its way to the one that leaves must not come to the next in its row.
      for (const address of OUTSIDE_PARTS) hub.send(address, 'before')
      await hub.reload({ peers: [next.asPeer({ prefixes: NETWORKS }), c.asPeer({ prefixes: PARTS })] })
      await world.pass(2_000)
      const came = await sent(world, hub, [...OUTSIDE_PARTS, ...IN_PARTS], [b, c, next])
      t.same(came, [[], [...IN_PARTS], [...OUTSIDE_PARTS]], `round ${round}`)
      t.notOk(next.texts.includes('before'))
      await next.stop()
    }
  })
}

simTest('a peer that roams keeps its prefixes, also where another one was', async (t, world) => {
  const { hub, others } = await star(world, true, { b: NETWORKS, c: PARTS })
  const [b, c] = others
  const all = [...OUTSIDE_PARTS, ...IN_PARTS]
  const [first, second] = others.map(({ attachment }) => attachment.addresses)
  const places = [
    [['203.0.113.7'], second],
    [first, ['2001:db8::7']],
    [second, first],
    [first, second],
  ]
  hub.attachment.addresses = [...hub.attachment.addresses, '2001:db8::1']
  for (const [index, [atB, atC]] of places.entries()) {
    b.attachment.addresses = atB
    c.attachment.addresses = atC
    const toIpv6 = atC[0].includes(':')
    if (toIpv6)
      await c.reload({ peers: [hub.asPeer({ endpoint: '[2001:db8::1]:5149', prefixes: ['::/1'] })] })
    for (const host of others) host.send(hub.overlay.ipv6, `${host.name} in place ${index}`)
    await world.pass(100)
    t.same(await sent(world, hub, all, others), [[...OUTSIDE_PARTS], [...IN_PARTS]], `place ${index}`)
    for (const [host, [at]] of [
      [b, atB],
      [c, atC],
    ] as const)
      t.match(hub.peer(host.name).endpoint, at.includes(':') ? `[${at}]` : at)
    const dropped = hub.status().drops.not_allowed
    b.send(hub.overlay.ipv6, 'forged', { from: IN_PARTS[1] })
    c.send(hub.overlay.ipv6, 'its own', { from: IN_PARTS[1] })
    await world.pass(100)
    t.equal(hub.status().drops.not_allowed, dropped + 1)
    t.same(hub.texts.slice(-1), ['its own'])
    if (toIpv6) await c.reload({ peers: [hub.asPeer({ prefixes: ['0.0.0.0/1', '::/1'] })] })
  }
})

simTest('a peer of a plain tunnel that its name leads elsewhere keeps its prefixes', async (t, world) => {
  const [a, b] = ['a', 'b'].map((name) => world.host(name, { secret: false, mode: 'tun' }))
  world.dns.set('b.example', { addresses: b.attachment.addresses })
  const settings = { peers: [b.asPeer({ endpoint: 'b.example', prefixes: NETWORKS })] }
  await world.run(Promise.all([a.begin(settings), b.begin({ peers: [a.asPeer()] })]))
  await world.pass(5_000)
  t.same(await sent(world, a, OUTSIDE_PARTS, [b]), [[...OUTSIDE_PARTS]])
  b.attachment.addresses = ['203.0.113.7']
  world.dns.set('b.example', { addresses: ['203.0.113.7'] })
  await world.pass(60_000)
  t.equal(a.peer('b').endpoint, '203.0.113.7:5149')
  t.same(await sent(world, a, OUTSIDE_PARTS, [b]), [[...OUTSIDE_PARTS]])
  b.send(a.overlay.ipv6, 'from there', { from: OUTSIDE_PARTS[1] })
  await world.pass(100)
  t.same(a.texts, ['from there'])
})

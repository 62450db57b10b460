import { simTest } from './world.js'

/** What sealing, UDP, IPv6 and Ethernet add to a packet of the overlay. */
const OVERHEAD_BYTES = 95
/** An Ethernet frame of the device's MTU. */
const frameBytes = (mtuBytes: number) => mtuBytes + 14
const ipv6 = (number: number) => ({ addresses: [`2001:db8::${number}`] })

for (const icmp of [true, false]) {
  const how = icmp ? 'that says packet too big' : 'that says nothing'
  simTest(`an IPv6 link ${how} is narrow: its exact width is found`, async (t, world) => {
    for (const [index, mtuBytes] of [1280, 1391, 1499].entries()) {
      const a = world.host(`a${index}`, ipv6(10 * index + 1))
      const b = world.host(`b${index}`, ipv6(10 * index + 2))
      world.between(a, b, { mtuBytes, icmp })
      await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
      await world.pass(10_000)
      t.match(a.peer(b.name).path_mtu, { bytes: mtuBytes, how: 'acknowledged', state: 'complete' })
      t.equal(a.mtuBytes, mtuBytes - OVERHEAD_BYTES)
      a.offer(b, 'just fits', frameBytes(mtuBytes - OVERHEAD_BYTES))
      a.offer(b, 'one more', frameBytes(mtuBytes - OVERHEAD_BYTES + 1))
      await world.pass(100)
      t.same(b.texts, ['just fits'])
      t.equal(a.count('dropOverPath'), 1)
    }
  })

  simTest(`an IPv6 path ${how} is narrower than IPv6 allows: the least MTU is kept`, async (t, world) => {
    const a = world.host('a', ipv6(1))
    const b = world.host('b', ipv6(2))
    world.between(a, b, { mtuBytes: 1200, icmp })
    await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
    await world.pass(20_000)
    t.match(a.peer('b').path_mtu, { bytes: 1280, how: 'floor', state: 'error' })
    t.equal(a.mtuBytes, 1280 - OVERHEAD_BYTES)
    world.between(a, b, { mtuBytes: 1400 })
    await world.pass(60_000)
    t.match(a.peer('b').path_mtu, { bytes: 1400, how: 'acknowledged', state: 'complete' })
    t.equal(a.mtuBytes, 1400 - OVERHEAD_BYTES)
  })
}

simTest('a peer moves from IPv4 to IPv6 and back: the MTU follows the headers', async (t, world) => {
  const both = (number: number) => ({ addresses: [`198.51.100.${number}`, `2001:db8::${number}`] })
  const a = world.host('a', both(1))
  const b = world.host('b', both(2))
  await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
  await world.pass(10_000)
  t.equal(a.mtuBytes, 1425)
  const at = (endpoint: string) => a.reload({ peers: [b.asPeer({ endpoint })] })
  for (const [endpoint, shown, mtuBytes] of [
    ['[2001:db8::2]:5149', '[2001:db8::2]:5149', 1500 - OVERHEAD_BYTES],
    ['198.51.100.2:5149', '198.51.100.2:5149', 1425],
  ] as const) {
    await at(endpoint)
    a.offer(b, shown)
    await world.pass(1_000)
    t.equal(a.peer('b').endpoint, shown)
    t.equal(a.peer('b').state, 'up')
    t.ok(b.texts.includes(shown))
    await world.pass(700_000)
    t.match(a.peer('b').path_mtu, { bytes: 1500, how: 'acknowledged' })
    t.equal(a.mtuBytes, mtuBytes)
  }
})

simTest(
  'an introducer that relays moves from IPv6 to IPv4: the MTU follows the headers',
  async (t, world) => {
    const both = (number: number) => ({ addresses: [`198.51.100.${number}`, `2001:db8::${number}`] })
    const [hub, a, b] = ['hub', 'a', 'b'].map((name, at) =>
      world.host(name, { ...both(at + 1), mode: 'tun' }),
    )
    const hubAt = (endpoint: string) => ({ peers: [hub.asPeer({ introducer: true, endpoint })] })
    world.between(a, b, { loss: 1 })
    world.between(a, hub, { mtuBytes: 1450 })
    const peers = [a, b].map((it) => it.asPeer({ endpoint: undefined }))
    await world.run(hub.begin({ introduce: true, peers }))
    await world.run(Promise.all([a.begin(hubAt('[2001:db8::1]:5149')), b.begin(hubAt('198.51.100.1:5149'))]))
    await world.pass(20_000)
    t.match(a.peer('b'), { relayed: { by: 'hub' }, path_mtu: { bytes: 1450, how: 'acknowledged' } })
    await a.reload(hubAt('198.51.100.1:5149'))
    world.between(a, hub, { mtuBytes: 1420 })
    await world.pass(20_000)
    t.equal(a.peer('hub').endpoint, '198.51.100.1:5149')
    t.match(a.peer('b'), { relayed: { by: 'hub' }, path_mtu: { bytes: 1420, how: 'acknowledged' } })
    a.offer(b, 'as long as can be', a.mtuBytes)
    await world.pass(200)
    t.same(b.texts, ['as long as can be'])
  },
)

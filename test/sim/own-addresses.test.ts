/** Which of its own addresses a host uses, when it has several and when they change. */
import { simTest } from './world.js'

const SECOND = '203.0.113.9'

for (const secret of [true, false]) {
  const kind = secret ? 'private' : 'plain'
  simTest(`a ${kind} peer behind a stateful firewall is answered from where it asks`, async (t, world) => {
    const a = world.host('a', { secret })
    const b = world.host('b', { secret })
    b.attachment.addresses = [...b.attachment.addresses, SECOND]
    const asked = new Set<string>()
    world.network.watch = ({ from, to }) => void (from === 'a' && asked.add(to.address))
    // Before a comes what it has asked for, and nothing else.
    world.network.swallows = ({ from, source }) => from === 'b' && !asked.has(source)
    const endpoint = `${SECOND}:${b.port}`
    await world.run(
      Promise.all([a.begin({ peers: [b.asPeer({ endpoint })] }), b.begin({ peers: [a.asPeer()] })]),
    )
    await world.pass(10_000)
    t.equal(a.peer('b').state, 'up')
    t.equal(a.peer('b').endpoint, endpoint)
    t.equal(b.peer('a').from, SECOND)
    t.equal(a.mtuBytes, secret ? 1425 : 1458, 'probes are answered from there, too')
    b.offer(a, 'from the second')
    await world.pass(100)
    t.same(a.texts, ['from the second'])
    t.same(b.said(/a speaks to/), [
      `a speaks to ${SECOND}, an address of this host, and is answered from there`,
    ])
  })
}

simTest(
  'when the address goes that a peer speaks to, the kernel chooses, and keys tell who it is',
  async (t, world) => {
    const a = world.host('a')
    const b = world.host('b')
    const [first] = b.attachment.addresses
    b.attachment.addresses = [first, SECOND]
    await world.run(
      Promise.all([
        a.begin({ peers: [b.asPeer({ endpoint: `${SECOND}:${b.port}` })] }),
        b.begin({ peers: [a.asPeer({ endpoint: undefined })] }),
      ]),
    )
    await world.pass(5_000)
    t.equal(b.peer('a').from, SECOND)
    b.attachment.addresses = [first]
    await world.pass(300)
    t.equal(b.peer('a').from, null)
    b.offer(a, 'from the first')
    await world.pass(100)
    t.same(a.texts, ['from the first'])
    t.equal(a.peer('b').endpoint, `${first}:${b.port}`)
    // It is spoken to at its first address now, which the kernel chooses anyway.
    b.attachment.addresses = [first, SECOND]
    await world.pass(10_000)
    t.equal(b.peer('a').from, null)
    t.equal(a.peer('b').state, 'up')
  },
)

simTest('a plain peer that sends from another address of its name is told of once', async (t, world) => {
  const a = world.host('a', { secret: false })
  const b = world.host('b', { secret: false })
  const [first] = b.attachment.addresses
  b.attachment.addresses = [first, SECOND]
  world.dns.set('host-b', { addresses: [SECOND, first] })
  // It never hears a, so it does not know which address a speaks to.
  world.network.swallows = ({ from }) => from === 'a'
  await world.run(
    Promise.all([a.begin({ peers: [b.asPeer({ endpoint: 'host-b' })] }), b.begin({ peers: [a.asPeer()] })]),
  )
  await world.pass(120_000)
  t.ok(a.count('dropForeign') > 0)
  const said = a.said(/dropped as foreign/)
  t.equal(said.length, 1)
  t.match(said[0], /it is the host of b/)
})

simTest('the address that a tunnel listens on goes, and comes back', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  const [own] = a.attachment.addresses
  await world.run(
    Promise.all([
      a.begin({ listen: `${own}:${a.port}`, peers: [b.asPeer()] }),
      b.begin({ peers: [a.asPeer()] }),
    ]),
  )
  await world.pass(3_000)
  t.match(a.status(), { listen: `${own}:5149`, listen_trouble: null })
  a.attachment.addresses = [SECOND]
  await world.pass(60_000)
  t.match(a.status(), { listen: `${own}:5149`, listen_trouble: `${own} is not an address of this host` })
  t.equal(b.peer('a').state, 'down')
  t.equal(b.peer('a').endpoint, `${own}:5149`, 'nothing has come from its other address')
  a.attachment.addresses = [own]
  await world.pass(1_000)
  t.equal(a.status().listen_trouble, null)
  t.equal(b.peer('a').state, 'up', 'at once')
  a.offer(b, 'back')
  await world.pass(100)
  t.same(b.texts, ['back'])
  t.same(a.said(/not an address|listening on .*$/).slice(1), [
    `${own} is not an address of this host, so nothing is sent or received; waiting for it, to listen on ${own}:5149`,
    `this host has its address again: listening on ${own}:5149`,
  ])
})

simTest('a tunnel follows the address of an interface, from before it has one', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  a.attachment.addresses = []
  await world.run(
    Promise.all([
      a.begin({ listen: `eth0:${a.port}`, peers: [b.asPeer()] }),
      b.begin({ peers: [a.asPeer({ endpoint: undefined })] }),
    ]),
  )
  await world.pass(5_000)
  t.match(a.status(), { listen: 'eth0:5149', listen_trouble: 'eth0 has no IPv4 address' })
  for (const [number, address] of ['203.0.113.1', '203.0.113.2', '203.0.113.3'].entries()) {
    // IPv6 is of no use to reach b. A reconnect takes its time.
    a.attachment.addresses = ['2001:db8::1']
    await world.pass(10_000)
    a.attachment.addresses = ['2001:db8::1', address]
    await world.pass(1_000)
    t.match(a.status(), { listen: `${address}:5149`, listen_trouble: null })
    t.equal(b.peer('a').endpoint, `${address}:5149`)
    b.offer(a, `${number}`)
    await world.pass(100)
  }
  t.same(a.texts, ['0', '1', '2'])
  t.equal(a.said(/waiting for it/).length, 3)
  t.same(
    a.said(/^eth0 has 2/),
    [1, 2, 3].map((number) => `eth0 has 203.0.113.${number}: listening on 203.0.113.${number}:5149`),
  )
  // Another address beside the present one changes nothing. In place of it, it is followed at once.
  a.attachment.addresses = ['203.0.113.4', '203.0.113.3']
  await world.pass(1_000)
  t.equal(a.status().listen, '203.0.113.3:5149')
  a.attachment.addresses = ['203.0.113.4']
  await world.pass(1_000)
  t.equal(a.status().listen, '203.0.113.4:5149')
  t.equal(b.peer('a').endpoint, '203.0.113.4:5149')
  t.equal(a.said(/waiting for it/).length, 3)
})

simTest('of the addresses of a name, one of the family that is listened on is used', async (t, world) => {
  const a = world.host('a', { addresses: ['2001:db8::1', '198.51.100.1'] })
  const b = world.host('b', { addresses: ['2001:db8::2', '198.51.100.2'] })
  world.dns.set('host-b', { addresses: b.attachment.addresses })
  const peers = { a: [b.asPeer({ endpoint: 'host-b' })], b: [a.asPeer({ endpoint: undefined })] }
  await world.run(
    Promise.all([a.begin({ listen: 'eth0:5149', peers: peers.a }), b.begin({ peers: peers.b })]),
  )
  await world.pass(1_000)
  t.equal(a.status().listen, '198.51.100.1:5149')
  t.equal(a.peer('b').endpoint, '198.51.100.2:5149')
  t.equal(a.peer('b').state, 'up')
})

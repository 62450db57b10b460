import { simTest } from './world.js'

simTest('with wait a start waits for name servers that do not answer, and says so once', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  world.dns.set('b.example', { code: 'EAI_AGAIN' })
  const starting = a.begin({ wait: true, peers: [b.asPeer({ endpoint: 'b.example' })] })
  await world.pass(7_000)
  t.equal(a.tunnel, undefined)
  t.equal(a.said(/DNS does not answer/).length, 1)
  world.dns.set('b.example', { addresses: b.attachment.addresses })
  await world.run(starting)
  t.ok(world.time.nowMs < 15_000, `${world.time.nowMs} ms`)
  await b.start({ peers: [a.asPeer()] })
  await world.pass(2_000)
  t.equal(a.peer('b').state, 'up')
  t.equal(a.peer('b').endpoint, '198.51.100.2:5149')
})

simTest('a start that waits for DNS can be ended', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  world.dns.set('b.example', { code: 'EAI_AGAIN' })
  const starting = a.begin({ wait: true, peers: [b.asPeer({ endpoint: 'b.example' })] })
  await world.pass(3_000)
  a.abort()
  await t.rejects(world.run(starting), { message: 'the test ends it' })
})

simTest('with wait a name that does not exist ends the start of a tunnel with one peer', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  const starting = a.start({ wait: true, peers: [b.asPeer({ endpoint: 'no.example' })] })
  await t.rejects(starting, { message: /ENOTFOUND/ })
})

simTest(
  'without wait the device is there at once, and the peer comes when its name does',
  async (t, world) => {
    const a = world.host('a')
    const b = world.host('b')
    await b.start({ peers: [a.asPeer({ endpoint: undefined })] })
    const startedMs = world.time.nowMs
    await a.start({ peers: [b.asPeer({ endpoint: 'b.example' })] })
    t.ok(world.time.nowMs - startedMs < 1_000)
    await world.pass(600_000)
    t.equal(a.said(/does not resolve|DNS does not answer/).length, 1, 'said once in ten minutes')
    world.dns.set('b.example', { addresses: b.attachment.addresses })
    const asked = world.dns.asked.get('b.example') ?? 0
    t.ok(asked <= 600 / 8 + 4, `asked ${asked} times`)
    await world.pass(10_000)
    t.equal(a.peer('b').state, 'up')
  },
)

simTest('eight names that no server answers hold up no start and no move', async (t, world) => {
  for (const secret of [true, false]) {
    const a = world.host(`a${secret}`, { secret })
    const b = world.host(`b${secret}`, { secret })
    const dead = Array.from({ length: 8 }, (_, index) => ({
      endpoint: `dead${index}.example`,
      ...(secret ? { public_key: world.publicKey() } : {}),
    }))
    for (const { endpoint } of dead) world.dns.set(endpoint, { code: 'EAI_AGAIN', delayMs: 10_000 })
    world.dns.set('b.example', { addresses: b.attachment.addresses })
    await b.start({ peers: [a.asPeer(secret ? { endpoint: undefined } : {})] })
    const startMs = world.time.nowMs
    await a.start({ peers: [...dead, b.asPeer({ endpoint: 'b.example' })] })
    await world.pass(1_000, () => a.peer(b.name).state === 'up')
    t.ok(world.time.nowMs - startMs < 1_000, `up after ${world.time.nowMs - startMs} ms`)
    await world.pass(world.random.between(0, 60_000))
    b.crash()
    b.attachment.addresses = [secret ? '198.51.100.71' : '198.51.100.72']
    world.dns.set('b.example', { addresses: b.attachment.addresses })
    const movedMs = world.time.nowMs
    await world.pass(90_000, () => a.peer(b.name).endpoint === `${b.attachment.addresses[0]}:5149`)
    t.ok(world.time.nowMs - movedMs <= 61_100, `found after ${world.time.nowMs - movedMs} ms`)
  }
})

simTest(
  'one dead name among good ones holds nobody up, and is found when it comes to life',
  async (t, world) => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => world.host(name))
    world.dns.set('c.example', { code: 'ENOTFOUND' })
    const c_ = c.asPeer({ endpoint: 'c.example' })
    await world.run(Promise.all([a.begin({ peers: [b.asPeer(), c_] }), b.begin({ peers: [a.asPeer()] })]))
    await c.start({ peers: [a.asPeer({ endpoint: undefined })] })
    t.ok(world.time.nowMs < 1_000, 'nobody waits')
    await world.pass(10_000)
    t.equal(a.peer('b').state, 'up')
    t.equal(a.peer('c').endpoint, null)
    t.equal(a.said(/carrying on without c/).length, 1)
    world.dns.set('c.example', { addresses: c.attachment.addresses })
    await world.pass(5_000)
    t.equal(a.peer('c').endpoint, '198.51.100.3:5149')
    a.offer(c, 'hello')
    await world.pass(6_000)
    t.same(c.texts, ['hello'])
  },
)

simTest('a peer is followed to the address that its name has now', async (t, world) => {
  for (const secret of [true, false]) {
    const a = world.host(`a${secret}`, { secret })
    const b = world.host(`b${secret}`, { secret })
    world.dns.set(b.name, { addresses: b.attachment.addresses })
    await world.run(
      Promise.all([a.begin({ peers: [b.asPeer({ endpoint: b.name })] }), b.begin({ peers: [a.asPeer()] })]),
    )
    await world.pass(10_000)
    t.equal(a.peer(b.name).state, 'up')
    // The host restarts elsewhere, and has no reason to say anything to a by itself.
    b.crash()
    const now = secret ? '198.51.100.71' : '198.51.100.72'
    b.attachment.addresses = [now]
    world.dns.set(b.name, { addresses: [now] })
    await b.start({ peers: [a.asPeer(secret ? { endpoint: undefined } : {})] })
    await world.pass(65_000)
    t.equal(a.peer(b.name).endpoint, `${now}:5149`)
    await world.pass(20_000)
    t.equal(a.peer(b.name).state, 'up')
    await a.stop()
    await b.stop()
  }
})

simTest('a peer that is heard from elsewhere stays there, whatever its name says', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  world.dns.set('b.example', { addresses: b.attachment.addresses })
  await world.run(
    Promise.all([
      a.begin({ peers: [b.asPeer({ endpoint: 'b.example' })] }),
      b.begin({ peers: [a.asPeer()] }),
    ]),
  )
  await world.pass(5_000)
  b.attachment.addresses = ['198.51.100.77']
  await world.pass(300_000)
  t.equal(a.peer('b').endpoint, '198.51.100.77:5149')
  t.equal(a.said(/moved/).length, 1)
})

simTest('name servers that fail now and then change nothing', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  const good = { addresses: b.attachment.addresses, delayMs: 300 }
  world.dns.set('b.example', good)
  await world.run(
    Promise.all([
      a.begin({ peers: [b.asPeer({ endpoint: 'b.example' })] }),
      b.begin({ peers: [a.asPeer()] }),
    ]),
  )
  await world.pass(1_000)
  for (let i = 0; i < 600; i++) {
    const code = world.random.pick(['EAI_AGAIN', 'ENOTFOUND'])
    world.dns.set('b.example', world.random.happens(0.5) ? { code, delayMs: 2_000 } : good)
    await world.pass(1_000)
  }
  t.equal(a.peer('b').endpoint, '198.51.100.2:5149')
  t.equal(a.peer('b').state, 'up')
  t.same(a.said(/resolve|moved|silent|down/), [])
  const asked = world.dns.asked.get('b.example') ?? 0
  t.ok(asked >= 8 && asked <= 12, `asked ${asked} times in ten minutes`)
})

simTest('a peer that comes while its name is not found is compared with it later', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  world.dns.set('b.example', { code: 'EAI_AGAIN', delayMs: 2_000 })
  await world.run(
    Promise.all([
      a.begin({ peers: [b.asPeer({ endpoint: 'b.example' })] }),
      b.begin({ peers: [a.asPeer()] }),
    ]),
  )
  await world.pass(10_000)
  t.equal(a.peer('b').state, 'up', 'it has come by itself')
  t.match(a.peer('b').trouble, /b\.example/)
  world.dns.set('b.example', { addresses: b.attachment.addresses })
  await world.pass(65_000)
  t.equal(a.peer('b').trouble, null)
  // From then on its name is followed, as if it had been found at the start.
  const before = world.dns.asked.get('b.example') ?? 0
  await world.pass(300_000)
  const asked = (world.dns.asked.get('b.example') ?? 0) - before
  t.ok(asked >= 4 && asked <= 6, `asked ${asked} times in five minutes`)
  t.equal(a.said(/resolve/).length, 1)
})

for (const secret of [false, true]) {
  const kind = secret ? 'private' : 'plain'
  simTest(`the addresses of a name are tried in turn until one answers: ${kind}`, async (t, world) => {
    const a = world.host('a', { secret })
    const b = world.host('b', { secret })
    const addresses = ['203.0.113.1', '203.0.113.2', ...b.attachment.addresses]
    world.dns.set('b.example', { addresses })
    await world.run(
      Promise.all([
        a.begin({ peers: [b.asPeer({ endpoint: 'b.example' })] }),
        b.begin({ peers: [a.asPeer(secret ? { endpoint: undefined } : {})] }),
      ]),
    )
    world.flow(a, b, 500)
    await world.pass(100_000)
    t.equal(a.peer('b').endpoint, '198.51.100.2:5149')
    t.equal(a.peer('b').state, 'up')
    await world.pass(120_000)
    t.equal(a.peer('b').endpoint, '198.51.100.2:5149', 'and there it stays')
  })
}

simTest('two names that swap their addresses swap the peers: plain', async (t, world) => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => world.host(name, { secret: false }))
  const name = (host: typeof b) => `${host.name}.example`
  for (const host of [b, c]) world.dns.set(name(host), { addresses: [...host.attachment.addresses] })
  await world.run(
    Promise.all([
      a.begin({ peers: [b, c].map((host) => host.asPeer({ endpoint: name(host) })) }),
      ...[b, c].map((host) => host.begin({ peers: [a.asPeer()] })),
    ]),
  )
  await world.pass(10_000)
  t.same(
    [b, c].map((host) => a.peer(host.name).state),
    ['up', 'up'],
  )
  const before = [b, c].map((host) => host.attachment.addresses)
  ;[c.attachment.addresses, b.attachment.addresses] = before
  for (const host of [b, c]) world.dns.set(name(host), { addresses: [...host.attachment.addresses] })
  await world.pass(75_000)
  t.same(
    [b, c].map((host) => a.peer(host.name).endpoint),
    [b, c].map((host) => `${host.attachment.addresses[0]}:5149`),
  )
  for (const host of [b, c]) a.offer(host, `to ${host.name}`)
  await world.pass(2_000)
  t.same(
    [b, c].map((host) => host.texts),
    [['to b'], ['to c']],
  )
  t.same(
    [b, c].map((host) => a.peer(host.name).state),
    ['up', 'up'],
  )
})

simTest(
  'a peer by a service: its port is in DNS, and the backup takes over and is found again',
  async (t, world) => {
    const a = world.host('a')
    const b = world.host('b')
    const name = '_udptun-fast._udp.example'
    const service = (host: string, priority: number) => ({ host, priority, weight: 0, port: 5149 })
    world.dns.set('b.example', { addresses: b.attachment.addresses })
    world.dns.set('gone.example', { addresses: ['198.51.100.99'] })
    world.dns.set(name, { services: [service('b.example', 20), service('gone.example', 10)] })
    await a.start({ peers: [b.asPeer({ endpoint: name })] })
    await b.start({ peers: [a.asPeer({ endpoint: undefined })] })
    t.equal(a.peer('b').endpoint, '198.51.100.99:5149', 'the one of the least priority')
    await world.pass(60_000)
    t.equal(a.peer('b').state, 'up')
    t.equal(a.peer('b').endpoint, '198.51.100.2:5149')
    const asked = world.dns.asked.get(name) ?? 0
    await world.pass(180_000)
    t.ok((world.dns.asked.get(name) ?? 0) >= asked + 2, 'it is asked for again')
    t.equal(a.peer('b').endpoint, '198.51.100.2:5149', 'who answers stays')
  },
)

import { MESSAGE } from '../../src/wire/wireguard.js'
import { simTest } from './world.js'

simTest('a peer that gets another address is followed as soon as it says something', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(5_000)
  b.attachment.addresses = ['198.51.100.77']
  b.offer(a, 'from elsewhere')
  await world.pass(100)
  t.same(a.texts, ['from elsewhere'])
  t.equal(a.peer('b').endpoint, '198.51.100.77:5149')
  t.same(a.said(/b has moved/), ['b has moved to 198.51.100.77:5149'])
  a.offer(b, 'an answer')
  await world.pass(100)
  t.same(b.texts, ['an answer'])
})

simTest('both ends move at once, and one of them tells the other', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(5_000)
  b.attachment.addresses = ['198.51.100.77']
  a.attachment.addresses = ['198.51.100.88']
  await world.pass(60_000)
  t.not(a.peer('b').state, 'up', 'neither can find the other one')
  b.attachment.addresses = ['198.51.100.2']
  await world.pass(60_000)
  t.equal(a.peer('b').state, 'up')
  t.equal(b.peer('a').endpoint, '198.51.100.88:5149')
})

simTest('a peer moves while the keys are renewed', async (t, world) => {
  const { a, b } = await world.pair()
  const renewals: number[] = []
  world.network.watch = ({ payload }) => {
    if (payload[0] === MESSAGE.initiation) renewals.push(world.time.nowMs)
  }
  world.between(a, b, { delayMs: 200 })
  world.flow(a, b, 100)
  world.flow(b, a, 100)
  for (let round = 0; round < 10; round++) {
    const before = renewals.length
    await world.pass(200_000, () => renewals.length > before)
    // From before the initiation arrives until after the first message under the new keys.
    await world.pass(round * 100)
    const mover = round % 2 === 0 ? a : b
    mover.attachment.addresses = [`198.51.100.${100 + round}`]
    const sent = { a: a.received.length, b: b.received.length }
    await world.pass(2_000)
    t.ok(a.received.length - sent.a >= 10, `frames reach a in round ${round}`)
    t.ok(b.received.length - sent.b >= 10, `frames reach b in round ${round}`)
    const other = mover === a ? b : a
    t.equal(other.peer(mover.name).endpoint, `198.51.100.${100 + round}:5149`)
  }
})

simTest('a path of another width is searched where the peer is now', async (t, world) => {
  const { a, b } = await world.pair()
  await world.pass(10_000)
  t.equal(a.mtuBytes, 1425)
  b.attachment.addresses = ['198.51.100.77']
  world.between(a, b, { mtuBytes: 1300, icmp: false })
  b.offer(a, 'here')
  await world.pass(15_000)
  t.equal(a.peer('b').path_mtu?.bytes, 1300)
  t.equal(a.mtuBytes, 1225)
})

simTest('an end with several addresses answers from the one that it is spoken to', async (t, world) => {
  for (const secret of [true, false]) {
    const a = world.host(`a ${secret}`.replace(' ', '-'), { secret })
    const b = world.host(`b ${secret}`.replace(' ', '-'), { secret })
    const [asked] = b.attachment.addresses
    b.attachment.addresses = ['203.0.113.9', asked]
    await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [a.asPeer()] })]))
    await world.pass(5_000)
    b.offer(a, 'hello')
    await world.pass(100)
    const { endpoint, state } = a.peer(b.name)
    // What it says before it has been spoken to comes from its first address. Only keys tell who that is.
    t.equal(endpoint, secret ? '203.0.113.9:5149' : `${asked}:5149`)
    t.equal(state, 'up')
    t.same(a.texts, ['hello'])
    t.equal(b.peer(a.name).from, secret ? null : asked)
    await a.stop()
    await b.stop()
  }
})

simTest(
  'a peer whose address changes all the time is followed, and the log stays short',
  async (t, world) => {
    const { a, b } = await world.pair()
    await world.pass(5_000)
    for (let move = 0; move < 200; move++) {
      b.attachment.addresses = [`203.0.113.${1 + (move % 200)}`]
      b.offer(a, `${move}`)
      await world.pass(50)
    }
    await world.pass(11_000)
    t.equal(a.texts.length, 200)
    t.equal(a.peer('b').endpoint, '203.0.113.200:5149')
    const lines = a.said(/b has moved/)
    t.ok(lines.length >= 2 && lines.length <= 4, `${lines.length} lines`)
  },
)

simTest(
  'moves that come too fast are followed at a bounded rate, and the last of them in the end',
  async (t, world) => {
    const { a, b } = await world.pair()
    await world.pass(5_000)
    const seconds = 10
    for (let move = 0; move < 100 * seconds; move++) {
      b.attachment.addresses = [`203.0.113.${1 + (move % 200)}`]
      b.offer(a, `${move}`)
      await world.pass(10)
    }
    b.attachment.addresses = ['203.0.113.222']
    b.offer(a, 'here to stay')
    await world.pass(15_000)
    t.equal(a.texts.length, 100 * seconds + 1, 'no frame waits for a move')
    t.equal(a.peer('b').endpoint, '203.0.113.222:5149')
    // 50 in one burst, and 20 in each second.
    const followed = a.lines
      .filter(({ msg }) => /^b has moved/.test(msg))
      .reduce((sum, { moves }) => sum + (typeof moves === 'number' ? moves : 1), 0)
    const most = 50 + 20 * (seconds + 1)
    t.ok(followed <= most && followed >= most - 40, `${followed} moves of ${100 * seconds} were followed`)
  },
)

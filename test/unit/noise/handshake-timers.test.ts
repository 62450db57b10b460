import t from 'tap'
import { MESSAGE } from '../../../src/wire/wireguard.js'
import { pair } from '../../support/noise-world.js'

const HELLO = Buffer.from('hello')
const S = 1000

t.test(
  'a handshake without an answer is tried every five seconds and a bit, for a minute and a half',
  async (t) => {
    const { world, a, peers } = pair()
    world.carries = () => false
    a.sendData(0, HELLO)
    world.pass(200 * S)
    const tries = world.since(0, MESSAGE.initiation).map(({ atMs }) => atMs)
    t.ok(tries.length >= 17 && tries.length <= 19, `${tries.length} tries`)
    const gaps = tries.slice(1).map((atMs, index) => atMs - tries[index])
    t.ok(
      gaps.every((gap) => gap >= 5 * S && gap <= 5.5 * S),
      `${gaps}`,
    )
    t.ok(new Set(gaps).size > 1, 'not all alike')
    t.ok((tries.at(-1) ?? 0) <= 90 * S)
    t.equal(new Set(world.sent.map(({ message }) => message.toString('hex'))).size, tries.length)
    const indexes = new Set(world.sent.map(({ message }) => message.readUInt32LE(4)))
    t.equal(indexes.size, tries.length, 'each with an index of its own')
    t.equal(a.keypairs.held.size, 0, 'and none is kept')

    t.comment('data begins it anew')
    const mark = world.sent.length
    a.sendData(0, HELLO)
    t.equal(world.since(mark, MESSAGE.initiation).length, 1)
    t.notOk(peers.a.hasKeypair)
  },
)

t.test('data that waits keeps the tries going', async (t) => {
  const { world, a } = pair()
  world.carries = () => false
  for (let i = 0; i < 30; i++) {
    a.sendData(0, HELLO)
    world.pass(5 * S)
  }
  t.ok((world.since(0, MESSAGE.initiation).at(-1)?.atMs ?? 0) > 140 * S)
})

t.test('asked for often, a handshake is begun once in five seconds', async (t) => {
  const { world, a } = pair()
  world.carries = () => false
  for (let i = 0; i < 40; i++) {
    a.sendData(0, HELLO)
    world.pass(100)
  }
  t.equal(world.since(0, MESSAGE.initiation).length, 1)
})

t.test('who has answered a handshake begins none of its own for a second', async (t) => {
  const { world, a, b, peers } = pair()
  const begunBy = (name: string) =>
    world.since(0, MESSAGE.initiation).filter(({ from }) => from === name).length
  // Neither its keepalive nor any data comes, so the other end may not use the keys.
  world.carries = ({ message }) => message.readUInt32LE(0) !== MESSAGE.transport
  a.sendData(0, HELLO)
  t.equal(peers.a.hasKeypair, true)
  for (let i = 0; i < 9; i++) {
    b.sendData(0, HELLO)
    world.pass(100)
  }
  t.equal(peers.b.hasKeypair, false)
  t.equal(begunBy(b.address), 0)
  world.pass(200)
  b.sendData(0, HELLO)
  t.equal(begunBy(b.address), 1)
  t.equal(peers.b.hasKeypair, true)
})

t.test(
  'the initiator renews keys after 120 seconds, when it sends; nobody does while all is silent',
  async (t) => {
    const { world, a, peers } = pair()
    a.sendData(0, HELLO)
    world.pass(119 * S)
    a.sendData(0, HELLO)
    world.pass(0.5 * S)
    t.equal(world.since(0, MESSAGE.initiation).length, 1)
    world.pass(2 * S)
    t.equal(world.since(0, MESSAGE.initiation).length, 1, 'silence renews nothing')
    a.sendData(0, HELLO)
    world.pass(0.2 * S)
    t.equal(world.since(0, MESSAGE.initiation).length, 2)
    t.ok(peers.a.handshakeMs !== undefined && peers.a.handshakeMs > 121 * S)
  },
)

t.test(
  'a renewal tells its initiator how long it took there and back, the first handshake does not',
  async (t) => {
    const { world, a, peers } = pair()
    world.carries = () => {
      world.nowMs += 7
      return true
    }
    a.sendData(0, HELLO)
    t.equal(peers.a.hasKeypair, true)
    t.equal(peers.a.roundTripMs, undefined)
    world.pass(121 * S)
    a.sendData(0, HELLO)
    world.pass(0.2 * S)
    t.equal(world.since(0, MESSAGE.initiation).length, 2)
    t.equal(peers.a.roundTripMs, 14)
    t.equal(peers.b.roundTripMs, undefined, 'who only answers does not know')
  },
)

t.test('the responder never renews for age, even when it alone sends', async (t) => {
  const { world, a, b } = pair()
  a.sendData(0, HELLO)
  world.carries = ({ message }) => message[0] === MESSAGE.transport
  for (let i = 0; i < 175; i++) {
    world.pass(1 * S)
    b.sendData(0, HELLO)
  }
  t.ok(world.since(0, MESSAGE.initiation, 'a:1').length > 1)
  t.equal(world.since(0, MESSAGE.initiation, 'b:1').length, 0)
})

t.test('an initiator that only receives renews keys before they end', async (t) => {
  const { world, a, b } = pair()
  a.sendData(0, HELLO)
  for (let i = 0; i < 175; i++) {
    world.pass(1 * S)
    b.sendData(0, HELLO)
  }
  t.equal(world.since(0, MESSAGE.initiation, 'a:1').length, 2)
})

t.test('after 2^31 messages keys are renewed, by whoever has sent them', async (t) => {
  const { world, a, b } = pair()
  a.sendData(0, HELLO)
  world.pass(10 * S)
  const held = b.keypairs.held.get(b.keypairs.sealing.get(0) ?? 0)
  if (held === undefined) throw new Error('no keypair')
  held.sealed = 2 ** 31 - 1
  b.sendData(0, HELLO)
  world.pass(0.2 * S)
  t.equal(world.since(0, MESSAGE.initiation, 'b:1').length, 1)
})

t.test('keys are not used beyond 180 seconds, and all is wiped in the end', async (t) => {
  const { world, a, b, peers } = pair()
  a.sendData(0, HELLO)
  world.carries = () => false
  world.pass(179 * S)
  t.ok(peers.a.hasKeypair)
  world.pass(1.1 * S)
  t.notOk(peers.a.hasKeypair)
  t.notOk(peers.b.hasKeypair)
  t.notOk(a.sendData(0, HELLO))
  world.pass(600 * S)
  t.equal(a.keypairs.held.size, 0)
  t.equal(b.keypairs.held.size, 0)
})

t.test('data received and nothing to say: a keepalive after ten seconds, and then silence', async (t) => {
  const { world, a, b } = pair()
  a.sendData(0, HELLO)
  world.pass(1 * S)
  const mark = world.sent.length
  a.sendData(0, HELLO)
  world.pass(9.9 * S)
  t.equal(world.since(mark, MESSAGE.transport, 'b:1').length, 0)
  world.pass(0.3 * S)
  t.equal(world.since(mark, MESSAGE.transport, 'b:1').length, 1)
  t.same(a.opened.at(-1), Buffer.alloc(0))
  world.pass(60 * S)
  t.equal(world.since(mark, MESSAGE.transport, 'b:1').length, 1, 'a keepalive is not answered')
  t.equal(b.keypairs.counts(0).sentData, 0)
})

t.test('data sent and nothing back for 15 seconds: a handshake', async (t) => {
  const { world, a } = pair()
  a.sendData(0, HELLO)
  world.pass(20 * S)
  world.carries = ({ from }) => from === 'a:1'
  const mark = world.sent.length
  a.sendData(0, HELLO)
  world.pass(14.8 * S)
  t.equal(world.since(mark, MESSAGE.initiation).length, 0)
  world.pass(0.5 * S)
  t.equal(world.since(mark, MESSAGE.initiation).length, 1)
})

t.test('what a timer or another identity asks for may begin later', async (t) => {
  const { world, a } = pair({ persistentKeepaliveMs: 25 * S })
  const { begin } = a
  const asked: number[] = []
  a.begin = (row) => asked.push(row)
  const begun = () => world.since(0, MESSAGE.initiation, 'a:1').length
  world.pass(0.3 * S)
  t.same([asked, begun()], [[0], 0], 'once, though several ticks have gone by')
  begin(0)
  t.equal(begun(), 1)
  a.handshakes.identify(world.nowMs)
  t.same([asked, begun()], [[0, 0], 1])
  begin(0)
  t.equal(begun(), 2)
})

t.test('a persistent keepalive: a handshake at once, then something every so often', async (t) => {
  const { world } = pair({ persistentKeepaliveMs: 25 * S })
  world.pass(0.1 * S)
  t.equal(world.since(0, MESSAGE.initiation).length, 1)
  world.pass(103 * S)
  const kept = world.since(0, MESSAGE.transport, 'a:1')
  t.equal(kept.length, 5, `the one that confirms the keys, and four: ${kept.map(({ atMs }) => atMs)}`)
})

t.test(
  'a suspend: keys from before are dropped at the first tick, and data begins a handshake',
  async (t) => {
    const { world, a, b, peers } = pair()
    a.sendData(0, HELLO)
    world.pass(20 * S)
    t.ok(peers.a.hasKeypair)
    const opened = b.opened.length
    world.pass(3_600 * S, 3_600 * S)
    t.notOk(peers.a.hasKeypair)
    t.notOk(peers.b.hasKeypair)
    const mark = world.sent.length
    t.notOk(a.sendData(0, HELLO))
    world.pass(1 * S)
    t.equal(world.since(mark, MESSAGE.initiation, 'a:1').length, 1, 'at once')
    t.ok(a.sendData(0, HELLO))
    t.ok(b.opened.length > opened)
  },
)

t.test('a response that has waited through a suspend makes no keys', async (t) => {
  const { world, a, b, peers } = pair()
  world.carries = ({ from }) => from === 'a:1'
  a.sendData(0, HELLO)
  const response = world.sent.find(({ message }) => message[0] === MESSAGE.response)
  if (response === undefined) throw new Error('no response')
  // The clock goes on, and no timer has run yet.
  world.nowMs += 3_600 * S
  a.receive(response.message, 'b:1')
  t.notOk(peers.a.hasKeypair)
  t.same(a.verdicts, ['old'])
  world.carries = () => true
  world.pass(1 * S)
  a.sendData(0, HELLO)
  world.pass(6 * S)
  t.ok(peers.a.hasKeypair, 'and the next handshake does')
  t.ok(b.verdicts.includes('accepted'))
})

t.test('a look for a peer elsewhere is not repeated while there are keys, and changes nothing', async (t) => {
  const { world, a, b, peers } = pair()
  a.sendData(0, HELLO)
  a.sendData(0, HELLO)
  t.same(b.opened.at(-1), HELLO)
  const madeMs = peers.a.handshakeMs
  world.pass(10 * S)
  const mark = world.sent.length
  peers.a.seek([Buffer.from('nowhere')], world.nowMs)
  world.pass(30 * S)
  const tries = world.since(mark, MESSAGE.initiation)
  t.same(
    tries.map(({ to }) => to),
    ['nowhere'],
  )
  t.equal(peers.a.handshakeMs, madeMs, 'the session is the same')
  t.ok(a.sendData(0, Buffer.from('still here')))
  t.same(b.opened.at(-1), Buffer.from('still here'))
  t.equal(a.keypairs.held.size, 1, 'its index is free again')
})

t.test('without keys it is tried again', async (t) => {
  const { world, peers } = pair()
  world.carries = () => false
  peers.a.seek([Buffer.from('nowhere')], world.nowMs)
  world.pass(20 * S)
  t.ok(world.since(0, MESSAGE.initiation).length >= 3)
})

t.test('who moves by a handshake is told apart: the initiator by an answer, the responder not', async (t) => {
  const { a, b } = pair()
  a.sendData(0, HELLO)
  t.same(a.roams, [{ answers: true }])
  t.same(b.roams, [{ answers: false }])
})

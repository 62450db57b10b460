import t from 'tap'
import { Protocol } from '../src/noise/handshake.js'
import { MESSAGE } from '../src/wire/wireguard.js'
import { pair, World } from './noise-world.js'

const HELLO = Buffer.from('hello')
const S = 1000

t.test(
  'two messages, and data goes both ways; the responder waits for the initiator to use the keys',
  async (t) => {
    const { world, a, b, peers } = pair()
    t.notOk(a.sendData(0, HELLO), 'nothing to seal with yet')
    t.same(
      world.sent.map(({ message }) => message[0]),
      [MESSAGE.initiation, MESSAGE.response, MESSAGE.transport],
      'the third is a keepalive, which confirms the keys',
    )
    t.same(b.opened, [Buffer.alloc(0)])
    t.ok(peers.a.hasKeypair && peers.b.hasKeypair)
    t.ok(a.sendData(0, HELLO))
    t.ok(b.sendData(0, HELLO))
    t.same(b.opened[1], HELLO)
    t.same(a.opened, [HELLO])
  },
)

t.test('until then the responder has nothing to seal with', async (t) => {
  const { world, a, b, peers } = pair()
  world.carries = ({ message }) => message[0] !== MESSAGE.transport
  a.sendData(0, HELLO)
  t.ok(peers.a.hasKeypair)
  t.notOk(peers.b.hasKeypair)
  world.carries = () => true
  a.sendData(0, HELLO)
  t.ok(peers.b.hasKeypair)
  t.same(b.opened, [HELLO])
})

t.test('an unknown key, a wrong preshared key, another protocol: no answer and no state', async (t) => {
  const world = new World()
  const b = world.end('b:1', 2)
  const stranger = world.end('s:1', 3)
  stranger.knows(b).initiate(0)
  t.same(b.verdicts, ['unknown peer'])
  t.equal(world.sent.length, 1)
  t.equal(b.keypairs.held.size, 0)

  const ethernet = world.end('e:1', 4, Protocol.ethernet)
  b.knows(ethernet)
  ethernet.knows(b).initiate(0)
  t.same(b.verdicts, ['unknown peer', 'not authentic'])
  t.equal(b.keypairs.held.size, 0)

  const other = world.end('o:1', 5)
  b.knows(other, { number: 1, presharedKey: new Uint8Array(32).fill(1) })
  other.knows(b, { presharedKey: new Uint8Array(32).fill(2) }).initiate(0)
  t.same(other.verdicts, ['not authentic'])
  t.notOk(other.handshakes.peer(0)?.hasKeypair)
})

t.test('an initiation that has been seen, or is older than one seen, is not answered', async (t) => {
  const { world, a, b } = pair()
  a.sendData(0, HELLO)
  const [first] = world.since(0, MESSAGE.initiation)
  world.pass(6 * S)
  a.handshakes.peer(0)?.initiate(world.nowMs)
  const answers = () => world.since(0, MESSAGE.response).length
  t.equal(answers(), 2)
  const held = b.keypairs.held.size
  b.receive(first.message, 'evil:1')
  b.receive(world.since(0, MESSAGE.initiation)[1].message, 'evil:1')
  t.same(b.verdicts.slice(-2), ['old', 'old'])
  t.equal(answers(), 2)
  t.equal(b.keypairs.held.size, held)
  t.equal(b.handshakes.peer(0)?.endpoint?.toString(), 'a:1', 'and nobody has moved')
})

t.test('messages that come back to where they are from are nothing', async (t) => {
  const { world, a, b } = pair()
  a.sendData(0, HELLO)
  b.sendData(0, HELLO)
  const verdicts = a.verdicts.length
  const opened = a.opened.length
  const before = world.sent.length
  for (const { from, message } of world.sent.slice()) (from === 'a:1' ? a : b).receive(message, 'mirror:1')
  t.equal(world.sent.length, before)
  t.ok(a.verdicts.slice(verdicts).every((verdict) => verdict !== 'accepted'))
  t.equal(a.opened.length, opened)
})

t.test('two that begin at once both come to keys, and hear each other', async (t) => {
  const { world, a, b } = pair()
  const waiting: (() => void)[] = []
  world.carries = ({ message, from }) => {
    waiting.push(() => (from === 'a:1' ? b : a).receive(message, from))
    return false
  }
  a.sendData(0, HELLO)
  b.sendData(0, HELLO)
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next()
  a.sendData(0, Buffer.from('to b'))
  b.sendData(0, Buffer.from('to a'))
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next()
  t.same(b.opened.at(-1), Buffer.from('to b'))
  t.same(a.opened.at(-1), Buffer.from('to a'))
})

t.test('under load a sender gets a cookie, and is answered when it comes back with it', async (t) => {
  const { world, a, b, peers } = pair()
  b.underLoad = true
  peers.a.initiate(0)
  t.same(b.verdicts, ['cookie'])
  t.same(
    world.sent.map(({ message }) => message[0]),
    [MESSAGE.initiation, MESSAGE.cookieReply],
  )
  t.same(a.verdicts, ['accepted'])
  world.pass(6 * S)
  t.same(b.verdicts, ['cookie', 'accepted'])
  t.ok(peers.a.hasKeypair)

  t.comment('the same message from elsewhere has no right cookie')
  const [, withCookie] = world.since(0, MESSAGE.initiation)
  b.receive(withCookie.message, 'a:2')
  t.equal(b.verdicts.at(-1), 'cookie')

  t.comment('after two minutes the cookie is no longer any good')
  world.pass(130 * S)
  b.receive(withCookie.message, 'a:1')
  t.equal(b.verdicts.at(-1), 'cookie')
})

t.test('a cookie that nobody asked for changes nothing', async (t) => {
  const { world, a, b, peers } = pair()
  b.underLoad = true
  peers.a.initiate(0)
  const [reply] = world.since(0, MESSAGE.cookieReply)
  a.receive(reply.message, 'b:1')
  t.same(a.verdicts, ['accepted', 'not authentic'])
})

t.test('an endpoint moves with what is authentic', async (t) => {
  const { world, a, b, peers } = pair()
  a.sendData(0, HELLO)
  const [initiation] = world.since(0, MESSAGE.initiation)
  const damaged = Buffer.from(initiation.message)
  damaged[60] ^= 1
  b.receive(damaged, 'evil:1')
  t.equal(peers.b.endpoint?.toString(), 'a:1')
  world.pass(6 * S)
  world.carries = ({ to, message }) => to === 'b:1' && (b.receive(message, 'a:2'), false)
  peers.a.initiate(world.nowMs)
  t.equal(peers.b.endpoint?.toString(), 'a:2')
})

t.test('a peer that has been removed is a stranger, and its keys are gone', async (t) => {
  const { world, a, b, peers } = pair()
  a.sendData(0, HELLO)
  b.handshakes.remove(peers.b)
  t.equal(b.keypairs.held.size, 0)
  a.sendData(0, HELLO)
  t.equal(b.opened.length, 1)
  world.pass(6 * S)
  peers.a.initiate(world.nowMs)
  t.equal(b.verdicts.at(-1), 'unknown peer')
})

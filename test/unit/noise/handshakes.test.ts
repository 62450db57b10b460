import t from 'tap'
import { Protocol } from '../../../src/noise/handshake.js'
import { MESSAGE } from '../../../src/wire/wireguard.js'
import { pair, World } from '../../support/noise-world.js'

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
  b.knows(other, { row: 1, presharedKey: new Uint8Array(32).fill(1) })
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

  // Each seals with the keys of its own handshake now. Until the next response has come, those are still good.
  world.carries = ({ message }) => message[0] !== MESSAGE.response
  world.pass(126_000)
  const mark = world.sent.length
  a.sendData(0, HELLO)
  world.pass(200)
  t.ok(world.since(mark, MESSAGE.response, b.address).length > 0, 'b has answered')
  a.sendData(0, Buffer.from('still under the old ones'))
  t.same(b.opened.at(-1), Buffer.from('still under the old ones'))
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
  world.carries = ({ to, message }) => {
    if (to === 'b:1') b.receive(message, 'a:2')
    return false
  }
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

t.test('from where no peer can be no handshake is taken, and none is half made', async (t) => {
  const { world, a, b, peers } = pair()
  world.carries = ({ message }) => message[0] !== MESSAGE.initiation
  peers.a.initiate(0)
  const [{ message }] = world.since(0, MESSAGE.initiation)
  world.carries = () => true
  b.refused.add('nowhere:1')
  b.receive(message, 'nowhere:1')
  t.same(b.verdicts, ['misplaced'])
  t.equal(b.keypairs.held.size, 0)
  t.equal(world.sent.length, 1, 'no answer')
  t.equal(peers.b.endpoint?.toString(), 'a:1')

  t.comment('the same from the right place is as good as ever, and so it is with the answer')
  const answers: Buffer[] = []
  world.carries = (sent) => sent.message[0] !== MESSAGE.response || !answers.push(sent.message)
  b.receive(message, 'a:1')
  t.same(b.verdicts, ['misplaced', 'accepted'])
  a.refused.add('nowhere:1')
  a.receive(answers[0], 'nowhere:1')
  t.notOk(peers.a.hasKeypair)
  a.receive(answers[0], 'b:1')
  t.same(a.verdicts, ['misplaced', 'accepted'])
  t.ok(peers.a.hasKeypair && peers.b.hasKeypair)
  t.equal(peers.a.endpoint?.toString(), 'b:1')
})

t.test(
  'data from where no peer can be is authentic all the same, and the peer stays where it was',
  async (t) => {
    const { world, a, b, peers } = pair()
    a.sendData(0, HELLO)
    b.refused.add('nowhere:1')
    world.carries = ({ to, message }) => {
      if (to === 'b:1') b.receive(message, 'nowhere:1')
      return false
    }
    a.sendData(0, HELLO)
    t.same(b.opened.at(-1), HELLO)
    t.equal(peers.b.endpoint?.toString(), 'a:1')
  },
)

t.test('one that is removed and comes back takes no initiation of before', async (t) => {
  const { world, a, b, peers } = pair()
  peers.a.initiate(0)
  world.pass(6 * S)
  const [old] = world.since(0, MESSAGE.initiation)
  peers.a.initiate(world.nowMs)
  b.handshakes.remove(peers.b)
  const back = b.knows(a)
  b.receive(old.message, 'evil:1')
  const [, last] = world.since(0, MESSAGE.initiation)
  b.receive(last.message, 'evil:1')
  t.same(b.verdicts.slice(-2), ['old', 'old'])
  t.equal(back.endpoint?.toString(), 'a:1')
  world.pass(6 * S)
  peers.a.initiate(world.nowMs)
  t.equal(b.verdicts.at(-1), 'accepted', 'one that is new is taken')
})

t.test(
  'other settings leave the keys as they are, after another preshared key there are new ones',
  async (t) => {
    const { world, a, b, peers } = pair()
    a.sendData(0, HELLO)
    const none = new Uint8Array(32)
    const handshakes = () => world.since(0, MESSAGE.initiation).length
    peers.a.change({ presharedKey: none, persistentKeepaliveMs: 3 * S }, world.nowMs)
    t.ok(a.sendData(0, HELLO), 'there are keys')
    const mark = world.sent.length
    world.pass(10 * S)
    t.equal(world.since(mark, MESSAGE.transport, 'a:1').length, 3, 'it keeps alive')
    t.equal(handshakes(), 1)
    peers.a.change({ presharedKey: none, persistentKeepaliveMs: 0 }, world.nowMs)
    const quiet = world.sent.length
    world.pass(30 * S)
    t.equal(world.since(quiet, MESSAGE.transport, 'a:1').length, 0, 'it does no more')

    const presharedKey = new Uint8Array(32).fill(7)
    const madeMs = () => [peers.a.handshakeMs, peers.b.handshakeMs]
    const before = madeMs()
    peers.b.change({ presharedKey, persistentKeepaliveMs: 0 }, world.nowMs)
    t.ok(a.sendData(0, HELLO) && b.sendData(0, HELLO), 'the keys are those of before')
    world.pass(3 * S)
    t.same(madeMs(), before, 'the other end does not have that key yet')
    peers.a.change({ presharedKey, persistentKeepaliveMs: 0 }, world.nowMs)
    world.pass(10 * S)
    t.ok(
      madeMs().every((ms, index) => (ms ?? 0) > (before[index] ?? 0)),
      'there are new ones, with that key',
    )
    const during = madeMs()
    peers.a.change({ presharedKey: undefined, persistentKeepaliveMs: 0 }, world.nowMs)
    world.pass(10 * S)
    t.same(madeMs(), during, 'one that stays changes nothing')
    t.ok(a.sendData(0, HELLO) && b.sendData(0, HELLO))
    peers.b.change({ presharedKey: none, persistentKeepaliveMs: 0 }, world.nowMs)
    world.pass(200 * S)
    t.notOk(peers.a.hasKeypair || peers.b.hasKeypair, 'without it there are none when those have expired')
  },
)

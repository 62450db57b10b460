import fc from 'fast-check'
import t from 'tap'
import { MESSAGE } from '../../../src/wire/wireguard.js'
import { type End, pair, World } from '../../support/noise-world.js'

const HELLO = Buffer.from('hello')

/** Everything that could tell a sender something, or keep something for it. */
const stateOf = (world: World, end: End) => ({
  sent: world.sent.length,
  held: end.keypairs.held.size,
  sealing: end.keypairs.sealing.get(0),
  opened: end.opened.length,
  endpoint: Buffer.from(end.handshakes.peer(0)?.endpoint ?? []).toString(),
})

/** One message of each type, as the one it is for would take it; taken from a world of their own each. */
const TYPES: readonly [string, () => { world: World; to: End; message: Buffer }][] = [
  [
    'initiation',
    () => {
      const { world, b, peers } = pair()
      world.carries = () => false
      peers.a.initiate(0)
      return { world, to: b, message: world.sent[0].message }
    },
  ],
  [
    'response',
    () => {
      const { world, a, peers } = pair()
      world.carries = ({ from }) => from === 'a:1'
      peers.a.initiate(0)
      return { world, to: a, message: world.sent[1].message }
    },
  ],
  [
    'cookie reply',
    () => {
      const { world, a, b, peers } = pair()
      b.underLoad = true
      world.carries = ({ from }) => from === 'a:1'
      peers.a.initiate(0)
      return { world, to: a, message: world.sent[1].message }
    },
  ],
  [
    'transport data',
    () => {
      const { world, a, b } = pair()
      a.sendData(0, HELLO)
      world.carries = () => false
      a.sendData(0, HELLO)
      return { world, to: b, message: world.sent.at(-1)?.message ?? Buffer.alloc(0) }
    },
  ],
]

const UNSEALED_TAIL = 16

for (const [name, make] of TYPES) {
  t.test(
    `${name}: taken as it is; with any bit changed, cut or lengthened, it changes nothing`,
    async (t) => {
      const whole = make()
      const before = stateOf(whole.world, whole.to)
      whole.to.receive(whole.message, 'evil:1')
      if (name === 'cookie reply') t.same(whole.to.verdicts, ['accepted'])
      else t.notSame(stateOf(whole.world, whole.to), before)

      const { world, to, message } = make()
      const was = stateOf(world, to)
      const end =
        name === 'transport data' || name === 'cookie reply' ? message.length : message.length - UNSEALED_TAIL
      for (let bit = 0; bit < end * 8; bit++) {
        const changed = Buffer.from(message)
        changed[bit >>> 3] ^= 1 << (bit & 7)
        to.receive(changed, 'evil:1')
      }
      for (let length = 0; length < message.length; length++)
        to.receive(message.subarray(0, length), 'evil:1')
      to.receive(Buffer.concat([message, Buffer.alloc(1)]), 'evil:1')
      t.same(stateOf(world, to), was)
      t.notOk(to.verdicts.slice(name === 'initiation' ? 0 : 1).includes('accepted'))
    },
  )
}

t.test('any bytes at all: nothing is thrown, sent, kept or moved', async (t) => {
  const { world, a, b } = pair()
  a.sendData(0, HELLO)
  const was = stateOf(world, b)
  const length = fc.oneof(fc.constantFrom(0, 1, 3, 4, 16, 31, 32, 64, 92, 148), fc.nat(300))
  const bytes = length.chain((n) => fc.uint8Array({ minLength: n, maxLength: n }))
  const property = fc.property(bytes, fc.nat(5), (message, type) => {
    if (message.length >= 4) message.set([type, 0, 0, 0])
    b.receive(Buffer.from(message), 'evil:1')
    return JSON.stringify(stateOf(world, b)) === JSON.stringify(was)
  })
  fc.assert(property, { numRuns: 2_000 })
  t.notOk(b.verdicts.slice(1).includes('accepted'))
})

t.test('what a peer was sent under its keys says nothing to another', async (t) => {
  const world = new World()
  const [a, b, c] = [world.end('a:1', 1), world.end('b:1', 2), world.end('c:1', 3)]
  for (const [x, y] of [
    [a, b],
    [b, c],
    [a, c],
  ])
    x.knows(y, { row: y === c ? 1 : 0 })
  b.knows(a)
  c.knows(a)
  c.knows(b, { row: 1 })
  a.sendData(0, HELLO)
  a.sendData(1, HELLO)
  const was = stateOf(world, c)
  for (const { to, message } of world.sent.slice()) if (to === 'b:1') c.receive(message, 'b:1')
  t.same(stateOf(world, c), was)
  t.ok(c.verdicts.slice(1).every((verdict) => verdict !== 'accepted'))
  const types = new Set(world.sent.map(({ message }) => message[0]))
  t.ok(types.has(MESSAGE.initiation) && types.has(MESSAGE.transport))
})

/** Relayed messages at both workers: on an introducer, and on a member. The keys of a row are the same in both directions. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { IP_TOS, SOL_IP } from '../../../src/linux/constants.js'
import { must, setsockopt } from '../../../src/linux/libc.js'
import { PART } from '../../../src/memory/relay-table.js'
import { writeControl } from '../../../src/wire/control.js'
import { NAME_MASK, RELAY_HEADER_BYTES, type RelayName, TO_INTRODUCER } from '../../../src/wire/relay.js'
import { MESSAGE, TAG_BYTES } from '../../../src/wire/wireguard.js'
import { datagramsTo } from '../../support/received.js'
import { datagrams, WorkerPair } from '../../support/worker-pair.js'

const NAMES: readonly RelayName[] = [
  { low: 0x1234_5678, high: 0x0bcd_ef01 },
  { low: -77, high: 0x7fff_fff0 },
]
const INDEX = 0x7700_0000
const OPTIONS = { authTagLength: TAG_BYTES } as const

const nonceOf = (number: number) => {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32LE(number, 4)
  return nonce
}

/** A message as an introducer gets it from the member of a row, or as a member gets it. */
function relayed(
  key: Buffer,
  row: number,
  number: number,
  named: RelayName,
  direction: number,
  inner: Uint8Array,
) {
  const plain = Buffer.alloc(8)
  plain.writeInt32LE(named.low)
  plain.writeInt32LE((named.high & NAME_MASK) | direction, 4)
  const header = Buffer.alloc(16)
  header.writeUInt32LE(MESSAGE.relay)
  header.writeUInt32LE(INDEX + row, 4)
  header.writeUInt32LE(number, 8)
  const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(number), OPTIONS)
  return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag(), inner])
}

/** What a header says, opened with the key of its hop. */
function readHeader(key: Buffer, message: Buffer) {
  const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(message.readUInt32LE(8)), OPTIONS)
  decipher.setAuthTag(message.subarray(24, 40))
  const plain = Buffer.concat([decipher.update(message.subarray(16, 24)), decipher.final()])
  const high = plain.readInt32LE(4)
  return {
    type: message.readUInt32LE(0),
    receiver: message.readUInt32LE(4),
    name: { low: plain.readInt32LE(0), high: high & NAME_MASK },
    toIntroducer: high < 0,
  }
}

/** Anything that looks like transport data. */
function anyMessage(bytes = 200) {
  const message = randomBytes(bytes)
  message.writeUInt32LE(MESSAGE.transport)
  return message
}

/** A host with two peers that have keys. @param parts what each is in a relay */
function world(t: Test, parts: readonly [number, number], limit: number) {
  const pair = new WorkerPair(t, true)
  const sockets = [pair.openPeer(), pair.openPeer()] as const
  for (const row of [0, 1]) {
    pair.join(row, sockets[row])
    pair.key(row)
    pair.relays.set(row, NAMES[row], parts[row])
  }
  pair.words.relayLimit = limit
  pair.step()
  const send = (row: number, message: Uint8Array) => {
    pair.sendFrom(sockets[row], message)
    pair.step()
  }
  const came = (row: number) => datagrams(sockets[row].fd)
  const keys = [pair.keyOf(0), pair.keyOf(1)] as const
  return { pair, sockets, send, came, keys }
}

const BOTH = [PART.member, PART.member] as const
const FAST = 1_000_000

t.test('an introducer passes a message on as it is, behind a header for its hop', async (t) => {
  const { pair, send, came, keys } = world(t, BOTH, FAST)
  for (const bytes of [32, 200, 1_400]) {
    const inner = anyMessage(bytes)
    send(0, relayed(keys[0], 0, bytes, NAMES[1], TO_INTRODUCER, inner))
    const [message, ...more] = came(1)
    t.equal(more.length, 0)
    t.same(message.subarray(RELAY_HEADER_BYTES), inner)
    t.same(readHeader(keys[1], message), {
      type: MESSAGE.relay,
      receiver: INDEX + 1,
      name: NAMES[0],
      toIntroducer: false,
    })
  }
  t.equal(pair.count('relayedDatagrams'), 3)
  t.equal(pair.count('relayedBytes'), 1_632)
  t.same(pair.received(), [], 'the device gets nothing of it')
  t.equal(pair.countOf(0, 'receivedKeepalives'), 3, 'the member counts as heard')
})

t.test("a router's mark on the first hop is on the second, too", async (t) => {
  const { sockets, send, keys } = world(t, BOTH, FAST)
  const [from, to] = sockets
  for (const ecn of [0, 2, 3, 1]) {
    must('setsockopt', () => setsockopt(from.fd, SOL_IP, IP_TOS, new Int32Array([ecn | 0x28]), 4))
    send(0, relayed(keys[0], 0, ecn, NAMES[1], TO_INTRODUCER, anyMessage()))
    t.match(datagramsTo(to), [{ dsField: ecn }])
  }
})

t.test('what is repeated, altered, or of a stranger is passed on to nobody, and counted', async (t) => {
  const { pair, send, came, keys } = world(t, BOTH, FAST)
  const message = relayed(keys[0], 0, 5, NAMES[1], TO_INTRODUCER, anyMessage())
  for (let at = 4; at < RELAY_HEADER_BYTES; at++) {
    const altered = Buffer.from(message)
    altered[at] ^= 1 << (at & 7)
    send(0, altered)
  }
  const refused = pair.count('dropNotAuthentic') + pair.count('dropUnknownIndex')
  t.equal(refused, RELAY_HEADER_BYTES - 4, 'each bit of the header counts')
  t.same(came(1), [])
  send(0, message)
  t.equal(came(1).length, 1, 'the true one passes')
  send(0, message)
  send(0, Buffer.concat([message.subarray(0, RELAY_HEADER_BYTES), anyMessage()]))
  t.equal(pair.count('dropReplayed'), 2, 'once, also with another message behind it')
  // With keys of nobody, and with a header that the introducer itself has sealed for the other member.
  send(0, relayed(randomBytes(32), 0, 9, NAMES[1], TO_INTRODUCER, anyMessage()))
  send(1, relayed(keys[1], 0, 9, NAMES[1], TO_INTRODUCER, anyMessage()))
  const stranger = pair.openPeer()
  pair.sendFrom(stranger, relayed(randomBytes(32), 1, 11, NAMES[0], TO_INTRODUCER, anyMessage()))
  pair.step()
  t.equal(pair.count('dropNotAuthentic') + pair.count('dropUnknownIndex') - refused, 3)
  t.same([...came(0), ...came(1)], [])
  t.equal(pair.count('relayedDatagrams'), 1)
})

t.test('only between members of its own, once, and if it relays at all', async (t) => {
  const { pair, send, came, keys } = world(t, BOTH, FAST)
  let number = 0
  const to = (named: RelayName, inner: Uint8Array = anyMessage(), row = 0) =>
    send(row, relayed(keys[row], row, number++, named, TO_INTRODUCER, inner))
  to({ low: 1, high: 2 })
  to(NAMES[0])
  t.equal(pair.count('dropRelayUnknown'), 2, 'to nobody, and to itself')
  pair.relays.set(1, NAMES[1], PART.far)
  to(NAMES[1])
  t.equal(pair.count('dropRelayUnknown'), 3, 'to a peer that somebody else has introduced')
  to(NAMES[0], anyMessage(), 1)
  t.equal(pair.count('dropRelayUnasked'), 1, 'from such a peer')
  pair.relays.set(1, NAMES[1], PART.member)
  const twice = relayed(keys[0], 0, 1_000, NAMES[1], TO_INTRODUCER, anyMessage())
  to(NAMES[1], twice)
  to(NAMES[1], Buffer.alloc(64, 9))
  to(NAMES[1], anyMessage().subarray(0, 20))
  t.equal(pair.count('dropNotPrivate'), 3, 'relayed already, no message, and too short')
  pair.words.relayLimit = 0
  to(NAMES[1])
  t.equal(pair.count('dropRelayUnasked'), 2, 'it relays nothing')
  pair.words.relayLimit = FAST
  pair.keypairs.sealWith(1, -1)
  pair.ring()
  to(NAMES[1])
  t.equal(pair.count('dropNoKeypair'), 1, 'to one without a session')
  t.equal(pair.countOf(0, 'droppedInbound'), 4)
  t.same([...came(0), ...came(1)], [])
})

t.test('a member gets its share and no more, and the others theirs', async (t) => {
  const { pair, send, came, keys } = world(t, BOTH, 1)
  const inner = anyMessage(1_000)
  for (let number = 0; number < 200; number++)
    send(0, relayed(keys[0], 0, number, NAMES[1], TO_INTRODUCER, inner))
  const passed = came(1).length
  t.ok(passed >= 125 && passed < 140, `${passed} of 200 messages: 128 KiB, and a byte in a millisecond`)
  t.equal(pair.count('dropRelayShare'), 200 - passed)
  send(1, relayed(keys[1], 1, 0, NAMES[0], TO_INTRODUCER, inner))
  t.equal(came(0).length, 1)
})

t.test('any bytes behind a right header reach the member that they are for, or nobody', async (t) => {
  const { pair, send, came, keys } = world(t, BOTH, FAST)
  for (let number = 0; number < 300; number++) {
    const inner = randomBytes(32 + (number % 97))
    if (number % 3 !== 0) inner.writeUInt32LE(number % 8)
    send(0, relayed(keys[0], 0, number, NAMES[1], TO_INTRODUCER, inner))
    const type = inner.readUInt32LE(0)
    const isMessage = type >= MESSAGE.initiation && type <= MESSAGE.transport
    t.equal(came(1).length, isMessage ? 1 : 0)
  }
  t.equal(pair.count('relayedDatagrams') + pair.count('dropNotPrivate'), 300)
})

const FRAME = Buffer.concat([Buffer.from('ffffffffffff020000000001', 'hex'), Buffer.from('0800', 'hex')])

/** A member, whose row 0 is its introducer, and row 1 the other end. */
const MEMBER = [PART.member | PART.introducer, PART.far] as const

/** Transport data with a frame, as the peer of a row seals it. */
function transport(key: Buffer, row: number, number: number, frame: Buffer) {
  const header = Buffer.alloc(16)
  header.writeUInt32LE(MESSAGE.transport)
  header.writeUInt32LE(INDEX + row, 4)
  header.writeUInt32LE(number, 8)
  const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(number), OPTIONS)
  const padded = Buffer.concat([frame, Buffer.of(1)])
  return Buffer.concat([header, cipher.update(padded), cipher.final(), cipher.getAuthTag()])
}

t.test('a member opens what its introducer relays, and moves no endpoint for it', async (t) => {
  const { pair, send, keys } = world(t, MEMBER, 0)
  const frames = [64, 300, 1_200].map((bytes) => Buffer.concat([FRAME, randomBytes(bytes)]))
  for (const [number, frame] of frames.entries())
    send(0, relayed(keys[0], 0, number, NAMES[1], 0, transport(keys[1], 1, number, frame)))
  t.same(pair.received(), frames)
  t.equal(pair.countOf(1, 'receivedFrames'), 3)
  t.equal(pair.countOf(1, 'receivedRelayed'), 3)
  t.equal(pair.countOf(0, 'receivedRelayed'), 0)
  t.equal(pair.keypairs.takeMove(1), undefined, 'it is not where the introducer is')
  send(0, transport(keys[1], 1, 10, frames[0]))
  t.ok(pair.keypairs.takeMove(1), 'the same message moves it if it comes directly')
})

t.test('a relayed control frame is no frame of the peer, and no byte of it is counted', async (t) => {
  const { pair, send, keys } = world(t, MEMBER, 0)
  const hello = Buffer.from(writeControl('tap', { type: 'hello', token: 7n, sizeBytes: 0 }))
  for (let number = 0; number < 3; number++)
    send(0, relayed(keys[0], 0, number, NAMES[1], 0, transport(keys[1], 1, number, hello)))
  t.same(pair.takeControl(), [1, 1, 1])
  t.equal(pair.countOf(1, 'receivedKeepalives'), 3)
  t.equal(pair.countOf(1, 'receivedFrames'), 0)
  t.equal(pair.countOf(1, 'receivedBytes'), 0)
})

t.test('only an introducer may relay, and only from those that were introduced', async (t) => {
  const { pair, send, keys } = world(t, MEMBER, 0)
  const inner = (number: number) => transport(keys[1], 1, number, Buffer.concat([FRAME, randomBytes(64)]))
  send(1, relayed(keys[1], 1, 0, NAMES[0], 0, inner(1)))
  t.equal(pair.count('dropRelayUnasked'), 1, 'from a peer that is none')
  send(0, relayed(keys[0], 0, 0, { low: 3, high: 4 }, 0, inner(2)))
  send(0, relayed(keys[0], 0, 1, NAMES[0], 0, inner(3)))
  t.equal(pair.count('dropRelayUnknown'), 2, 'from nobody, and from the introducer itself')
  send(0, relayed(keys[0], 0, 2, NAMES[1], TO_INTRODUCER, inner(4)))
  t.equal(pair.count('dropRelayUnasked'), 2, 'this host relays nothing')
  const altered = inner(5)
  altered[30] ^= 1
  send(0, relayed(keys[0], 0, 3, NAMES[1], 0, altered))
  t.equal(pair.count('dropNotAuthentic'), 1, 'what the introducer has altered')
  t.same(pair.received(), [])
})

t.test('what is for a relayed peer goes to its introducer, sealed for both', async (t) => {
  const { pair, came, keys } = world(t, MEMBER, 0)
  pair.table.setRelayed(1, 0)
  pair.fdb.forget(1)
  const frame = Buffer.concat([FRAME, randomBytes(100)])
  pair.send(frame)
  pair.step()
  const all = came(0)
  t.same(came(1), [], 'nothing goes there directly')
  const [header] = all.filter((it) => it.readUInt32LE(0) === MESSAGE.relay)
  t.equal(all.length, 2, 'a broadcast goes to the introducer, too')
  t.same(readHeader(keys[0], header), {
    type: MESSAGE.relay,
    receiver: INDEX,
    name: NAMES[1],
    toIntroducer: true,
  })
  const inner = header.subarray(RELAY_HEADER_BYTES)
  t.equal(inner.readUInt32LE(4), INDEX + 1)
  const decipher = createDecipheriv('chacha20-poly1305', keys[1], nonceOf(inner.readUInt32LE(8)), OPTIONS)
  decipher.setAuthTag(inner.subarray(-TAG_BYTES))
  const plain = Buffer.concat([decipher.update(inner.subarray(16, -TAG_BYTES)), decipher.final()])
  t.same(plain.subarray(0, frame.length), frame)
  t.equal(pair.countOf(1, 'sentFrames'), 1)
  const numbers = all.map((it) => it.readUInt32LE(8))
  t.equal(new Set(numbers).size, 2, 'no number of the hop is used twice')
})

t.test('without keys for the introducer, it is dropped and counted', async (t) => {
  const { pair, came } = world(t, MEMBER, 0)
  pair.table.setRelayed(1, 0)
  pair.keypairs.sealWith(0, -1)
  pair.ring()
  pair.step()
  pair.send(Buffer.concat([FRAME, randomBytes(100)]))
  pair.step()
  t.same([...came(0), ...came(1)], [])
  t.equal(pair.countOf(1, 'droppedOutbound'), 1)
})

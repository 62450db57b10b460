import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { findCrypto } from '../../../../src/crypto/find-crypto.js'
import { mac } from '../../../../src/crypto/primitives.js'
import { AF_INET, AF_INET6 } from '../../../../src/linux/constants.js'
import { close, recv } from '../../../../src/linux/libc.js'
import { NativeMemory } from '../../../../src/linux/memory.js'
import {
  type Endpoint,
  encodeSockaddr,
  SOCKADDR_BYTES,
  sockaddrLength,
} from '../../../../src/linux/sockaddr.js'
import { openUdp } from '../../../../src/linux/udp.js'
import { C, COUNTERS, type CounterName } from '../../../../src/memory/counters.js'
import { Drops } from '../../../../src/memory/drops.js'
import { KeypairTable } from '../../../../src/memory/keypair-table.js'
import { Mailbox } from '../../../../src/memory/mailbox.js'
import { NAME_BYTES } from '../../../../src/memory/name.js'
import { PeerTable } from '../../../../src/memory/peer-table.js'
import { planMemory, StateWord } from '../../../../src/memory/plan.js'
import { Identity } from '../../../../src/noise/keys.js'
import { MacStamp } from '../../../../src/noise/macs.js'
import { Rates } from '../../../../src/rates.js'
import { COOKIE_REPLY, INITIATION, MAC_BYTES, MESSAGE, RESPONSE } from '../../../../src/wire/wireguard.js'
import { COOKIE_SOCKET_SCRATCH_BYTES, CookieSocket } from '../../../../src/worker/inbound/cookie-socket.js'
import { GATE_SCRATCH_BYTES, Gate } from '../../../../src/worker/inbound/gate.js'
import { HostRates } from '../../../../src/worker/inbound/host-rates.js'
import type { MacCheck } from '../../../../src/worker/inbound/mac-check.js'
import { makeMacCheck } from '../../../../src/worker/private-parts.js'
import { Scratch } from '../../../../src/worker/scratch.js'

const PEERS = 4
const PUBLIC_KEY = randomBytes(32)
const CHECK_BYTES = 30

/** A gate with nobody behind it but a test, and a socket of its own to answer by. */
class Gatehouse {
  /** The gate's clock. */
  now: () => number = () => performance.now()
  readonly memory: NativeMemory
  readonly table: KeypairTable
  readonly peers: PeerTable
  readonly queue: Mailbox
  readonly gate: Gate
  readonly macs: MacCheck
  readonly counters = new Float64Array(COUNTERS.length)
  readonly own = new Identity(PUBLIC_KEY)
  readonly #at: number
  readonly #name: number
  readonly #socket = openUdp({
    listen: { address: '127.0.0.1', port: 0 },
    receiveBufferBytes: 1 << 16,
    sendBufferBytes: 1 << 20,
  })
  told = 0

  /** Whether every host is a neighbour that answers ARP. */
  resolved = false

  constructor(t: Test) {
    const plan = planMemory(PEERS)
    const memory = NativeMemory.allocate(plan.bytes + 4096)
    const scratch = new Scratch(memory, plan.udp.scratch)
    const { mac1Key, cookieKey } = this.own
    this.memory = memory
    this.#at = plan.bytes
    this.#name = plan.bytes + 2048
    this.table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    this.peers = new PeerTable(memory, plan.peers, plan.peerRows)
    this.queue = new Mailbox(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4)
    const macs = makeMacCheck(findCrypto(), { mac1: mac1Key, cookie: cookieKey }, scratch)
    this.macs = macs
    this.gate = new Gate({
      memory,
      table: this.table,
      peers: this.peers,
      neighbours: { isResolved: () => this.resolved },
      macs,
      handshakes: this.queue,
      tellMain: () => this.told++,
      outlet: new CookieSocket({
        memory,
        fd: this.#socket.fd,
        sockaddrBytes: sockaddrLength(this.#socket.family),
        reply: macs.reply,
        replyBytes: COOKIE_REPLY.size,
        scratch: scratch.take(COOKIE_SOCKET_SCRATCH_BYTES),
        called: () => {},
      }),
      nowMs: () => this.now(),
      scratch: scratch.take(GATE_SCRATCH_BYTES),
      drops: new Drops(this.counters, new Float64Array(0)),
    })
    t.teardown(() => void close(this.#socket.fd))
  }

  name(endpoint: Endpoint): Uint8Array {
    return encodeSockaddr(this.#socket.family, endpoint)
  }

  take(message: Uint8Array, from: Uint8Array): void {
    const { u8 } = this.memory
    u8.set(message, this.#at + 2)
    u8.set(from, this.#name)
    this.gate.take(this.#at + 2, message.length, this.#name)
  }

  /** A check that the peer in a row has sealed. */
  check(row: number, from: Uint8Array): void {
    this.memory.u8.set(from, this.#name)
    this.gate.passCheck(this.#at + 2, CHECK_BYTES, this.#name, row)
  }

  count(name: CounterName): number {
    return this.counters[C[name]]
  }

  /** What main finds, all of it: rows, and messages with the names that they are from. */
  heard(): { row: number; message: Buffer; from: Buffer }[] {
    const all: { row: number; message: Buffer; from: Buffer }[] = []
    this.queue.take(1_000, (row, head) => {
      const end = head.length - NAME_BYTES
      all.push({
        row: row | 0,
        message: Buffer.from(head.subarray(0, end)),
        from: Buffer.from(head.subarray(end, end + SOCKADDR_BYTES)),
      })
    })
    return all
  }

  initiation(): Buffer {
    return signed(this.own, MESSAGE.initiation, INITIATION.size)
  }

  /** Fills what room there is for initiations without proof from there. */
  load(from: (index: number) => Uint8Array, wanted = 1): void {
    for (let i = 0; i < 1_000 && this.count('dropCookie') < wanted; i++) this.take(this.initiation(), from(i))
  }
}

function signed(to: Identity, type: number, size: number): Buffer {
  const message = randomBytes(size)
  message.writeUInt32LE(type)
  const at = size - 2 * MAC_BYTES
  message.set(mac(to.mac1Key, message.subarray(0, at)), at)
  return message.fill(0, at + MAC_BYTES)
}

/** Somebody on this host, who hears what is sent to it. */
function listener(t: Test) {
  const buffers = { receiveBufferBytes: 1 << 22, sendBufferBytes: 1 << 16 }
  const socket = openUdp({ listen: { address: '127.0.0.1', port: 0 }, ...buffers })
  t.teardown(() => void close(socket.fd))
  const hear = () => {
    const buffer = Buffer.alloc(2048)
    const bytes = recv(socket.fd, buffer, buffer.length, 0)
    return bytes < 0 ? undefined : buffer.subarray(0, bytes)
  }
  return { endpoint: socket.local, hear }
}

const stranger = (index: number): Endpoint => ({ address: `127.1.${index >> 8}.${index & 255}`, port: 9 })

t.test('answers that this end has not asked for go no further, whatever their macs', async (t) => {
  const it = new Gatehouse(t)
  const from = it.name(stranger(1))
  const answer = (type: number, size: number, index: number) => {
    const message = signed(it.own, type, size)
    message.writeUInt32LE(index, type === MESSAGE.response ? RESPONSE.receiver : COOKIE_REPLY.receiver)
    if (type === MESSAGE.response)
      message.set(mac(it.own.mac1Key, message.subarray(0, RESPONSE.mac1)), RESPONSE.mac1)
    return message
  }
  const INDEX = 0x7700_0003
  const both = (index: number) => {
    it.take(answer(MESSAGE.response, RESPONSE.size, index), from)
    it.take(answer(MESSAGE.cookieReply, COOKIE_REPLY.size, index), from)
    return it.heard().map(({ message }) => message[0])
  }
  t.same(both(INDEX), [], 'nothing has been sent')
  it.table.reserve(3, INDEX, 2)
  t.same(both(INDEX), [MESSAGE.response], 'an index, but no message that a cookie could be for')
  it.table.expectCookie(3, true)
  t.same(both(INDEX + PEERS * 4), [], 'the same row, another index')
  t.same(both(INDEX), [MESSAGE.response, MESSAGE.cookieReply])
  it.table.expectCookie(3, false)
  it.table.establish(3, 1, randomBytes(32), randomBytes(32), Number.POSITIVE_INFINITY)
  t.same(both(INDEX), [], 'there are keys')
  it.table.expectCookie(3, true)
  t.same(both(INDEX), [MESSAGE.cookieReply], 'a response of this end may have been answered')
  it.table.release(3)
  t.same(both(INDEX), [])
  t.equal(it.count('dropUnasked'), 2 + 1 + 2 + 2 + 1 + 2)
  it.table.reserve(3, INDEX, 2)
  const wrong = answer(MESSAGE.response, RESPONSE.size, INDEX)
  wrong[RESPONSE.mac1] ^= 1
  it.take(wrong, from)
  t.equal(it.count('dropWrongMac1'), 1)
})

t.test('who knows an index has a few of its answers looked at, and no other waits for that', async (t) => {
  const it = new Gatehouse(t)
  const from = it.name(stranger(1))
  const cookieReply = (row: number) => {
    const message = randomBytes(COOKIE_REPLY.size)
    message.writeUInt32LE(MESSAGE.cookieReply)
    message.writeUInt32LE(0x7700_0000 + row, COOKIE_REPLY.receiver)
    return message
  }
  for (const row of [0, 1]) {
    it.table.reserve(row, 0x7700_0000 + row, row)
    it.table.expectCookie(row, true)
  }
  for (let i = 0; i < 1_000; i++) it.take(cookieReply(0), from)
  it.take(cookieReply(1), from)
  const rows = it.heard().map(({ row }) => row)
  t.ok(rows.length < 20, `${rows.length} of them`)
  t.equal(rows.at(-1), 1)
  t.ok(it.count('dropHandshakeRefused') > 980)
})

t.test(
  'connectivity checks of one member leave room for the handshakes and the checks of others',
  async (t) => {
    const it = new Gatehouse(t)
    let nowMs = 1_000
    it.now = () => nowMs
    const from = it.name(stranger(1))
    const known = it.name({ address: '127.9.9.9', port: 9 })
    it.peers.setAddress(1, known)
    const passed = [0, 0]
    let initiations = 0
    // Main takes some messages each two milliseconds. Fifty thousand checks come in a second.
    for (let step = 0; step < 500; step++, nowMs += 2) {
      for (let i = 0; i < 100; i++) it.check(0, from)
      if (step % 100 === 0) it.check(1, from)
      if (step % 10 === 0) it.take(it.initiation(), known)
      it.queue.take(8, (row, head) => {
        if (head.length === CHECK_BYTES + NAME_BYTES) passed[row]++
        else initiations++
      })
    }
    t.equal(initiations, 50)
    t.equal(passed[1], 5)
    t.ok(passed[0] >= 40 && passed[0] <= 110, `${passed[0]} checks of that member`)
    t.equal(it.count('dropControlFull'), 50_000 - passed[0])
  },
)

t.test('garbage of any kind does not make anybody prove where it is', async (t) => {
  const it = new Gatehouse(t)
  for (let i = 0; i < 2_000; i++) {
    const size = [INITIATION.size, RESPONSE.size, COOKIE_REPLY.size, 33 + (i % 200)][i % 4]
    const message = randomBytes(size)
    message.writeUInt32LE(1 + (i % 3))
    it.take(message, it.name(stranger(i)))
  }
  t.same(it.heard(), [])
  it.take(it.initiation(), it.name(stranger(1)))
  t.equal(it.heard().length, 1)
  t.equal(it.count('dropCookie'), 0)
})

t.test('under load who has a cookie is let in, and a peer from where it is known to be sooner', async (t) => {
  const it = new Gatehouse(t)
  const honest = listener(t)
  const from = it.name(honest.endpoint)
  it.load((index) => it.name(stranger(index)))
  const strangers = it.heard().length
  t.ok(strangers > 4 && strangers < 64, `${strangers} strangers`)

  t.comment('where a peer is there is room of its own')
  it.peers.setAddress(1, it.name({ address: '127.9.9.9', port: 9 }))
  it.take(it.initiation(), it.name({ address: '127.9.9.9', port: 9 }))
  t.same(
    it.heard().map(({ row }) => row),
    [1],
  )

  t.comment('a stranger is sent a cookie, and comes back with it')
  const initiation = it.initiation()
  const stamp = new MacStamp(it.own)
  stamp.stamp(initiation, 0)
  it.take(initiation, from)
  t.same(it.heard(), [])
  const reply = honest.hear()
  t.equal(reply?.readUInt32LE(COOKIE_REPLY.receiver), initiation.readUInt32LE(INITIATION.sender))
  t.ok(stamp.takeReply(reply ?? Buffer.alloc(0), 0))
  const again = it.initiation()
  stamp.stamp(again, 0)
  it.take(again, from)
  t.same(it.heard(), [{ row: -1, message: again, from: Buffer.from(from) }])

  t.comment('from elsewhere the cookie is worth nothing; and with a bit of it changed')
  it.take(again, it.name({ ...honest.endpoint, port: honest.endpoint.port ^ 1 }))
  again[INITIATION.mac2] ^= 1
  it.take(again, from)
  t.same(it.heard(), [])
  again[INITIATION.mac2] ^= 1

  t.comment('twenty times a second and no more')
  for (let i = 0; i < 100; i++) it.take(again, from)
  const let_in = it.heard().length
  t.ok(let_in >= 4 && let_in <= 10, `${let_in} of a hundred`)
  t.ok(it.count('dropHandshakeRefused') >= 90)
})

t.test(
  'with another identity, what is for the one before is dropped, and its cookies are worth nothing',
  async (t) => {
    const it = new Gatehouse(t)
    const honest = listener(t)
    const from = it.name(honest.endpoint)
    const next = new Identity(randomBytes(32))
    const { u8 } = it.memory
    const [message, name, keys] = [u8.length - 1024, u8.length - 512, u8.length - 64]
    u8.set(from, name)
    /** A proof of the address, for an identity that is asked. */
    const proofFor = (identity: Identity) => {
      const stamp = new MacStamp(identity)
      for (const _ of ['to ask', 'to prove']) {
        const initiation = signed(identity, MESSAGE.initiation, INITIATION.size)
        stamp.stamp(initiation, 0)
        u8.set(initiation, message)
        it.macs.writeReply(message, name, 1)
        if (!stamp.takeReply(Buffer.from(u8.slice(it.macs.reply, it.macs.reply + COOKIE_REPLY.size)), 0))
          return false
      }
      return (
        it.macs.isMac1Right(message, INITIATION.size) &&
        it.macs.isMac2Right(message, INITIATION.size, name, 1)
      )
    }
    t.ok(proofFor(it.own))
    t.notOk(proofFor(next))
    t.ok(proofFor(it.own))
    u8.set(next.mac1Key, keys)
    u8.set(next.cookieKey, keys + 32)
    it.macs.setKeys(keys, keys + 32)
    t.notOk(it.macs.isMac2Right(message, INITIATION.size, name, 1))
    t.notOk(proofFor(it.own))
    t.ok(proofFor(next))
    it.take(it.initiation(), from)
    t.equal(it.count('dropWrongMac1'), 1)
    it.take(signed(next, MESSAGE.initiation, INITIATION.size), from)
    t.equal(it.heard().length, 1)
  },
)

t.test("a spoofed peer's address is answered, each time: the true one is among them", async (t) => {
  const it = new Gatehouse(t)
  const peer = listener(t)
  const from = it.name(peer.endpoint)
  it.peers.setAddress(0, from)
  it.load(() => from)
  for (let i = 0; i < 1_500; i++) it.take(it.initiation(), from)
  let answers = 0
  while (peer.hear() !== undefined) answers++
  t.equal(it.count('dropCookie'), 1_501)
  t.equal(answers, 1_501)
})

t.test('no more cookies go out than 25,000 a second, and the queue is never full of strangers', async (t) => {
  const it = new Gatehouse(t)
  const initiation = it.initiation()
  const from = it.name(stranger(1))
  let nowMs = performance.now()
  it.now = () => nowMs
  // 80,000 in 0.8 s.
  for (let i = 0; i < 80_000; i++, nowMs += 0.01) it.take(initiation, from)
  const sent = it.count('dropCookie')
  t.ok(sent <= 25_000 + 250 + 25_000 * 0.81, `${sent} of 80,000 at most`)
  t.ok(sent >= 25_000 + 25_000 * 0.79, `${sent} of 80,000 at least`)
  t.ok(it.queue.take(1_000, () => {}) === false)
  t.ok(sent + it.count('dropHandshakesFull') > 79_000, 'all others are counted')
})

t.test('a rate is what it says, and a pause is worth a burst', async (t) => {
  const rates = new Rates(2, 20, 5)
  const allowed = (nowMs: number) => Array.from({ length: 100 }).filter(() => rates.allows(0, nowMs)).length
  t.same([0, 49, 50, 100, 1_000, 100_000].map(allowed), [5, 0, 1, 1, 5, 5])
  t.ok(rates.allows(1, 0))
  rates.renew(0)
  t.equal(allowed(100_001), 5)
})

t.test('a host is an IPv4 address, mapped or not, or the /64 of an IPv6 one', async (t) => {
  const memory = NativeMemory.allocate(4096)
  const allows = (
    rates: HostRates,
    family: typeof AF_INET | typeof AF_INET6,
    address: string,
    port: number,
  ) => {
    memory.u8.set(encodeSockaddr(family, { address, port }), 64)
    return rates.allows(64, 0)
  }
  for (const [family, first, same, other] of [
    [AF_INET, '192.0.2.1', '192.0.2.1', '192.0.2.2'],
    [AF_INET6, '192.0.2.1', '192.0.2.1', '192.0.2.2'],
    [AF_INET6, '2001:db8::1', '2001:db8:0:0:ffff::1', '2001:db8:0:1::1'],
  ] as const) {
    const rates = new HostRates(memory, 1, 1)
    t.ok(allows(rates, family, first, 1))
    t.notOk(allows(rates, family, same, 2), `${same} is the same host as ${first}`)
    t.ok(allows(rates, family, other, 1), `${other} is another`)
  }
  const rates = new HostRates(memory, 1, 1)
  for (let i = 0; i < 50_000; i++) allows(rates, AF_INET, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 1)
  t.ok(allows(rates, AF_INET, '192.0.2.1', 1), 'however many there are, a new one is let through')
})

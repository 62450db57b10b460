/** Which address of this host a datagram was sent to, and from which one it is sent: with the kernel's own sockets. */
import t, { type Test } from 'tap'
import {
  AF_INET,
  AF_INET6,
  MSG_DONTWAIT,
  POLLIN,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
} from '../../../src/linux/constants.js'
import { bind, close, getsockname, must, poll, recvmmsg, socket } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { receivePktInfo } from '../../../src/linux/pktinfo.js'
import { SourceSender } from '../../../src/linux/send-from.js'
import {
  decodeLocal,
  decodeSockaddr,
  encodeLocal,
  encodeSockaddr,
  LOCAL_BYTES,
  SOCKADDR_BYTES,
  type SocketFamily,
  sockaddrLength,
} from '../../../src/linux/sockaddr.js'
import { pollfd } from '../../../src/linux/structs.js'
import { enableGro } from '../../../src/linux/udp.js'
import { C, COUNTERS } from '../../../src/memory/counters.js'
import { Drops } from '../../../src/memory/drops.js'
import { encodeName, localIn, NAME_BYTES, sockaddrIn } from '../../../src/memory/name.js'
import { SCRATCH_BYTES } from '../../../src/memory/plan.js'
import { COOKIE_SOCKET_SCRATCH_BYTES, CookieSocket } from '../../../src/worker/inbound/cookie-socket.js'
import { ReceiveVector } from '../../../src/worker/inbound/receive-vector.js'
import { Delivery } from '../../../src/worker/outbound/delivery.js'
import type { PathPolicy } from '../../../src/worker/outbound/path-policy.js'
import { SendBatch } from '../../../src/worker/outbound/send-batch.js'
import { Scratch } from '../../../src/worker/scratch.js'

const MESSAGES = 16

/** An address that no host has (RFC 5737). */
const GONE = '192.0.2.99'

interface Received {
  readonly bytes: number
  readonly gsoSize: number
  readonly from: string
  readonly local: string | undefined
}

/** A socket that is bound to no address, and what a worker has for it. */
function end(t: Test, family: SocketFamily) {
  const fd = must('socket', () => socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0))
  t.teardown(() => close(fd))
  const length = sockaddrLength(family)
  const any = family === AF_INET ? '0.0.0.0' : '::'
  must('bind', () => bind(fd, encodeSockaddr(family, { address: any, port: 0 }), length))
  t.equal(receivePktInfo(fd, family), 0)
  t.equal(enableGro(fd), true)
  const own = new Uint8Array(SOCKADDR_BYTES)
  must('getsockname', () => getsockname(fd, own, new Uint32Array([SOCKADDR_BYTES])))
  const memory = NativeMemory.allocate(SCRATCH_BYTES + MESSAGES * 65_536)
  const scratch = new Scratch(memory, 0)
  const vector = new ReceiveVector(scratch, MESSAGES, length)
  const batch = new SendBatch(scratch, length)
  const counters = new Float64Array(COUNTERS.length)
  const peerCounters = new Float64Array(64)
  const pathPolicy = { takesRuns: () => true, refuseRuns: () => t.fail('runs are taken') }
  const drops = new Drops(counters, peerCounters)
  const options = { fds: [fd], peerCounters, drops, pathPolicy: pathPolicy as unknown as PathPolicy }
  const delivery = new Delivery(batch, options, counters)
  const name = scratch.take(NAME_BYTES)
  const frame = scratch.take(1_000)
  const polled = new Uint8Array(pollfd.size)
  const view = new DataView(polled.buffer)
  view.setInt32(pollfd.fd, fd, true)
  view.setUint16(pollfd.events, POLLIN, true)

  const receive = (): Received[] => {
    if (poll(polled, 1, 2_000) !== 1) throw new Error('nothing came')
    for (let i = 0; i < MESSAGES; i++) vector.prepare(i, SCRATCH_BYTES + i * 65_536, 65_536)
    const count = must('recvmmsg', () => recvmmsg(fd, vector.address, MESSAGES, MSG_DONTWAIT, null))
    return Array.from({ length: count }, (_, i) => {
      vector.readLocal(i)
      const at = vector.name(i)
      const bytes = memory.u8.slice(at, at + NAME_BYTES)
      const from = decodeSockaddr(sockaddrIn(bytes)).address
      return { bytes: vector.bytes(i), gsoSize: vector.gsoSize(i), from, local: decodeLocal(localIn(bytes)) }
    })
  }

  /** Sends frames of these lengths to `port` of an address, as a worker does. */
  const send = (address: string, port: number, lengths: readonly number[], source?: string) => {
    const local = source === undefined ? new Uint8Array(LOCAL_BYTES) : encodeLocal(source)
    memory.u8.set(encodeName(encodeSockaddr(family, { address, port }), local, source !== undefined), name)
    for (const bytes of lengths) batch.addFrame(frame, bytes, 0, name)
    delivery.send(false)
  }
  return { fd, family, port: decodeSockaddr(own).port, counters, send, receive }
}

for (const [title, family] of [
  ['dual-stack', AF_INET6],
  ['IPv4', AF_INET],
] as const) {
  t.test(`a ${title} socket tells where it was spoken to, and answers from there`, async (t) => {
    const [a, b] = [end(t, family), end(t, family)]
    a.send('127.0.0.5', b.port, [100])
    t.same(b.receive(), [{ bytes: 100, gsoSize: 0, from: '127.0.0.1', local: '127.0.0.5' }])
    b.send('127.0.0.1', a.port, [90], '127.0.0.5')
    t.same(a.receive(), [{ bytes: 90, gsoSize: 0, from: '127.0.0.5', local: '127.0.0.1' }])
    b.send('127.0.0.1', a.port, [90, 90, 90, 40, 200], '127.0.0.6')
    t.same(
      a.receive(),
      [
        { bytes: 310, gsoSize: 90, from: '127.0.0.6', local: '127.0.0.1' },
        { bytes: 200, gsoSize: 0, from: '127.0.0.6', local: '127.0.0.1' },
      ],
      'runs as well',
    )
    b.send('127.0.0.1', a.port, [90])
    t.match(a.receive(), [{ from: '127.0.0.1' }], 'and without one the kernel chooses')
  })

  t.test(`a ${title} socket sends from an address that has gone as if it had never had it`, async (t) => {
    const [a, b] = [end(t, family), end(t, family)]
    b.send('127.0.0.1', a.port, [90, 90, 40, 200, 300], GONE)
    t.same(
      a.receive().map(({ bytes, gsoSize, from }) => [bytes, gsoSize, from]),
      [
        [220, 90, '127.0.0.1'],
        [200, 0, '127.0.0.1'],
        [300, 0, '127.0.0.1'],
      ],
    )
    t.equal(b.counters[C.sentFrames], 5)
    t.equal(b.counters[C.syscalls], 2, 'the kernel is asked once more for all of them')
  })
}

t.test('IPv6 on the dual-stack socket', async (t) => {
  const [a, b] = [end(t, AF_INET6), end(t, AF_INET6)]
  a.send('::1', b.port, [100])
  t.same(b.receive(), [{ bytes: 100, gsoSize: 0, from: '::1', local: '::1' }])
  b.send('::1', a.port, [90, 90, 90], '::1')
  t.same(a.receive(), [{ bytes: 270, gsoSize: 90, from: '::1', local: '::1' }])
  b.send('::1', a.port, [90, 90, 80], '2001:db8::99')
  t.same(a.receive(), [{ bytes: 260, gsoSize: 90, from: '::1', local: '::1' }], 'an address that has gone')
})

t.test('main sends from a chosen address, too', async (t) => {
  for (const family of [AF_INET6, AF_INET] as const) {
    const [a, b] = [end(t, family), end(t, family)]
    const sender = new SourceSender(b.fd, family)
    const to = encodeSockaddr(family, { address: '127.0.0.1', port: a.port })
    t.equal(sender.send(new Uint8Array(70), to, encodeLocal('127.0.0.7')), 0)
    t.same(a.receive(), [{ bytes: 70, gsoSize: 0, from: '127.0.0.7', local: '127.0.0.1' }])
  }
})

t.test('a cookie goes from the address that was asked, unless that is a group of hosts', async (t) => {
  for (const family of [AF_INET6, AF_INET] as const) {
    const [a, b] = [end(t, family), end(t, family)]
    const memory = NativeMemory.allocate(4_096)
    const [scratch, reply, name] = [0, COOKIE_SOCKET_SCRATCH_BYTES, 2_048]
    const sockaddrBytes = sockaddrLength(family)
    const options = { memory, fd: b.fd, sockaddrBytes, reply, replyBytes: 64, scratch, called: () => {} }
    const socket = new CookieSocket(options)
    const to = encodeSockaddr(family, { address: '127.0.0.1', port: a.port })
    for (const [asked, from] of [
      ['127.0.0.8', '127.0.0.8'],
      ['224.0.0.1', '127.0.0.1'],
      ['127.0.0.9', '127.0.0.9'],
    ]) {
      memory.u8.set(encodeName(to, encodeLocal(asked), false), name)
      t.equal(socket.send(name), true)
      t.same(a.receive(), [{ bytes: 64, gsoSize: 0, from, local: '127.0.0.1' }])
    }
    memory.u8.set(encodeName(to, new Uint8Array(LOCAL_BYTES), false), name)
    t.equal(socket.send(name), true)
    t.match(a.receive(), [{ from: '127.0.0.1' }], 'and if that is not known, the kernel chooses')
  }
})

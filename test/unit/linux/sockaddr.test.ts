import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { AF_INET, AF_INET6 } from '../../../src/linux/constants.js'
import { close } from '../../../src/linux/libc.js'
import {
  decodeSockaddr,
  encodeSockaddr,
  SOCKADDR_BYTES,
  type SocketFamily,
  sockaddrLength,
} from '../../../src/linux/sockaddr.js'
import { openUdp } from '../../../src/linux/udp.js'

const ipv4 = fc.ipV4()
const ipv6 = fc.ipV6()
const port = fc.nat(65_535)
const families = [AF_INET, AF_INET6] as const

/** The same address, whatever way it is written. */
const same = (a: string, b: string) =>
  ipaddr.process(a).toNormalizedString() === ipaddr.process(b).toNormalizedString()

t.test('an endpoint encoded and decoded is the same, on sockets of both families', async (t) => {
  const v4 = fc.property(ipv4, port, fc.constantFrom(...families), (address, port, family) => {
    const back = decodeSockaddr(encodeSockaddr(family, { address, port }))
    return back.address === address && back.port === port
  })
  t.doesNotThrow(() => fc.assert(v4, { numRuns: 500 }))
  const v6 = fc.property(ipv6, port, (address, port) => {
    const back = decodeSockaddr(encodeSockaddr(AF_INET6, { address, port }))
    return same(back.address, address) && back.port === port
  })
  t.doesNotThrow(() => fc.assert(v6, { numRuns: 500 }))
})

t.test('two names are equal exactly when they are one endpoint', async (t) => {
  const endpoint = fc.record({
    address: fc.oneof(ipv4, ipv6, fc.constantFrom('10.0.0.1', '::ffff:10.0.0.1', '::1', '0:0::1')),
    port: fc.oneof(port, fc.constant(5149)),
  })
  const property = fc.property(endpoint, endpoint, (a, b) => {
    const bytes = [a, b].map((it) => Buffer.from(encodeSockaddr(AF_INET6, it)))
    return bytes[0].equals(bytes[1]) === (same(a.address, b.address) && a.port === b.port)
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1_000 }))
})

t.test('the bytes are those the kernel reads', async (t) => {
  const hex = (family: SocketFamily, address: string) =>
    Buffer.from(encodeSockaddr(family, { address, port: 5149 })).toString('hex')
  t.equal(hex(AF_INET, '192.0.2.1'), `0200141dc0000201${'00'.repeat(20)}`)
  t.equal(hex(AF_INET6, '192.0.2.1'), `0a00141d00000000${'00'.repeat(10)}ffffc000020100000000`)
  t.equal(hex(AF_INET6, '2001:db8::1'), `0a00141d0000000020010db8${'00'.repeat(11)}0100000000`)
  t.equal(sockaddrLength(AF_INET), 16)
  t.equal(sockaddrLength(AF_INET6), 28)
  for (const family of families)
    t.equal(encodeSockaddr(family, { address: '192.0.2.1', port: 1 }).length, SOCKADDR_BYTES)
})

t.test('an IPv4-mapped address comes back as the IPv4 address it is', async (t) => {
  t.same(decodeSockaddr(encodeSockaddr(AF_INET6, { address: '::ffff:192.0.2.7', port: 7 })), {
    address: '192.0.2.7',
    port: 7,
  })
})

t.test('a zone is an interface, by name or by index', async (t) => {
  const encoded = encodeSockaddr(AF_INET6, { address: 'fe80::1%lo', port: 5149 })
  t.equal(Buffer.from(encoded).readUInt32LE(24), 1, 'sin6_scope_id is the index of lo')
  t.same(decodeSockaddr(encoded), { address: 'fe80::1%1', port: 5149 })
  const property = fc.property(ipv6, fc.integer({ min: 1, max: 0xffffffff }), (address, zone) => {
    if (ipaddr.parse(address).range() === 'ipv4Mapped') return true
    const back = decodeSockaddr(encodeSockaddr(AF_INET6, { address: `${address}%${zone}`, port: 1 }))
    return back.address.endsWith(`%${zone}`) && same(back.address.split('%')[0], address)
  })
  t.doesNotThrow(() => fc.assert(property))
})

t.test('what cannot be said is refused, and says with which address', async (t) => {
  t.throws(() => encodeSockaddr(AF_INET, { address: '2001:db8::1', port: 1 }), {
    name: 'RangeError',
    message: '2001:db8::1: this host has no IPv6',
  })
  t.throws(() => encodeSockaddr(AF_INET6, { address: 'fe80::1%nosuch0', port: 1 }), {
    name: 'RangeError',
    message: 'fe80::1%nosuch0: there is no interface nosuch0',
  })
})

t.test('the kernel reads a name and gives the same back', async (t) => {
  const socket = openUdp({
    listen: { address: '127.0.0.1', port: 0 },
    receiveBufferBytes: 65_536,
    sendBufferBytes: 65_536,
  })
  t.teardown(() => close(socket.fd))
  t.equal(socket.local.address, '127.0.0.1')
  t.ok(socket.local.port > 0)
})

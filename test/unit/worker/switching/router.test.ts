import t from 'tap'
import { NativeMemory } from '../../../../src/linux/memory.js'
import type { Route } from '../../../../src/memory/prefixes.js'
import { Routes, routesBytes } from '../../../../src/memory/routes.js'
import { DEVICE, FILTERED, MALFORMED, NO_ROUTE, NOT_ALLOWED } from '../../../../src/memory/target.js'
import { Router } from '../../../../src/worker/switching/router.js'
import { ipv4, ipv6 } from '../../../support/hosts/frames.js'

const ROUTES = 4096
const PACKET = 2

function make(all: readonly Route[], others: readonly Route[] = []) {
  const memory = NativeMemory.allocate(ROUTES + 2 * routesBytes(8))
  const heirs = new Routes(memory, ROUTES + routesBytes(8), 8)
  heirs.set(others)
  const routes = new Routes(memory, ROUTES, 8)
  routes.set(all)
  const router = new Router(memory, routes, heirs)
  router.begin()
  const put = (bytes: Buffer) => {
    memory.u8.set(bytes, PACKET)
    return bytes.length
  }
  return {
    router,
    routes,
    fromDevice: (bytes: Buffer) => router.fromDevice(PACKET, put(bytes)),
    fromPeer: (row: number, bytes: Buffer) => router.fromPeer(PACKET, put(bytes), row),
  }
}

/** From 10.9.0.77 to 10.9.0.78, as {@link ipv4} has them, or from and to other last bytes. */
function packet4(from = 77, to = 78): Buffer {
  const bytes = ipv4(17, Buffer.alloc(8))
  bytes[15] = from
  bytes[19] = to
  return bytes
}

/** From fe80::77 to fe80::78. */
function packet6(from = 0x77, to = 0x78): Buffer {
  const bytes = ipv6(17, Buffer.alloc(8))
  bytes[23] = from
  bytes[39] = to
  return bytes
}

const four = (last: number, prefixLength: number, row: number) => ({
  address: [10, 9, 0, last],
  prefixLength,
  row,
})
const six = (last: number, prefixLength: number, row: number) => ({
  address: [0xfe, 0x80, ...new Array<number>(13).fill(0), last],
  prefixLength,
  row,
})

t.test('the destination decides where a packet from the device goes', async (t) => {
  const { fromDevice, router } = make([four(64, 26, 0), four(78, 32, 1), six(0x78, 128, 2), six(0, 120, 3)])
  for (let round = 0; round < 2; round++) {
    t.equal(fromDevice(packet4()), 1)
    t.equal(fromDevice(packet4()), 1)
    t.equal(fromDevice(packet4(77, 79)), 0)
    t.equal(fromDevice(packet4(77, 20)), NO_ROUTE)
    t.equal(fromDevice(packet6()), 2)
    t.equal(fromDevice(packet6(0x77, 0x79)), 3)
  }
  router.begin()
  t.equal(fromDevice(Buffer.alloc(40)), MALFORMED)
  t.equal(fromDevice(packet4().subarray(0, 19)), MALFORMED)
  t.equal(fromDevice(packet6().subarray(0, 39)), MALFORMED)
})

t.test('multicast of the link is for nobody behind the tunnel, unless a peer has that prefix', async (t) => {
  const { fromDevice, routes, router } = make([four(0, 24, 0)])
  const to4 = (...address: number[]) => {
    const bytes = packet4()
    bytes.set(address, 16)
    return fromDevice(bytes)
  }
  const to6 = (first: number, second: number) => {
    const bytes = packet6()
    bytes.set([first, second], 24)
    return fromDevice(bytes)
  }
  t.equal(to4(224, 0, 0, 251), FILTERED, 'a question of mDNS')
  t.equal(to4(224, 0, 1, 1), NO_ROUTE)
  t.equal(to4(225, 0, 0, 1), NO_ROUTE)
  t.equal(to6(0xff, 0x02), FILTERED, 'a router solicitation, say')
  t.equal(to6(0xff, 0x12), FILTERED, 'a group of its own')
  t.equal(to6(0xff, 0x05), NO_ROUTE, 'that is for the site')
  t.equal(to6(0xfe, 0x02), NO_ROUTE)
  routes.set([{ address: [224, 0, 0, 0], prefixLength: 24, row: 3 }])
  router.begin()
  t.equal(to4(224, 0, 0, 251), 3)
})

t.test('a packet from a peer must come from an address whose longest prefix is its', async (t) => {
  const { fromPeer } = make([four(64, 26, 0), four(77, 32, 1), six(0x77, 128, 2), six(0, 120, 3)])
  t.equal(fromPeer(1, packet4()), DEVICE)
  t.equal(fromPeer(0, packet4()), NOT_ALLOWED, 'a longer prefix is another')
  t.equal(fromPeer(0, packet4(80)), DEVICE)
  t.equal(fromPeer(0, packet4(1)), NOT_ALLOWED, 'nobody')
  t.equal(fromPeer(2, packet6()), DEVICE)
  t.equal(fromPeer(1, packet6()), NOT_ALLOWED)
  t.equal(fromPeer(3, packet6(0x76)), DEVICE)
  t.equal(fromPeer(3, packet6(0x77)), NOT_ALLOWED)
  t.equal(fromPeer(0, Buffer.alloc(60)), MALFORMED)
})

t.test('what is remembered of one packet does not stand for another', async (t) => {
  const { fromPeer, fromDevice, routes, router } = make([four(77, 32, 0), four(78, 32, 1)])
  t.equal(fromPeer(0, packet4(77)), DEVICE)
  t.equal(fromPeer(1, packet4(77)), NOT_ALLOWED)
  t.equal(fromPeer(1, packet4(78)), DEVICE)
  t.equal(fromDevice(packet4(1, 78)), 1)
  const same = packet6()
  same.set([10, 9, 0, 78], 24)
  t.equal(fromDevice(same), NO_ROUTE, 'the same bytes in an IPv6 address')
  t.equal(fromDevice(packet4(1, 78)), 1, 'and in an IPv4 one again')
  routes.set([])
  router.begin()
  t.equal(fromDevice(packet4(1, 78)), NO_ROUTE)
})

t.test('while an address changes hands, its packets may come from both peers, and go to one', async (t) => {
  const { fromPeer, fromDevice } = make(
    [four(77, 32, 1), four(0, 24, 0)],
    [four(77, 32, 0), six(0x77, 128, 2)],
  )
  t.equal(fromPeer(1, packet4()), DEVICE)
  t.equal(fromPeer(0, packet4()), DEVICE, 'the former way')
  t.equal(fromPeer(2, packet4()), NOT_ALLOWED, 'nobody else')
  t.equal(fromPeer(0, packet4(76)), DEVICE)
  t.equal(fromPeer(1, packet4(76)), NOT_ALLOWED)
  t.equal(fromPeer(2, packet6()), DEVICE)
  t.equal(fromDevice(packet4(1, 77)), 1)
})

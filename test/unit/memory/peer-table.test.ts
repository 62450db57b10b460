import fc from 'fast-check'
import t from 'tap'
import { AF_INET, AF_INET6 } from '../../../src/linux/constants.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import {
  decodeSockaddr,
  encodeLocal,
  encodeSockaddr,
  SOCKADDR_BYTES,
  sockaddrLength,
} from '../../../src/linux/sockaddr.js'
import { encodeName, NAME_BYTES } from '../../../src/memory/name.js'
import { PeerTable, peerTableBytes } from '../../../src/memory/peer-table.js'

const ROWS = 4
const NAME = peerTableBytes(ROWS)

/** A table for a few peers, and room behind it for a name that the kernel would write. */
function tableAndName() {
  const memory = NativeMemory.allocate(NAME + 64)
  return { memory, table: new PeerTable(memory, 0, ROWS) }
}

const endpoint = fc.record({
  address: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('192.0.2.1', '192.0.2.2')),
  port: fc.integer({ min: 1, max: 65_535 }),
})

t.test('a peer is at the address it was given last, and its neighbours where they were', async (t) => {
  const changes = fc.array(fc.tuple(fc.nat(ROWS - 1), endpoint), { maxLength: 50 })
  const property = fc.property(changes, (changes) => {
    const { memory, table } = tableAndName()
    const last = new Map<number, Buffer>()
    for (const [peer, endpoint] of changes) {
      const sockaddr = encodeSockaddr(AF_INET6, endpoint)
      table.setAddress(peer, sockaddr)
      last.set(peer, Buffer.from(sockaddr))
    }
    return [...last].every(([peer, sockaddr]) => {
      const at = table.address(peer)
      return sockaddr.equals(memory.u8.subarray(at, at + SOCKADDR_BYTES))
    })
  })
  t.doesNotThrow(() => fc.assert(property))
})

t.test('a datagram is from a peer when address and port are its, all of both', async (t) => {
  const property = fc.property(endpoint, endpoint, fc.nat(ROWS - 1), (peer, sender, row) => {
    const { memory, table } = tableAndName()
    const [own, others] = [peer, sender].map((it) => encodeSockaddr(AF_INET6, it))
    table.setAddress(row, own)
    memory.u8.set(others, NAME)
    return table.isFrom(row, NAME) === Buffer.from(own).equals(others)
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }))
})

t.test('a single bit of difference is somebody else', async (t) => {
  const { memory, table } = tableAndName()
  const sockaddr = encodeSockaddr(AF_INET6, { address: '2001:db8::2', port: 5149 })
  table.setAddress(0, sockaddr)
  memory.u8.set(sockaddr, NAME)
  t.ok(table.isFrom(0, NAME))
  for (let bit = 0; bit < SOCKADDR_BYTES * 8; bit++) {
    memory.u8[NAME + (bit >>> 3)] ^= 1 << (bit & 7)
    if (table.isFrom(0, NAME)) t.fail(`bit ${bit} does not count`)
    memory.u8[NAME + (bit >>> 3)] ^= 1 << (bit & 7)
  }
  t.ok(table.isFrom(0, NAME))
})

t.test('the short names of an IPv4 socket are told apart, too', async (t) => {
  const { memory, table } = tableAndName()
  const sockaddr = encodeSockaddr(AF_INET, { address: '192.0.2.2', port: 5149 })
  table.setAddress(1, sockaddr)
  memory.u8.set(sockaddr.subarray(0, sockaddrLength(AF_INET)), NAME)
  t.ok(table.isFrom(1, NAME))
  memory.u8[NAME + 3]++
  t.notOk(table.isFrom(1, NAME), 'another port')
})

t.test('a local address that main does not know is noted once, until main has taken it', async (t) => {
  const { memory, table } = tableAndName()
  const sockaddr = encodeSockaddr(AF_INET6, { address: '192.0.2.2', port: 5149 })
  const [first, second] = ['192.0.2.1', '192.0.2.9'].map(encodeLocal)
  table.setAddress(2, sockaddr)
  memory.u8.set(encodeName(sockaddr, first, false), NAME)
  t.notOk(table.speaksTo(2, NAME))
  t.ok(table.noteLocal(2, NAME))
  memory.u8.set(encodeName(sockaddr, second, false), NAME)
  t.notOk(table.noteLocal(2, NAME))
  t.ok(table.hasNews(2))
  t.same(table.takeNews(2), first)
  t.notOk(table.hasNews(2))
  table.setAddress(2, sockaddr, second, true)
  t.ok(table.speaksTo(2, NAME))
  const at = table.address(2)
  t.same(memory.u8.slice(at, at + NAME_BYTES), encodeName(sockaddr, second, true))
  t.ok(table.noteLocal(2, NAME))
  table.forget(2)
  t.notOk(table.hasNews(2), 'the next peer of the row has spoken to nobody')
})

t.test('a peer without an address yet is nobody', async (t) => {
  const { memory, table } = tableAndName()
  memory.u8.set(encodeSockaddr(AF_INET6, { address: '::', port: 0 }), NAME)
  t.notOk(table.isFrom(0, NAME))
})

t.test('a new address is written beside the one in use, which a reader may be using', async (t) => {
  const { memory, table } = tableAndName()
  const first = { address: '192.0.2.2', port: 5149 }
  table.setAddress(0, encodeSockaddr(AF_INET6, first))
  const inUse = table.address(0)
  table.setAddress(0, encodeSockaddr(AF_INET6, { address: '198.51.100.2', port: 7000 }))
  t.not(table.address(0), inUse)
  t.same(decodeSockaddr(memory.u8.subarray(inUse, inUse + SOCKADDR_BYTES)), first)
})

t.test('of many peers the sender is found, and nobody else is', async (t) => {
  const rows = 4_096
  const name = peerTableBytes(rows)
  const memory = NativeMemory.allocate(name + 64)
  const table = new PeerTable(memory, 0, rows)
  const nameOf = (number: number) =>
    encodeSockaddr(AF_INET6, { address: `10.${number >>> 8}.${number & 0xff}.1`, port: 5149 })
  const find = (number: number) => {
    memory.u8.set(nameOf(number), name)
    return table.find(name)
  }
  t.equal(find(0), -1, 'there is nobody yet')
  memory.u8.fill(0, name, name + 64)
  t.equal(table.find(name), -1, 'a row without an address is nobody')
  for (let row = 0; row < rows; row++) table.setAddress(row, nameOf(row))
  t.equal(table.rowsInUse, rows)
  for (let row = 0; row < rows; row++) if (find(row) !== row) t.fail(`peer ${row} is taken for ${find(row)}`)
  for (let other = rows; other < 4 * rows; other++) if (find(other) !== -1) t.fail(`${other} is nobody's`)
  table.setAddress(7, nameOf(9_000))
  t.equal(find(9_000), 7, 'one that has moved')
  t.equal(find(7), -1, 'is not where it was')
  table.clear(rows - 1)
  table.clear(rows - 2)
  t.equal(find(rows - 1), -1)
  t.notOk(table.inUse(rows - 1))
  t.equal(table.rowsInUse, rows - 2)
  for (let move = 1; move <= 3; move++) {
    for (let row = 8; row < rows - 2; row++) table.setAddress(row, nameOf(move * 10_000 + row))
    for (let row = 8; row < rows - 2; row++)
      if (find(move * 10_000 + row) !== row) t.fail(`peer ${row} is not found after move ${move}`)
    t.equal(find(100), -1)
  }
  t.equal(find(9_000), 7, 'who has not moved is where it was')
})

t.test('main finds a row, or that there is none, without a look at all rows', async (t) => {
  const rows = 4_096
  let looks = 0
  class CountedTable extends PeerTable {
    override address(row: number): number {
      looks++
      return super.address(row)
    }
  }
  const table = new CountedTable(NativeMemory.allocate(peerTableBytes(rows)), 0, rows)
  const nameOf = (number: number) =>
    encodeSockaddr(AF_INET6, { address: `10.${number >>> 8}.${number & 0xff}.1`, port: 5149 })
  for (let row = 0; row < rows; row++) table.setAddress(row, nameOf(row))
  looks = 0
  const strangers = Array.from({ length: 128 }, (_, index) => table.rowOf(nameOf(rows + index)))
  t.ok(
    strangers.every((row) => row === -1),
    'nobody is there',
  )
  t.ok(looks <= 128 * 8, `${looks} looks at rows for 128 addresses that nobody has`)
  looks = 0
  for (let row = rows - 128; row < rows; row++) if (table.rowOf(nameOf(row)) !== row) t.fail(`no ${row}`)
  t.ok(looks <= 128 * 8, `${looks} looks at rows for 128 peers`)
})

t.test('a peer that is removed right after it was heard is nobody', async (t) => {
  const { memory, table } = tableAndName()
  const sockaddr = encodeSockaddr(AF_INET6, { address: '2001:db8::2', port: 5149 })
  table.setAddress(2, sockaddr)
  memory.u8.set(sockaddr, NAME)
  t.equal(table.find(NAME), 2)
  table.clear(2)
  t.equal(table.find(NAME), -1)
})

t.test('whatever comes, goes and moves, each is found where it is now', async (t) => {
  const change = fc.oneof(
    fc.record({ row: fc.nat(ROWS - 1), to: fc.nat(9) }),
    fc.record({ row: fc.nat(ROWS - 1), to: fc.constant(undefined) }),
  )
  const property = fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
    const { memory, table } = tableAndName()
    const places = new Map<number, number>()
    const nameOf = (at: number) => encodeSockaddr(AF_INET6, { address: `192.0.2.${at}`, port: 1 })
    for (const { row, to } of changes) {
      if (to === undefined) {
        table.clear(row)
        places.delete(row)
      } else {
        table.setAddress(row, nameOf(to))
        places.set(row, to)
      }
      const only = places.size === 1 ? [...places.keys()][0] : -1
      if (table.onlyInUse !== only || table.countInUse !== places.size) return false
      for (let at = 0; at <= 9; at++) {
        memory.u8.set(nameOf(at), NAME)
        // Peers with keys may be at one place: any of them is found.
        const there = [...places].filter(([, place]) => place === at).map(([row]) => row)
        const right = there.length === 0 ? [-1] : there
        if (!right.includes(table.find(NAME)) || !right.includes(table.rowOf(nameOf(at)))) return false
      }
    }
    return true
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }))
})

t.test('whether a peer leaves out checksums goes with the peer, not with its address', async (t) => {
  const { table } = tableAndName()
  table.setLacksSums(1, true)
  table.setAddress(1, encodeSockaddr(AF_INET6, { address: '192.0.2.1', port: 1 }))
  t.same(
    [0, 1, 2].map((row) => table.lacksSums(row)),
    [false, true, false],
  )
  table.setAddress(1, encodeSockaddr(AF_INET6, { address: '192.0.2.2', port: 1 }))
  t.ok(table.lacksSums(1))
  table.clear(1)
  table.forget(1)
  t.notOk(table.lacksSums(1))
})

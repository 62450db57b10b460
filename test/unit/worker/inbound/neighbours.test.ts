import t from 'tap'
import { AF_INET, AF_INET6 } from '../../../../src/linux/constants.js'
import { NativeMemory } from '../../../../src/linux/memory.js'
import { encodeSockaddr } from '../../../../src/linux/sockaddr.js'
import { Neighbours } from '../../../../src/worker/inbound/neighbours.js'

const PORT = 5149

t.test(
  'an address is resolved if rtnetlink says so, of either family and on either kind of socket',
  async (t) => {
    const memory = NativeMemory.allocate(1024)
    const listed = [Buffer.from([192, 0, 2, 7]), Buffer.from('20010db8000000000000000000000007', 'hex')]
    let asked = 0
    const neighbours = new Neighbours(memory, () => {
      asked++
      return listed.map((address) => ({ address }))
    })
    const isResolved = (
      address: string,
      nowMs: number,
      family: typeof AF_INET | typeof AF_INET6 = AF_INET6,
    ) => {
      memory.u8.set(encodeSockaddr(family, { address, port: PORT }), 64)
      return neighbours.isResolved(64, nowMs)
    }
    t.ok(isResolved('192.0.2.7', 0))
    t.ok(isResolved('192.0.2.7', 0, AF_INET))
    t.ok(isResolved('2001:db8::7', 1))
    for (const other of ['192.0.2.8', '192.0.2.0', '0.0.0.0', '2001:db8::8', '::7', '::'])
      t.notOk(isResolved(other, 2), other)
    t.equal(asked, 1, 'asked once')
    listed.length = 0
    t.ok(isResolved('192.0.2.7', 999), 'for a second')
    t.notOk(isResolved('192.0.2.7', 1_000))
    t.equal(asked, 2)
  },
)

t.test('thousands of neighbours have room, and more do no harm', async (t) => {
  const memory = NativeMemory.allocate(1024)
  const all = Array.from({ length: 6_000 }, (_, i) => Buffer.from([10, 0, i >> 8, i & 0xff]))
  const neighbours = new Neighbours(memory, () => all.map((address) => ({ address })))
  const count = all.filter((address) => {
    memory.u8.set(encodeSockaddr(AF_INET, { address: address.join('.'), port: PORT }), 64)
    return neighbours.isResolved(64, 0)
  }).length
  t.equal(count, 4_096)
})

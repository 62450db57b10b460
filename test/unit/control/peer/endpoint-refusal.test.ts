import fc from 'fast-check'
import t from 'tap'
import { type PlaceFacts, type Refusal, refusalOf } from '../../../../src/control/peer/endpoint-refusal.js'

const HOST: PlaceFacts = {
  endpoint: { address: '198.51.100.2', port: 5149 },
  kind: 'host',
  listen: { address: '::', port: 5149 },
}

const at = (address: string, port: number, rest: Partial<PlaceFacts> = {}) =>
  refusalOf({ ...HOST, endpoint: { address, port }, ...rest })

t.test('another host may be anywhere that there is a way to, or none at present', async (t) => {
  t.equal(refusalOf(HOST), undefined)
  t.equal(refusalOf({ ...HOST, kind: 'unroutable' }), undefined)
  t.equal(at('fe80::1%eth0', 5149), undefined)
  t.equal(at('10.9.0.2', 1), undefined, 'whatever the addresses inside the tunnel')
})

t.test('no peer is behind the tunnel itself, or at many hosts, or at none', async (t) => {
  t.equal(at('10.9.0.2', 5149, { kind: 'inside' }), 'inside')
  t.equal(at('224.0.0.1', 5149), 'multicast')
  t.equal(at('ff02::1%2', 5149), 'multicast')
  t.equal(at('::ffff:224.0.0.1', 5149), 'multicast')
  t.equal(at('255.255.255.255', 5149), 'broadcast')
  t.equal(at('192.0.2.255', 5149, { kind: 'broadcast' }), 'broadcast')
  t.equal(at('0.0.0.0', 5149), 'unspecified')
  t.equal(at('::', 5149), 'unspecified')
  t.equal(at('::ffff:0.0.0.0', 5149), 'unspecified')
  t.equal(at('198.51.100.2', 0), 'unspecified', 'no datagram can be sent to port 0')
})

t.test("another port of this host's may be another tunnel's, its own may not", async (t) => {
  const own = { kind: 'own' } as const
  t.equal(at('192.0.2.1', 5149, own), 'itself')
  t.equal(at('192.0.2.1', 5150, own), undefined)
  t.equal(at('127.0.0.1', 5149, { ...own, listen: { address: '0.0.0.0', port: 5149 } }), 'itself')
  const listen = { address: '192.0.2.1', port: 5149 }
  t.equal(at('192.0.2.1', 5149, { ...own, listen }), 'itself')
  t.equal(at('127.0.0.1', 5149, { ...own, listen }), undefined, 'where another socket may listen')
  const zoned = { address: 'fe80::1%eth0', port: 5149 }
  t.equal(at('fe80::1%2', 5149, { ...own, listen: zoned }), 'itself')
  t.equal(at('192.0.2.1', 5149), undefined, 'not without the kernel saying that it is')
})

t.test(
  'any address and port is judged, and a host of no other kind is refused nowhere but there',
  async (t) => {
    const refusals: (Refusal | undefined)[] = ['multicast', 'broadcast', 'unspecified', undefined]
    const property = fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6()),
      fc.integer({ min: 0, max: 65_535 }),
      (address, port) => refusals.includes(at(address, port)),
    )
    t.doesNotThrow(() => fc.assert(property, { numRuns: 1_000 }))
  },
)

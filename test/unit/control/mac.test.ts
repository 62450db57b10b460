import fc from 'fast-check'
import t from 'tap'
import type { LocalAddress } from '../../../src/config/values.js'
import { stableMac } from '../../../src/control/mac.js'
import { formatMac, isGroupMac } from '../../../src/wire/ethernet.js'

const A: LocalAddress = { address: '10.9.0.1', family: 'ipv4', prefixLength: 24 }
const B: LocalAddress = { address: 'fd00:9::1', family: 'ipv6', prefixLength: 64 }

const text = (local: readonly LocalAddress[], machine?: string) => formatMac(stableMac(local, machine))

t.test('a host has the same MAC again after a restart', async (t) => {
  t.equal(text([A, B]), text([{ ...A }, { ...B }]))
  t.equal(text([A], 'b2f5c7'), '2a:79:34:fc:44:93', 'from one version of this program to the next')
})

t.test('another host, address or network has another', async (t) => {
  const macs = [
    text([A], 'this machine'),
    text([A], 'that machine'),
    text([B], 'this machine'),
    text([A, B], 'this machine'),
    text([{ ...A, prefixLength: 25 }], 'this machine'),
    text([{ ...A, address: '10.9.0.2' }], 'this machine'),
  ]
  t.equal(new Set(macs).size, macs.length)
})

t.test("it is always one device's own, locally administered, and so nobody's on any market", async (t) => {
  const local = fc.record({
    address: fc.ipV4(),
    family: fc.constant('ipv4' as const),
    prefixLength: fc.integer({ min: 1, max: 32 }),
  })
  const property = fc.property(fc.array(local, { minLength: 1 }), fc.string(), (local, machine) => {
    const mac = stableMac(local, machine)
    return !isGroupMac(mac) && (mac[0] & 0x02) !== 0 && mac.length === 6
  })
  t.doesNotThrow(() => fc.assert(property))
})

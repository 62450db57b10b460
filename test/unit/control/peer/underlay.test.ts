import fc from 'fast-check'
import t from 'tap'
import { MAX_MTU_BYTES } from '../../../../src/config/values.js'
import { type DeviceMtuInput, deviceMtuBytes } from '../../../../src/control/peer/underlay.js'
import { encapFor } from '../../../../src/encap/encap.js'

const ETHERNET: DeviceMtuInput = {
  encap: encapFor('tap', false),
  remoteAddress: '192.0.2.2',
  underlayMtuBytes: 1500,
  wanted: 'auto',
  vlan: false,
  overlayHasIpv6: false,
}

t.test("the device's MTU is what the underlay carries less what the encapsulation adds", async (t) => {
  t.equal(deviceMtuBytes(ETHERNET), 1458)
  t.equal(deviceMtuBytes({ ...ETHERNET, encap: encapFor('tun', false) }), 1472)
  t.equal(deviceMtuBytes({ ...ETHERNET, remoteAddress: '2001:db8::2' }), 1438)
  t.equal(deviceMtuBytes({ ...ETHERNET, remoteAddress: 'fe80::2%eth0', encap: encapFor('tun', false) }), 1452)
  t.equal(deviceMtuBytes({ ...ETHERNET, underlayMtuBytes: 9000 }), 8958)
  t.equal(deviceMtuBytes({ ...ETHERNET, vlan: true }), 1454, 'with room for a tag')
})

t.test('what the setting says holds, whatever the underlay', async (t) => {
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 9000 }), 9000)
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 1280, overlayHasIpv6: true }), 1280)
})

t.test('"safe" is what every IPv4 host takes, less the overhead', async (t) => {
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 'safe' }), 534)
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 'safe', encap: encapFor('tun', false) }), 548)
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 'safe', underlayMtuBytes: 400 }), 358)
})

t.test('with IPv6 inside it is never below 1280, without never below 68', async (t) => {
  const narrow = { ...ETHERNET, underlayMtuBytes: 1300 }
  t.equal(deviceMtuBytes(narrow), 1258)
  t.equal(deviceMtuBytes({ ...narrow, overlayHasIpv6: true }), 1280)
  t.equal(deviceMtuBytes({ ...ETHERNET, underlayMtuBytes: 68 }), 68)
})

t.test('whatever the underlay, the kernel takes the MTU', async (t) => {
  const input: fc.Arbitrary<DeviceMtuInput> = fc.record({
    encap: fc.constantFrom(encapFor('tap', false), encapFor('tun', true)),
    remoteAddress: fc.oneof(fc.ipV4(), fc.ipV6()),
    underlayMtuBytes: fc.integer({ min: 68, max: 65_535 }),
    wanted: fc.constantFrom('auto' as const, 'safe' as const),
    vlan: fc.boolean(),
    overlayHasIpv6: fc.boolean(),
  })
  const property = fc.property(input, (input) => {
    const bytes = deviceMtuBytes(input)
    const least = input.overlayHasIpv6 ? 1280 : 68
    const fits = bytes === least || bytes < input.underlayMtuBytes
    return bytes >= least && bytes <= MAX_MTU_BYTES && fits
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1_000 }))
})

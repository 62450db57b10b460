import fc from 'fast-check'
import t from 'tap'
import { MAX_MTU_BYTES } from '../../../../src/config/values.js'
import { type DeviceMtuInput, deviceMtuBytes, underlayTo } from '../../../../src/control/peer/underlay.js'
import { Netlink } from '../../../../src/linux/netlink.js'

const ETHERNET: DeviceMtuInput = {
  mode: 'tap',
  remoteAddress: '192.0.2.2',
  underlayMtuBytes: 1500,
  wanted: 'auto',
  vlan: false,
  overlayHasIpv6: false,
}

t.test("the device's MTU is what the underlay carries less what the encapsulation adds", async (t) => {
  t.equal(deviceMtuBytes(ETHERNET), 1458)
  t.equal(deviceMtuBytes({ ...ETHERNET, mode: 'tun' }), 1472)
  t.equal(deviceMtuBytes({ ...ETHERNET, remoteAddress: '2001:db8::2' }), 1438)
  t.equal(deviceMtuBytes({ ...ETHERNET, remoteAddress: 'fe80::2%eth0', mode: 'tun' }), 1452)
  t.equal(deviceMtuBytes({ ...ETHERNET, underlayMtuBytes: 9000 }), 8958)
  t.equal(deviceMtuBytes({ ...ETHERNET, vlan: true }), 1454, 'with room for a tag')
})

t.test('what the setting says holds, whatever the underlay', async (t) => {
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 9000 }), 9000)
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 1280, overlayHasIpv6: true }), 1280)
})

t.test('"safe" is what every IPv4 host takes, less the overhead', async (t) => {
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 'safe' }), 534)
  t.equal(deviceMtuBytes({ ...ETHERNET, wanted: 'safe', mode: 'tun' }), 548)
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
    mode: fc.constantFrom('tap' as const, 'tun' as const),
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

t.test('the way to this host itself is the loopback interface, as long as an IP packet can be', async (t) => {
  using netlink = new Netlink()
  const underlay = underlayTo(netlink, '127.0.0.1')
  t.equal(underlay.interface, 'lo')
  t.ok(underlay.mtuBytes <= 65_535)
  t.equal(deviceMtuBytes({ ...ETHERNET, remoteAddress: '127.0.0.1', underlayMtuBytes: 65_535 }), 65_493)
})

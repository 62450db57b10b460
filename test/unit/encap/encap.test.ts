import fc from 'fast-check'
import t from 'tap'
import { encapFor } from '../../../src/encap/encap.js'
import { controlFrameBytes, writeControl } from '../../../src/wire/control.js'
import type { IpFamily } from '../../../src/wire/ip.js'
import type { DeviceMode } from '../../../src/wire/mode.js'

const mode = fc.constantFrom<DeviceMode>('tap', 'tun')
const outer = fc.constantFrom<IpFamily>('ipv4', 'ipv6')
const VXLAN = encapFor('tap', false, 42)
const encap = fc.oneof(
  fc.tuple(mode, fc.boolean()).map(([it, isPrivate]) => encapFor(it, isPrivate)),
  fc.constant(VXLAN),
)

t.test('it adds what the documents say', async (t) => {
  const overhead = (it: DeviceMode, isPrivate: boolean, vlan = false) =>
    (['ipv4', 'ipv6'] as const).map((family) => encapFor(it, isPrivate).overheadBytes(family, vlan))
  t.same(overhead('tap', false), [42, 62])
  t.same(overhead('tap', false, true), [46, 66])
  t.same(overhead('tun', false), [28, 48])
  t.same(overhead('tun', false, true), [28, 48], 'an IP packet has no tag')
  t.same(overhead('tap', true), [42 + 33, 62 + 33])
  t.same(overhead('tun', true), [28 + 32, 48 + 32])
  t.same([VXLAN.overheadBytes('ipv4', false), VXLAN.overheadBytes('ipv6', false)], [50, 70])
  t.same([encapFor('tap', false).leastBytes, encapFor('tap', false).mostBytes], [0, 0])
  t.same([encapFor('tap', true).leastBytes, encapFor('tap', true).mostBytes], [33, 48])
  t.same([encapFor('tun', true).leastBytes, encapFor('tun', true).mostBytes], [32, 48])
})

t.test(
  'a device’s frames are its packets with an Ethernet header, and a tag where there may be one',
  async (t) => {
    t.equal(encapFor('tap', false).frameBytes(1500, false), 1514)
    t.equal(encapFor('tap', false).frameBytes(1500, true), 1518)
    t.equal(encapFor('tun', true).frameBytes(1500, true), 1500)
    t.equal(encapFor('tap', true).paddingLimitBytes(1500, false), 1515)
    t.equal(encapFor('tun', true).paddingLimitBytes(1500, false), 1500)
  },
)

t.test('the longest frame of a device whose MTU is what a path carries fits that path exactly', async () => {
  const property = fc.property(
    encap,
    outer,
    fc.boolean(),
    fc.integer({ min: 576, max: 9_216 }),
    (it, family, vlan, path) => {
      const mtuBytes = path - it.overheadBytes(family, vlan)
      return it.wholeFrameBytes(path, family) === it.frameBytes(mtuBytes, vlan)
    },
  )
  fc.assert(property)
})

t.test('a frame that fits a path fits it with its padding too, and comes out as it was', async () => {
  const LONGEST = 300
  const property = fc.property(
    encap,
    outer,
    fc.integer({ min: 40, max: LONGEST }),
    fc.integer({ min: 0, max: 64 }),
    (it, family, wanted, spare) => {
      // In tun mode the packet itself says how long it is.
      const bytes = Math.max(wanted, controlFrameBytes(it.mode))
      const frame = writeControl(it.mode, { type: 'probe', token: 7n, sizeBytes: 0 }, bytes)
      const path = it.packetBytes(bytes, family) + spare
      const longest = it.wholeFrameBytes(path, family)
      const room = new Uint8Array(LONGEST + 100).fill(0xff)
      room.set(frame)
      const padded = it.pad(room, 0, bytes, longest + it.leastPaddingBytes)
      const payload = it.headerBytes + padded + it.trailerBytes
      return (
        payload - bytes >= it.leastBytes &&
        payload - bytes <= it.mostBytes &&
        payload <= path - it.packetBytes(0, family) + it.leastBytes &&
        it.unpad(new DataView(room.buffer), 0, padded) === bytes &&
        Buffer.from(frame).equals(room.subarray(0, bytes))
      )
    },
  )
  fc.assert(property, { numRuns: 1_000 })
})

import fc from 'fast-check'
import t from 'tap'
import {
  AF_INET,
  AF_INET6,
  XFRM_MSG_NEWPOLICY,
  XFRM_POLICY_FWD,
  XFRM_POLICY_IN,
  XFRM_POLICY_OUT,
} from '../../../src/linux/constants.js'
import { xfrm_selector, xfrm_userpolicy_info } from '../../../src/linux/structs.js'
import type { UdpFlow } from '../../../src/linux/udp-flow.js'
import { isFor, readPolicy, type XfrmPolicy } from '../../../src/linux/xfrm.js'

const IFINDEX = 3

const FLOW: UdpFlow = {
  source: Uint8Array.of(192, 0, 2, 1),
  destination: Uint8Array.of(198, 51, 100, 7),
  sourcePort: 5149,
  destinationPort: 6000,
}

const v6 = (last: number) => Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last)
const FLOW6: UdpFlow = { ...FLOW, source: v6(1), destination: v6(2) }

const wide = (bytes: Uint8Array) => Uint8Array.of(...bytes, ...new Uint8Array(16 - bytes.length))

/** A policy for everything that leaves over IPv4. */
const ANY: XfrmPolicy = {
  direction: XFRM_POLICY_OUT,
  family: AF_INET,
  source: new Uint8Array(16),
  sourceBits: 0,
  destination: new Uint8Array(16),
  destinationBits: 0,
  sourcePort: 0,
  sourcePortMask: 0,
  destinationPort: 0,
  destinationPortMask: 0,
  protocol: 0,
  ifindex: 0,
}

const is = (more: Partial<XfrmPolicy>, flow = FLOW) => isFor({ ...ANY, ...more }, flow, IFINDEX)

t.test('what a policy is for', async (t) => {
  t.ok(is({}))
  t.notOk(is({}, FLOW6), 'the other family')
  t.ok(is({ family: AF_INET6 }, FLOW6))
  t.ok(is({ protocol: 17 }))
  t.notOk(is({ protocol: 6 }))
  t.ok(is({ ifindex: IFINDEX }))
  t.notOk(is({ ifindex: 1 }))
  t.ok(is({ sourcePort: 5149, sourcePortMask: 0xffff }))
  t.notOk(is({ sourcePort: 6000, sourcePortMask: 0xffff }))
  t.ok(is({ destinationPort: 6000, destinationPortMask: 0xffff }))
  t.notOk(is({ destinationPort: 5149, destinationPortMask: 0xffff }))
  t.ok(is({ destinationPort: 6001, destinationPortMask: 0xfff0 }), 'a range of ports')
  const bytes = wide(FLOW.destination)
  t.ok(is({ destination: bytes, destinationBits: 32 }))
  t.notOk(is({ source: bytes, sourceBits: 32 }))
  t.ok(is({ destination: wide(Uint8Array.of(198, 51, 100, 0)), destinationBits: 24 }))
  t.ok(is({ destination: wide(Uint8Array.of(198, 51, 100, 4)), destinationBits: 30 }))
  t.notOk(is({ destination: wide(Uint8Array.of(198, 51, 100, 8)), destinationBits: 29 }))
})

t.test('a policy for what comes in is for the answers', async (t) => {
  for (const direction of [XFRM_POLICY_IN, XFRM_POLICY_FWD]) {
    t.ok(is({ direction }))
    t.ok(is({ direction, source: wide(FLOW.destination), sourceBits: 32 }))
    t.notOk(is({ direction, destination: wide(FLOW.destination), destinationBits: 32 }))
    t.ok(is({ direction, destinationPort: 5149, destinationPortMask: 0xffff }))
    t.notOk(is({ direction, destinationPort: 6000, destinationPortMask: 0xffff }))
  }
})

t.test('a prefix holds an address exactly if their first bits are the same', async (t) => {
  const bits = (bytes: Uint8Array, count: number) =>
    [...bytes]
      .map((byte) => byte.toString(2).padStart(8, '0'))
      .join('')
      .slice(0, count)
  const property = fc.property(
    fc.constantFrom(4, 16).chain((bytes) =>
      fc.record({
        destination: fc.uint8Array({ minLength: bytes, maxLength: bytes }),
        count: fc.nat(8 * bytes),
        flipped: fc.nat(8 * bytes - 1),
      }),
    ),
    ({ destination, count, flipped }) => {
      const other = destination.slice()
      other[flipped >>> 3] ^= 0x80 >>> (flipped & 7)
      const flow = { ...FLOW, source: new Uint8Array(destination.length), destination }
      const family = destination.length === 4 ? AF_INET : AF_INET6
      const holds = (address: Uint8Array) =>
        is({ family, destination: wide(address), destinationBits: count }, flow)
      return holds(destination) && holds(other) === (bits(other, count) === bits(destination, count))
    },
  )
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2_000 }))
})

/** A message of the kernel about a policy, as <linux/xfrm.h> lays it out. */
function message(change: (selector: Buffer, body: Buffer) => void = () => {}) {
  const body = Buffer.alloc(xfrm_userpolicy_info.size)
  const selector = body.subarray(0, xfrm_selector.size)
  selector.set([198, 51, 100, 0], xfrm_selector.daddr)
  selector.set([192, 0, 2, 1], xfrm_selector.saddr)
  selector.writeUInt16BE(6000, xfrm_selector.dport)
  selector.writeUInt16BE(0xffff, xfrm_selector.dport_mask)
  selector.writeUInt16LE(AF_INET, xfrm_selector.family)
  selector[xfrm_selector.prefixlen_d] = 24
  selector[xfrm_selector.prefixlen_s] = 32
  selector[xfrm_selector.proto] = 17
  selector.writeInt32LE(IFINDEX, xfrm_selector.ifindex)
  body[xfrm_userpolicy_info.dir] = XFRM_POLICY_OUT
  change(selector, body)
  return { type: XFRM_MSG_NEWPOLICY, body }
}

t.test('the kernel’s message about a policy is read', async (t) => {
  const policy = readPolicy(message())
  t.match(policy, {
    direction: XFRM_POLICY_OUT,
    family: AF_INET,
    sourceBits: 32,
    destinationBits: 24,
    sourcePort: 0,
    sourcePortMask: 0,
    destinationPort: 6000,
    destinationPortMask: 0xffff,
    protocol: 17,
    ifindex: IFINDEX,
  })
  t.ok(policy !== undefined && isFor(policy, FLOW, IFINDEX))
})

t.test('what this program does not know is no policy that it can read', async (t) => {
  t.equal(readPolicy({ ...message(), type: 0x10 }), undefined, 'another message')
  const { type, body } = message()
  t.equal(readPolicy({ type, body: body.subarray(0, -1) }), undefined, 'a shorter one')
  for (const [what, change] of Object.entries({
    family: (it: Buffer) => it.writeUInt16LE(0, xfrm_selector.family),
    'bits of the source': (it: Buffer) => it.writeUInt8(33, xfrm_selector.prefixlen_s),
    'bits of the destination': (it: Buffer) => it.writeUInt8(33, xfrm_selector.prefixlen_d),
  }))
    t.equal(readPolicy(message(change)), undefined, what)
})

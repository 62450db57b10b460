import t from 'tap'
import { conntrackOf, isNat } from '../../../src/linux/conntrack.js'
import { CTA_STATUS } from '../../../src/linux/constants.js'
import { encodeAttributes } from '../../../src/linux/netlink.js'

const hex = (flow: Parameters<typeof conntrackOf>[0]) => {
  const [fixed, attributes] = conntrackOf(flow)
  return fixed.toString('hex') + encodeAttributes(attributes).toString('hex')
}

t.test('a question names the flow, in the layout of nfnetlink_conntrack.h', async (t) => {
  const ports = { sourcePort: 5149, destinationPort: 6000 }
  // CTA_TUPLE_PROTO: CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
  const protocol = '1c000280' + '0500010011000000' + '06000200141d0000' + '0600030017700000'
  t.equal(
    hex({ source: Uint8Array.of(192, 0, 2, 1), destination: Uint8Array.of(198, 51, 100, 2), ...ports }),
    // AF_INET; CTA_TUPLE_ORIG; CTA_TUPLE_IP: CTA_IP_V4_SRC, CTA_IP_V4_DST
    `02000000${'34000180'}${'14000180'}${'08000100c0000201'}${'08000200c6336402'}${protocol}`,
  )
  const [one, two] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)]
  t.equal(
    hex({ source: one, destination: two, ...ports }),
    // AF_INET6; CTA_IP_V6_SRC, CTA_IP_V6_DST
    `0a000000${'4c000180'}${'2c000180'}${`14000300${'01'.repeat(16)}`}${`14000400${'02'.repeat(16)}`}${protocol}`,
  )
})

/** A message about a connection with these bits of `enum ip_conntrack_status`. */
function about(...status: readonly number[]) {
  const value = Buffer.alloc(4)
  value.writeUInt32BE(status.reduce((sum, bit) => sum | (1 << bit), 0))
  return { body: Buffer.concat([Buffer.from('02000000', 'hex'), encodeAttributes([[CTA_STATUS, value]])]) }
}

t.test('NAT of the source or of the destination is in the status', async (t) => {
  // 1: SEEN_REPLY, 2: ASSURED, 3: CONFIRMED, 4: SRC_NAT, 5: DST_NAT, 7 and 8: ..._NAT_DONE
  t.equal(isNat(about(1, 2, 3, 7, 8)), false)
  t.equal(isNat(about(1, 2, 3, 4, 7, 8)), true)
  t.equal(isNat(about(3, 5)), true)
  t.equal(isNat({ body: Buffer.alloc(4) }), false, 'without a status')
})

import t from 'tap'
import { VXLAN_HEADER_BYTES, vniOf, writeVxlan } from '../../../src/wire/vxlan.js'

t.test('the header is that of RFC 7348, and reserved bits are ignored', async (t) => {
  const bytes = Buffer.alloc(16, 0xaa)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (const [vni, hex] of [
    [0, '0800000000000000'],
    [42, '0800000000002a00'],
    [0xff_ffff, '08000000ffffff00'],
  ] as const) {
    writeVxlan(view, 3, vni)
    t.equal(bytes.subarray(3, 3 + VXLAN_HEADER_BYTES).toString('hex'), hex)
    t.equal(vniOf(view, 3), vni)
  }
  bytes.set(Buffer.from('ffffffff00002aff', 'hex'), 3)
  t.equal(vniOf(view, 3), 42)
  bytes[3] = 0xf7
  t.equal(vniOf(view, 3), -1, 'without the flag I there is no VNI')
})

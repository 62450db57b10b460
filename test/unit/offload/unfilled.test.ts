import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { iovec, virtio_net_hdr } from '../../../src/linux/structs.js'
import { byteOperations, scalarOperations } from '../../../src/offload/bytes.js'
import { Unfilled } from '../../../src/offload/unfilled.js'
import { type Flow, framesOf, PLAIN_FLOW, superFrameOf } from '../../support/frames.js'

const memory = NativeMemory.allocate(256 * 1024)
const OWN = 64
const AT = 4_098
const MTU = 1_450

const payloadOf = (bytes: number) => Uint8Array.from({ length: bytes }, (_, it) => (it * 7 + 1) & 0xff)
const flows = (['tcp', 'udp'] as const).flatMap((protocol) =>
  ([4, 6] as const).flatMap((ip) =>
    ([14, 18] as const).map((l2): Flow => ({ ...PLAIN_FLOW, protocol, ip, l2 })),
  ),
)

function filled(unfilled: Unfilled, frame: Uint8Array): Uint8Array {
  memory.u8.fill(0, AT - 64, AT + frame.length + 64)
  memory.u8.set(frame, AT)
  unfilled.fill(AT, frame.length)
  return memory.u8.slice(AT, AT + frame.length)
}

for (const bytes of [byteOperations(memory), scalarOperations(memory)]) {
  const unfilled = new Unfilled(memory, bytes, OWN, 14)

  t.test('a checksum that was left out is filled in, and padding does not count', async (t) => {
    for (const flow of flows)
      for (const length of [1, 2, 700, 1_399]) {
        const pieces = [{ payload: payloadOf(length), flags: 0x10 }]
        const [wanted] = framesOf(flow, pieces)
        const { bytes } = superFrameOf(flow, pieces)
        t.same(filled(unfilled, bytes), wanted, `${flow.protocol}, IPv${flow.ip}, ${length}`)
        const padded = filled(unfilled, Uint8Array.from([...bytes, 9, 9, 9]))
        t.same(padded, Uint8Array.from([...wanted, 9, 9, 9]))
      }
  })

  t.test('a right checksum stays, and so does any other', async (t) => {
    const property = fc.property(
      fc.constantFrom(...flows),
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.nat(0xffff),
      (flow, payload, wrong) => {
        const [right] = framesOf(flow, [{ payload, flags: 0x10 }])
        const { bytes } = superFrameOf(flow, [{ payload, flags: 0x10 }])
        const at = flow.l2 + (flow.ip === 4 ? 20 : 40) + (flow.protocol === 'tcp' ? 16 : 6)
        const other = right.slice()
        other[at] = wrong >>> 8
        other[at + 1] = wrong & 0xff
        const isLeftOut = other[at] === bytes[at] && other[at + 1] === bytes[at + 1]
        t.same(filled(unfilled, right), right)
        t.same(filled(unfilled, other), isLeftOut ? right : other)
      },
    )
    fc.assert(property, { numRuns: 100 })
  })

  t.test('a super-frame is prepared for the device to cut', async (t) => {
    for (const flow of flows) {
      const { bytes, l4 } = superFrameOf(flow, [{ payload: payloadOf(9_000), flags: 0x10 }])
      memory.u8.set(bytes, AT)
      const isTcp = flow.protocol === 'tcp'
      t.equal(unfilled.prepare(AT, bytes.length, MTU), isTcp, 'of UDP nobody knows where to cut')
      if (!isTcp) continue
      const { view, u32 } = memory
      const header = OWN + 2 * iovec.size
      t.equal(u32[(OWN + iovec.size + iovec.iov_len) >>> 2], bytes.length)
      const headerBytes = view.getUint16(header + virtio_net_hdr.hdr_len, true)
      t.equal(headerBytes, bytes.length - 9_000)
      t.equal(view.getUint16(header + virtio_net_hdr.gso_size, true), MTU - (headerBytes - flow.l2))
      t.equal(view.getUint16(header + virtio_net_hdr.csum_start, true), l4)
      t.equal(view.getUint8(header + virtio_net_hdr.gso_type), flow.ip === 4 ? 1 : 4)
      bytes[l4 + 16] ^= 1
      memory.u8.set(bytes, AT)
      t.equal(unfilled.prepare(AT, bytes.length, MTU), false, 'with another checksum it is none')
    }
  })
}

t.test('any bytes do no harm', async () => {
  const unfilled = new Unfilled(memory, byteOperations(memory), OWN, 14)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 14, maxLength: 120 }), (bytes) => {
      const after = filled(unfilled, bytes)
      unfilled.prepare(AT, bytes.length, MTU)
      return after.length === bytes.length && memory.u8[AT - 1] === 0 && memory.u8[AT + bytes.length] === 0
    }),
  )
})

import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { dsField, takeEcn } from '../../../src/offload/ds-field.js'
import { CONGESTED, innerEcn } from '../../../src/wire/ecn.js'
import { type Flow, framesOf, PLAIN_FLOW } from '../../support/frames.js'

const memory = NativeMemory.allocate(64 * 1024)
const AT = 1_002
const PIECE = { payload: Uint8Array.from([1, 2, 3]), flags: 0x10 }

const frameOf = (flow: Partial<Flow>) => framesOf({ ...PLAIN_FLOW, ...flow }, [PIECE])[0]
const l2BytesOf = (l2: Flow['l2']) => (l2 === 0 ? 0 : 14)

function put(frame: Uint8Array): void {
  memory.u8.fill(0xaa)
  memory.u8.set(frame, AT)
}

const headers = ([4, 6] as const).flatMap((ip) => ([0, 14, 18] as const).map((l2) => ({ ip, l2 })))

t.test('the DS field is found in IPv4 and IPv6, with Ethernet, a tag, or neither', async (t) => {
  for (const header of headers)
    for (const tos of [0, 1, 2, 3, 0xb8, 0xbb, 0xff]) {
      const frame = frameOf({ ...header, tos })
      put(frame)
      t.equal(dsField(memory.view, AT, frame.length, l2BytesOf(header.l2)), tos, JSON.stringify(header))
    }
})

t.test('each combination of marks gives the frame that would have been made with the result', async (t) => {
  for (const header of headers)
    for (const dscp of [0, 0xb8])
      for (let inner = 0; inner < 4; inner++)
        for (let outer = 0; outer < 4; outer++) {
          const frame = frameOf({ ...header, tos: dscp | inner })
          const wanted = innerEcn(inner, outer)
          put(frame)
          // The DSCP of the outer header is not taken.
          const kept = takeEcn(memory.view, AT, frame.length, l2BytesOf(header.l2), outer | 0x28)
          const what = `${JSON.stringify(header)}, ${inner} in ${outer}`
          t.equal(kept, wanted !== CONGESTED, what)
          const after = wanted === CONGESTED ? frame : frameOf({ ...header, tos: dscp | wanted })
          t.same(memory.u8.slice(AT, AT + frame.length), after, what)
          t.equal(memory.u8[AT - 1] | memory.u8[AT + frame.length], 0xaa, 'nothing around it')
        }
})

t.test('a wrong IPv4 checksum stays wrong by as much', async (t) => {
  const frame = frameOf({ tos: 2 })
  frame[24] ^= 0x40
  put(frame)
  t.equal(takeEcn(memory.view, AT, frame.length, 14, 3), true)
  const right = frameOf({ tos: 3 })
  t.equal(memory.u8[AT + 24] ^ right[24], 0x40)
})

t.test('any other bytes have no DS field and stay as they are', async (t) => {
  const check = (bytes: Uint8Array, l2Bytes: number) => {
    put(bytes)
    t.equal(takeEcn(memory.view, AT, bytes.length, l2Bytes, 3), true)
    t.same(memory.u8.slice(AT, AT + bytes.length), bytes)
    t.equal(dsField(memory.view, AT, bytes.length, l2Bytes), 0)
  }
  const arp = frameOf({ tos: 2 })
  arp.set([0x08, 0x06], 12)
  check(arp, 14)
  for (const header of headers)
    check(frameOf({ ...header, tos: 2 }).slice(0, header.l2 + 19), l2BytesOf(header.l2))
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 14, maxLength: 80 }), fc.nat(255), (bytes, outer) => {
      put(bytes)
      takeEcn(memory.view, AT, bytes.length, 14, outer)
      return memory.u8[AT - 1] === 0xaa && memory.u8[AT + bytes.length] === 0xaa
    }),
  )
})

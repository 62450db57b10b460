import fc from 'fast-check'
import t from 'tap'
import { pad, unpad } from '../../../src/wire/padding.js'

const AT = 16
const sizes = fc.record({ bytes: fc.integer({ min: 20, max: 2000 }), limit: fc.nat(2000), tap: fc.boolean() })

/** A frame of noise, or a packet whose header tells its length. */
function frameOf(bytes: number, tap: boolean, version: 4 | 6): Uint8Array {
  const frame = Uint8Array.from({ length: bytes }, (_, index) => (index * 7 + bytes) & 0xff)
  if (tap) return frame
  frame[0] = version << 4
  new DataView(frame.buffer).setUint16(version === 4 ? 2 : 4, version === 4 ? bytes : bytes - 40)
  return frame
}

t.test('what is padded is a multiple of 16, or as long as may be, and comes back as it was', async () => {
  const property = fc.property(sizes, fc.constantFrom<4 | 6>(4, 6), ({ bytes, limit, tap }, version) => {
    if (version === 6 && bytes < 40) return true
    const u8 = new Uint8Array(AT + bytes + 64).fill(0xee)
    const frame = frameOf(bytes, tap, version)
    u8.set(frame, AT)
    const padded = pad(u8, AT, bytes, limit, tap)
    const least = bytes + (tap ? 1 : 0)
    if (padded % 16 !== 0 && padded !== Math.max(least, limit)) return false
    if (padded > Math.max(least, limit) || padded < least || padded - least > 15) return false
    if (u8[AT + padded] !== 0xee) return false
    if (unpad(new DataView(u8.buffer), AT, padded, tap) !== bytes) return false
    return Buffer.from(frame).equals(u8.subarray(AT, AT + bytes))
  })
  fc.assert(property, { numRuns: 1_000 })
})

t.test('what somebody else has padded is nonsense or shorter, and never longer', async () => {
  const property = fc.property(
    fc.uint8Array({ minLength: 1, maxLength: 100 }),
    fc.boolean(),
    (bytes, tap) => {
      const length = unpad(new DataView(bytes.buffer), 0, bytes.length, tap)
      return length === -1 || (length >= 0 && length <= bytes.length)
    },
  )
  fc.assert(property, { numRuns: 2_000 })
})

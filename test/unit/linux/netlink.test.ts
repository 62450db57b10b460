import fc from 'fast-check'
import t from 'tap'
import { ENODEV } from '../../../src/linux/errno.js'
import { getLink } from '../../../src/linux/interface.js'
import {
  type Attribute,
  cString,
  decodeAttributes,
  encodeAttributes,
  Netlink,
  u32,
} from '../../../src/linux/netlink.js'

/** Types the kernel has: two bits are flags. */
const type = fc.nat(0x3fff)
const value = fc.uint8Array({ maxLength: 300 })
const flat = fc.uniqueArray(fc.tuple(type, value), { selector: ([type]) => type, maxLength: 20 })

t.test('attributes encoded and decoded are the same', async (t) => {
  const property = fc.property(flat, (attributes) => {
    const decoded = decodeAttributes(encodeAttributes(attributes))
    return (
      decoded.size === attributes.length &&
      attributes.every(([type, value]) => decoded.get(type)?.equals(value) === true)
    )
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }))
})

interface Tree {
  readonly type: number
  readonly value: Uint8Array | readonly Tree[]
}

const { tree } = fc.letrec<{ tree: Tree; nest: Tree[] }>((tie) => ({
  tree: fc.record({ type, value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, value, tie('nest')) }),
  nest: fc.uniqueArray(tie('tree'), { selector: ({ type }) => type, maxLength: 4 }),
}))

t.test('nests of attributes, too, however deep', async (t) => {
  const attribute = ({ type, value }: Tree): Attribute => [
    type,
    value instanceof Uint8Array ? value : value.map(attribute),
  ]
  const matches = (bytes: Buffer | undefined, { value }: Tree): boolean => {
    if (bytes === undefined) return false
    if (value instanceof Uint8Array) return bytes.equals(value)
    const inner = decodeAttributes(bytes)
    return inner.size === value.length && value.every((it) => matches(inner.get(it.type), it))
  }
  const property = fc.property(tree, (root) =>
    matches(decodeAttributes(encodeAttributes([attribute(root)])).get(root.type), root),
  )
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }))
})

t.test('the layout is that of struct rtattr: length, type, value, padded to four bytes', async (t) => {
  const bytes = encodeAttributes([
    [3, cString('tap0')],
    [4, u32(1458)],
    [18, [[1, cString('veth')]]],
  ])
  t.equal(
    bytes.toString('hex'),
    '09000300' +
      '7461703000' +
      '000000' +
      '08000400' +
      'b2050000' +
      '10001200' +
      '09000100' +
      '7665746800000000',
  )
})

t.test('the flags in a type are taken off, and the last of a type wins', async (t) => {
  const decoded = decodeAttributes(
    encodeAttributes([
      [0x8000 | 26, u32(1)],
      [0x4000 | 27, u32(2)],
      [28, u32(3)],
      [28, u32(4)],
    ]),
  )
  t.same([...decoded.keys()], [26, 27, 28])
  t.equal(decoded.get(28)?.readUInt32LE(), 4)
})

t.test('a message cut off anywhere gives the attributes that are whole, and no others', async (t) => {
  const property = fc.property(flat, fc.nat(), (attributes, at) => {
    const bytes = encodeAttributes(attributes)
    const cut = bytes.length === 0 ? 0 : at % bytes.length
    const decoded = decodeAttributes(bytes.subarray(0, cut))
    const keys = [...decoded.keys()]
    return (
      keys.length <= attributes.length &&
      keys.every(
        (type, i) => type === attributes[i][0] && decoded.get(type)?.equals(attributes[i][1]) === true,
      )
    )
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }))
})

t.test('no garbage makes it throw, run on, or read beyond the end', async (t) => {
  const small = fc.uint8Array({ maxLength: 64 })
  const lengths = fc.array(fc.constantFrom(0, 1, 3, 4, 5, 8, 0xff, 0xffff), { maxLength: 40 })
  const ofLengths = lengths.map((words) => new Uint8Array(Uint16Array.from(words).buffer))
  const property = fc.property(fc.oneof(small, fc.uint8Array({ maxLength: 4_000 }), ofLengths), (bytes) => {
    const decoded = decodeAttributes(Buffer.from(bytes))
    const total = [...decoded.values()].reduce((sum, value) => sum + 4 + value.length, 0)
    return total <= bytes.length
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2_000 }))
})

t.test('a number is a u32 in host byte order, a string ends in a zero', async (t) => {
  fc.assert(fc.property(fc.nat(0xffffffff), (value) => u32(value).readUInt32LE() === value))
  t.equal(u32(-1).readUInt32LE(), 0xffffffff)
  t.same(cString('lo'), Buffer.from('lo\0'))
})

t.test('the kernel understands a request, and what it answers is understood', async (t) => {
  using netlink = new Netlink()
  const lo = getLink(netlink, 'lo')
  t.match(lo, { index: 1, name: 'lo', mac: '00:00:00:00:00:00' })
  t.ok(lo.mtuBytes >= 16_436)
  t.same(getLink(netlink, 1).name, 'lo')
  t.throws(() => getLink(netlink, 'nosuch0'), { name: 'KernelError', syscall: 'RTM_GETLINK', errno: ENODEV })
})

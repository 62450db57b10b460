import fc from 'fast-check'
import t from 'tap'
import { parseIcmpError, parseIcmpv6Error } from '../../../src/wire/icmp-error.js'
import { allErrors, forgeIcmp, type IcmpHeader } from '../../support/forged-icmp.js'

const V4 = {
  source: { address: '192.0.2.1', port: 5149 },
  destination: { address: '198.51.100.2', port: 7000 },
}
const V6 = {
  source: { address: '2001:db8::1', port: 5149 },
  destination: { address: '2001:db8:1::2', port: 7000 },
}
const forge4 = (header: IcmpHeader, more = {}) =>
  forgeIcmp({ header, from: '203.0.113.6', about: V4, ...more })
/** As a raw socket receives it: without the IPv6 header. */
const forge6 = (header: IcmpHeader, more = {}) =>
  forgeIcmp({ header, from: '2001:db8:2::6', about: V6, ...more }).subarray(40)

t.test('an error says which datagram it is about, and what of it', async (t) => {
  const ports = { sourcePort: 5149, destinationPort: 7000 }
  t.strictSame(parseIcmpError(forge4([3, 4, 1400])), {
    kind: 'too_big',
    mtuBytes: 1400,
    source: Uint8Array.from([192, 0, 2, 1]),
    destination: Uint8Array.from([198, 51, 100, 2]),
    ...ports,
  })
  const six = parseIcmpv6Error(forge6([2, 0, 70_000]))
  t.match(six, { kind: 'too_big', mtuBytes: 70_000, ...ports })
  t.same([six?.source.length, six?.destination[15]], [16, 2])
  const kinds = (parse: typeof parseIcmpError, all: readonly Buffer[]) =>
    all.map((bytes) => parse(bytes)?.kind ?? 'none')
  const headers: IcmpHeader[] = [
    [3, 3, 0],
    [3, 99, 0],
    [11, 0, 0],
    [12, 0, 0],
    [4, 0, 0],
    [5, 1, 0],
    [0, 0, 0],
  ]
  t.same(
    kinds(
      parseIcmpError,
      headers.map((it) => forge4(it)),
    ),
    ['unreachable', 'unreachable', 'other', 'other', 'none', 'none', 'none'],
  )
  const headers6: IcmpHeader[] = [
    [1, 0, 0],
    [1, 4, 0],
    [3, 0, 0],
    [4, 1, 0],
    [127, 0, 0],
    [137, 0, 0],
    [128, 0, 0],
  ]
  t.same(
    kinds(
      parseIcmpv6Error,
      headers6.map((it) => forge6(it)),
    ),
    ['unreachable', 'unreachable', 'other', 'other', 'none', 'none', 'none'],
  )
})

t.test('what is about no UDP datagram’s beginning, cut short or damaged says nothing', async (t) => {
  const whole = forge4([3, 4, 1400])
  for (let bytes = 0; bytes < whole.length; bytes++)
    t.equal(parseIcmpError(whole.subarray(0, bytes)), undefined, `${bytes} bytes`)
  for (let bit = 20 * 8; bit < whole.length * 8; bit++) {
    const damaged = Buffer.from(whole)
    damaged[bit >>> 3] ^= 1 << (bit & 7)
    if (parseIcmpError(damaged) !== undefined) t.fail(`bit ${bit} does not count`)
  }
  const whole6 = forge6([2, 0, 1400])
  for (let bytes = 0; bytes < whole6.length; bytes++)
    t.equal(parseIcmpv6Error(whole6.subarray(0, bytes)), undefined, `${bytes} bytes of ICMPv6`)
  t.equal(parseIcmpError(forge4([3, 4, 1400], { protocol: 6 })), undefined)
  t.equal(parseIcmpv6Error(forge6([2, 0, 1400], { protocol: 6 })), undefined)
  t.equal(parseIcmpError(forge4([3, 4, 1400], { fragmentOffset: 1480 })), undefined)
})

t.test('a datagram that was sent in fragments over IPv6 is quoted behind a fragment header', async (t) => {
  const message = forge6([2, 0, 1400])
  const [before, udp] = [Buffer.from(message.subarray(0, 48)), message.subarray(48)]
  before[8 + 6] = 44
  const fragment = (offset: number) => {
    const header = Buffer.from([17, 0, 0, 0, 0, 0, 0, 7])
    header.writeUInt16BE(offset | 1, 2)
    return Buffer.concat([before, header, udp])
  }
  t.match(parseIcmpv6Error(fragment(0)), { kind: 'too_big', sourcePort: 5149, destinationPort: 7000 })
  t.equal(parseIcmpv6Error(fragment(1448)), undefined)
})

t.test('whatever comes, there is an answer or none', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 200 })
  const headers = allErrors('192.0.2.9')
  const bent = fc
    .tuple(fc.constantFrom(...headers), fc.nat(55), fc.nat(255))
    .map(([header, at, value]) => Uint8Array.from(forge4(header)).fill(value, at, at + 1))
  const property = fc.property(fc.oneof(bytes, bent), (it) => {
    for (const error of [parseIcmpError(it), parseIcmpv6Error(it)])
      if (error !== undefined && error.source.length !== 4 && error.source.length !== 16) return false
    return true
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2_000 }))
})

import fc from 'fast-check'
import t from 'tap'
import { internetChecksum } from '../../../src/wire/checksum.js'
import { ETHERNET_HEADER_BYTES, formatMac, isGroupMac, parseMac } from '../../../src/wire/ethernet.js'
import { echoRequest, ICMP_HEADER_BYTES, parseEchoReply, parseEchoReplyV6 } from '../../../src/wire/icmp.js'
import {
  IPV4_HEADER_BYTES,
  IPV4_MIN_MTU_BYTES,
  IPV6_HEADER_BYTES,
  IPV6_MIN_MTU_BYTES,
  looksLikeIp,
  UDP_HEADER_BYTES,
} from '../../../src/wire/ip.js'

const mac = fc.uint8Array({ minLength: 6, maxLength: 6 })
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

t.test('a MAC written and read again is the same, with colons or dashes, in either case', async (t) => {
  const property = fc.property(mac, fc.constantFrom(':', '-'), fc.boolean(), (bytes, separator, upper) => {
    const text = formatMac(bytes).replaceAll(':', separator)
    return formatMac(parseMac(upper ? text.toUpperCase() : text) ?? []) === formatMac(bytes)
  })
  fc.assert(property)
  t.equal(formatMac([2, 0, 0xab, 9, 0x10, 0xff]), '02:00:ab:09:10:ff')
})

t.test('what is not six pairs of hexadecimal digits is no MAC', async (t) => {
  const digit = fc.constantFrom(...'0123456789abcdefABCDEF:- g')
  const nearly = fc.string({ unit: digit, maxLength: 20 })
  const damaged = fc
    .tuple(mac, fc.nat(16), fc.string({ maxLength: 2 }))
    .map(([bytes, at, other]) => formatMac(bytes).slice(0, at) + other + formatMac(bytes).slice(at + 1))
  fc.assert(
    fc.property(fc.oneof(fc.string(), nearly, damaged), (text) => {
      const pairs = text.split(/[:-]/)
      const right = pairs.length === 6 && pairs.every((pair) => /^[0-9a-f]{2}$/i.test(pair))
      return (parseMac(text) !== undefined) === right
    }),
    { numRuns: 1_000 },
  )
  for (const text of ['', '02:00:00:00:00', '02:00:00:00:00:01:02', '2:0:0:0:0:1', '02:00:00:00:00:01 ']) {
    t.equal(parseMac(text), undefined, text)
  }
})

t.test('a group address is told by the lowest bit of its first byte alone', async (t) => {
  fc.assert(fc.property(mac, (bytes) => isGroupMac(bytes) === (bytes[0] % 2 === 1)))
  t.ok(isGroupMac(hex('ffffffffffff')), 'broadcast')
  t.ok(isGroupMac(hex('0180c2000000')), 'spanning tree')
  t.ok(isGroupMac(hex('333300000001')), 'IPv6 all nodes')
  t.notOk(isGroupMac(hex('020000000001')))
})

t.test("the article's figures: ping -s 100 is a frame of 142 bytes, 42 more outside", async (t) => {
  const frame = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + 100
  t.equal(frame, 142)
  const outside = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + UDP_HEADER_BYTES + frame
  t.equal(outside - frame, 42)
})

t.test('the least MTUs have room for a header and what the RFCs promise', async (t) => {
  t.equal(IPV4_MIN_MTU_BYTES, 60 + 8)
  t.equal(IPV6_MIN_MTU_BYTES, 1280)
})

/** Packets that a Linux 6.18 sent over a veth pair, captured with tcpdump. */
const REAL = {
  echo: hex(`4500 0024 3351 4000 4001 f373 0a09 0001 0a09 0002
    0800 a477 4777 0001 0001 0203 0405 0607`),
  echoReply: hex(`4500 0024 2909 0000 4001 3dbc 0a09 0002 0a09 0001
    0000 ac77 4777 0001 0001 0203 0405 0607`),
  tcpSyn: hex(`4500 003c 8997 4000 4006 9d10 0a09 0001 0a09 0002
    c5a2 1451 b593 3bd1 0000 0000 a002 faf0 1443 0000 0204 05b4 0402 080a 24d9 261c 0000 0000 0103 030a`),
  /** With an option: the header is 24 bytes. */
  igmpReport: hex(`46c0 0028 0000 4000 0102 f9ef 0a09 0001 e000 0016 9404 0000
    2200 e8f9 0000 0001 0400 0000 ef01 0203`),
  neighbourSolicitation: hex(`6000 0000 0020 3aff fd00 0009 0000 0000 0000 0000 0000 0001
    ff02 0000 0000 0000 0000 0001 ff00 0002
    8700 a213 0000 0000 fd00 0009 0000 0000 0000 0000 0000 0002 0101 bec7 68a6 b604`),
  /** With a hop-by-hop extension header. */
  multicastReport: hex(`6000 0000 0024 0001 0000 0000 0000 0000 0000 0000 0000 0000
    ff02 0000 0000 0000 0000 0000 0000 0016
    3a00 0502 0000 0100 8f00 6f88 0000 0001 0400 0000 ff02 0000 0000 0000 0000 0001 ff00 0002`),
}

t.test('real packets are taken for IP, and not when cut within the header', async (t) => {
  for (const [name, packet] of Object.entries(REAL)) {
    t.ok(looksLikeIp(packet, 0, packet.length), name)
    const shifted = Buffer.concat([Buffer.from([0, 0xff, 0x45]), packet])
    t.ok(looksLikeIp(shifted, 3, packet.length), `${name}, not at the start`)
    const header = packet[0] >>> 4 === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES
    t.ok(looksLikeIp(packet, 0, header), `${name}: the header alone`)
    t.notOk(looksLikeIp(packet, 0, header - 1), `${name}: not all of the header`)
  }
})

t.test('frames, text and ciphertext are not taken for IP but by their first half byte', async (t) => {
  t.notOk(looksLikeIp(hex('ffffffffffff0200000000010806'.padEnd(120, '0')), 0, 60), 'an ARP frame')
  t.notOk(looksLikeIp(hex('0180c20000000200000000010026'.padEnd(120, '0')), 0, 60), 'a BPDU')
  t.notOk(looksLikeIp(Buffer.from('GET / HTTP/1.1\r\n'), 0, 16), 'text too short')
  const property = fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(79), (bytes, at) => {
    const offset = at % bytes.length
    const length = bytes.length - offset
    const text = Buffer.from(bytes).toString('hex', offset, offset + 1)
    const right = (text[0] === '4' && length >= 20) || (text[0] === '6' && length >= 40)
    return looksLikeIp(bytes, offset, length) === right
  })
  fc.assert(property, { numRuns: 2_000 })
})

t.test('the checksum is the one of RFC 1071', async (t) => {
  const example = hex('0001 f203 f4f5 f6f7')
  t.equal(internetChecksum(example, 0, 8), ~0xddf2 & 0xffff, "the RFC's own example")
  for (const packet of [REAL.echo, REAL.tcpSyn, REAL.igmpReport]) {
    t.equal(internetChecksum(packet, 0, (packet[0] & 0x0f) * 4), 0, 'a header that a kernel made')
  }
  t.equal(internetChecksum(REAL.echo, IPV4_HEADER_BYTES, 16), 0, 'a message that a program made')
  const property = fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.nat(3), (bytes, offset) => {
    const padded = `${Buffer.from(bytes).toString('hex')}${bytes.length % 2 === 1 ? '00' : ''}`
    // Folding carries in again and again is the remainder by 0xffff, but for a sum that is not 0 and becomes it.
    const sum = (padded.match(/.{4}/g) ?? []).reduce((sum, word) => sum + Number.parseInt(word, 16), 0)
    const folded = sum === 0 ? 0 : sum % 0xffff || 0xffff
    const shifted = Buffer.concat([Buffer.alloc(offset, 0xab), bytes, Buffer.from([0xcd])])
    return internetChecksum(shifted, offset, bytes.length) === 0xffff - folded
  })
  fc.assert(property, { numRuns: 500 })
})

t.test('a real echo reply is read, a real request is none', async (t) => {
  t.same(parseEchoReply(REAL.echoReply), { identifier: 0x4777, sequence: 1 })
  t.equal(parseEchoReply(REAL.echo), undefined)
  t.equal(parseEchoReply(REAL.tcpSyn), undefined)
})

t.test('an echo request answered is the reply it asks for', async (t) => {
  const word = fc.nat(0xffff)
  const property = fc.property(word, word, fc.nat(1_400), (identifier, sequence, dataBytes) => {
    const message = echoRequest({ identifier, sequence }, dataBytes)
    t.equal(message.length, ICMP_HEADER_BYTES + dataBytes)
    t.equal(internetChecksum(message, 0, message.length), 0)
    const packet = Buffer.concat([REAL.echo.subarray(0, IPV4_HEADER_BYTES), message])
    t.equal(parseEchoReply(packet), undefined, 'a request is no reply')
    // A host that answers turns the type from 8 to 0 and adds what is missing to the checksum (RFC 1624).
    packet[IPV4_HEADER_BYTES] = 0
    packet.writeUInt16BE(0, IPV4_HEADER_BYTES + 2)
    packet.writeUInt16BE(internetChecksum(packet, IPV4_HEADER_BYTES, message.length), IPV4_HEADER_BYTES + 2)
    t.same(parseEchoReply(packet), { identifier, sequence })
    packet[IPV4_HEADER_BYTES + 5] ^= 0x01
    t.equal(parseEchoReply(packet), undefined, 'a damaged one is none')
  })
  fc.assert(property, { numRuns: 50 })
})

t.test('no packet makes the reader of echo replies throw', async (t) => {
  const property = fc.property(fc.uint8Array({ maxLength: 120 }), (packet) => {
    const reply = parseEchoReply(packet)
    return reply === undefined || internetChecksum(packet, (packet[0] & 0x0f) * 4, packet.length) >= 0
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2_000 }))
})

t.test('an echo request over IPv6 answered is the reply it asks for', async (t) => {
  const message = echoRequest({ identifier: 0x1234, sequence: 7 }, 8, 'ipv6')
  t.equal(message.length, ICMP_HEADER_BYTES + 8)
  t.equal(Buffer.from(message).toString('hex', 0, 8), '8000000012340007', 'the kernel adds the checksum')
  t.equal(parseEchoReplyV6(message), undefined, 'a request is no reply')
  message[0] = 129
  t.same(parseEchoReplyV6(message), { identifier: 0x1234, sequence: 7 })
  t.equal(parseEchoReplyV6(message.subarray(0, 7)), undefined)
  message[1] = 1
  t.equal(parseEchoReplyV6(message), undefined)
})

/** ICMP errors that anybody can forge who knows both endpoints of a tunnel. */
import ipaddr from 'ipaddr.js'
import type { Endpoint } from '../../src/linux/sockaddr.js'
import { internetChecksum } from '../../src/wire/checksum.js'
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../../src/wire/icmp.js'
import { IPPROTO_UDP } from '../../src/wire/udp.js'

/** Type, code, and the second word of the header: an MTU, a pointer or a gateway. */
export type IcmpHeader = readonly [type: number, code: number, word: number]

export interface Forgery {
  readonly header: IcmpHeader
  /** The claimed sender. */
  readonly from: string
  /** The UDP datagram that it quotes. */
  readonly about: { readonly source: Endpoint; readonly destination: Endpoint }
  /** Differences between the quoted packet and one that this program sends. */
  readonly protocol?: number
  readonly fragmentOffset?: number
}

const bytesOf = (address: string) => Buffer.from(ipaddr.parse(address).toByteArray())
const isIpv6 = (address: string) => address.includes(':')

function ipPacket(
  source: string,
  destination: string,
  protocol: number,
  payload: Buffer,
  fragment = 0,
): Buffer {
  if (isIpv6(source)) {
    const header = Buffer.alloc(40)
    header[0] = 0x60
    header.writeUInt16BE(payload.length, 4)
    header[6] = protocol
    header[7] = 64
    bytesOf(source).copy(header, 8)
    bytesOf(destination).copy(header, 24)
    return Buffer.concat([header, payload])
  }
  const header = Buffer.alloc(20)
  header[0] = 0x45
  header.writeUInt16BE(20 + payload.length, 2)
  header.writeUInt16BE(0x4000 | fragment, 6)
  header[8] = 64
  header[9] = protocol
  bytesOf(source).copy(header, 12)
  bytesOf(destination).copy(header, 16)
  header.writeUInt16BE(internetChecksum(header, 0, 20), 10)
  return Buffer.concat([header, payload])
}

/** An IPv4 or IPv6 packet to the source of the quoted datagram. */
export function forgeIcmp({ header, from, about, protocol, fragmentOffset = 0 }: Forgery): Buffer {
  const { source, destination } = about
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(source.port, 0)
  udp.writeUInt16BE(destination.port, 2)
  udp.writeUInt16BE(1400, 4)
  const quoted = ipPacket(
    source.address,
    destination.address,
    protocol ?? IPPROTO_UDP,
    udp,
    fragmentOffset >>> 3,
  )
  const [type, code, word] = header
  const message = Buffer.concat([Buffer.from([type, code, 0, 0, 0, 0, 0, 0]), quoted])
  message.writeUInt32BE(word >>> 0, 4)
  if (!isIpv6(from)) {
    message.writeUInt16BE(internetChecksum(message, 0, message.length), 2)
    return ipPacket(from, source.address, IPPROTO_ICMP, message)
  }
  const tail = Buffer.from([0, 0, 0, message.length, 0, 0, 0, IPPROTO_ICMPV6])
  const summed = Buffer.concat([bytesOf(from), bytesOf(source.address), tail, message])
  message.writeUInt16BE(internetChecksum(summed, 0, summed.length), 2)
  return ipPacket(from, source.address, IPPROTO_ICMPV6, message)
}

const codes = (type: number, count: number, word = 0): IcmpHeader[] =>
  Array.from({ length: count }, (_, code) => [type, code, word])

const MTUS = [0, 68, 552, 1280, 1400, 1492, 65_535]

/**
 * Every kind of error that Linux knows (net/ipv4/icmp.c and icmp_err_convert, net/ipv6/icmp.c), some codes that
 * Linux does not know, and redirects to `gateway`.
 */
export function allErrors(gateway: string): readonly IcmpHeader[] {
  const toGateway = bytesOf(gateway)
  if (isIpv6(gateway))
    return [
      ...codes(1, 9),
      ...MTUS.map((mtu): IcmpHeader => [2, 0, mtu]),
      ...codes(3, 2),
      ...codes(4, 4, 40),
      [127, 0, 0],
      [137, 0, 0],
    ]
  return [
    ...codes(3, 18).filter(([, code]) => code !== 4),
    ...MTUS.map((mtu): IcmpHeader => [3, 4, mtu]),
    [4, 0, 0],
    ...codes(5, 4, toGateway.readUInt32BE(0)),
    ...codes(11, 3),
    ...codes(12, 3),
  ]
}

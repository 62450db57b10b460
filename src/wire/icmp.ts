import { internetChecksum } from './checksum.js'
import type { IpFamily } from './ip.js'

/** ICMP echo (RFC 792; for IPv6, RFC 4443, 4): type, code, checksum, identifier and sequence number (16 bits each), data. */

export const ICMP_HEADER_BYTES = 8

export const IPPROTO_ICMP = 1
export const IPPROTO_ICMPV6 = 58

/**
 * "Fragmentation needed and DF set" (RFC 792, RFC 1191, 4) and "packet too big" (RFC 4443, 3.2): type, code,
 * checksum; the MTU, in the last 16 bits of the header or in its whole second word; then the start of the
 * packet.
 */
export const ICMP_UNREACHABLE = 3
export const ICMP_FRAGMENTATION_NEEDED = 4
export const ICMPV6_PACKET_TOO_BIG = 2
/** The other errors that Linux acts on (net/ipv4/icmp.c, net/ipv6/icmp.c). */
export const ICMP_TIME_EXCEEDED = 11
export const ICMP_PARAMETER_PROBLEM = 12
export const ICMPV6_UNREACHABLE = 1
export const ICMPV6_TIME_EXCEEDED = 3
export const ICMPV6_PARAMETER_PROBLEM = 4
export const ICMP = { type: 0, code: 1, checksum: 2, mtu16: 6, mtu32: 4 } as const

/** Messages about which no error may be sent (RFC 1122, 3.2.2): errors and redirects. */
export const ICMP_ERRORS: ReadonlySet<number> = new Set([3, 4, 5, 11, 12])
/** The same for ICMPv6 (RFC 4443, 2.4): types below this are errors, and this is the redirect. */
export const ICMPV6_FIRST_INFORMATIONAL = 128
export const ICMPV6_REDIRECT = 137

export const TYPE_ECHO_REPLY = 0
export const TYPE_ECHO = 8
export const TYPE_ECHO_REPLY_V6 = 129
export const TYPE_ECHO_V6 = 128
const CHECKSUM_AT = 2
const IDENTIFIER_AT = 4
const SEQUENCE_AT = 6

export interface Echo {
  readonly identifier: number
  readonly sequence: number
}

/** An echo request with `dataBytes` zeros. For IPv6, the kernel adds the checksum. */
export function echoRequest(
  { identifier, sequence }: Echo,
  dataBytes: number,
  family: IpFamily = 'ipv4',
): Uint8Array {
  const message = new Uint8Array(ICMP_HEADER_BYTES + dataBytes)
  const view = new DataView(message.buffer)
  view.setUint8(0, family === 'ipv4' ? TYPE_ECHO : TYPE_ECHO_V6)
  view.setUint16(IDENTIFIER_AT, identifier)
  view.setUint16(SEQUENCE_AT, sequence)
  if (family === 'ipv4') view.setUint16(CHECKSUM_AT, internetChecksum(message, 0, message.length))
  return message
}

/** The echo reply in what a raw socket for ICMPv6 receives, which is without the IP header, and has a right checksum. */
export function parseEchoReplyV6(message: Uint8Array): Echo | undefined {
  if (message.length < ICMP_HEADER_BYTES || message[0] !== TYPE_ECHO_REPLY_V6 || message[1] !== 0)
    return undefined
  const view = new DataView(message.buffer, message.byteOffset, message.length)
  return { identifier: view.getUint16(IDENTIFIER_AT), sequence: view.getUint16(SEQUENCE_AT) }
}

/** The echo reply in an IPv4 packet, such as a raw socket receives; undefined if the packet is not one. */
export function parseEchoReply(packet: Uint8Array): Echo | undefined {
  const at = packet.length === 0 ? 0 : (packet[0] & 0x0f) * 4
  const bytes = packet.length - at
  if (bytes < ICMP_HEADER_BYTES || packet[at] !== TYPE_ECHO_REPLY || packet[at + 1] !== 0) return undefined
  if (internetChecksum(packet, at, bytes) !== 0) return undefined
  const view = new DataView(packet.buffer, packet.byteOffset + at, bytes)
  return { identifier: view.getUint16(IDENTIFIER_AT), sequence: view.getUint16(SEQUENCE_AT) }
}

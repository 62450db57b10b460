import { internetChecksum } from './checksum.js'
import {
  ICMP,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HEADER_BYTES,
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  IPPROTO_ICMP,
} from './icmp.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpFamily, UDP_HEADER_BYTES } from './ip.js'
import { IPV4, IPV4_FRAGMENT_OFFSET } from './ipv4.js'
import { IPV6, ipv6Upper } from './ipv6.js'
import { IPPROTO_UDP, UDP } from './udp.js'

/**
 * What an ICMP error says about a UDP datagram. `unreachable`: destination unreachable. `too_big`:
 * fragmentation needed, or packet too big. `other`: time exceeded, or parameter problem.
 */
export type IcmpErrorKind = 'unreachable' | 'too_big' | 'other'

export interface IcmpError {
  readonly kind: IcmpErrorKind
  /** For `too_big`: the size that would pass; 0 if the error does not say. */
  readonly mtuBytes: number
  /** The addresses of the datagram (4 or 16 bytes each) and its ports. */
  readonly source: Uint8Array
  readonly sourcePort: number
  readonly destination: Uint8Array
  readonly destinationPort: number
}

/**
 * Parses an ICMP error (RFC 792, RFC 1191) in an IPv4 packet with its header, as a raw socket receives it
 * (raw(7)).
 * @returns undefined for anything else: a damaged or cut packet, or one that is not about the start of a UDP
 * datagram
 */
export function parseIcmpError(packet: Uint8Array): IcmpError | undefined {
  const at = packet.length === 0 ? 0 : (packet[0] & 0x0f) * 4
  if (at < IPV4_HEADER_BYTES || packet[IPV4.protocol] !== IPPROTO_ICMP) return undefined
  const message = packet.subarray(at)
  const quoted = ICMP_HEADER_BYTES
  if (message.length < quoted + IPV4_HEADER_BYTES) return undefined
  if (internetChecksum(message, 0, message.length) !== 0) return undefined
  const view = viewOf(message)
  const ihlBytes = (message[quoted] & 0x0f) * 4
  const udp = quoted + ihlBytes
  if (message[quoted] >>> 4 !== 4 || ihlBytes < IPV4_HEADER_BYTES) return undefined
  if (udp + UDP_HEADER_BYTES > message.length) return undefined
  if (message[quoted + IPV4.protocol] !== IPPROTO_UDP) return undefined
  if ((view.getUint16(quoted + IPV4.flagsFragment) & IPV4_FRAGMENT_OFFSET) !== 0) return undefined
  const kind = icmpKind(message[ICMP.type], message[ICMP.code])
  if (kind === undefined) return undefined
  const mtuBytes = kind === 'too_big' ? view.getUint16(ICMP.mtu16) : 0
  return { kind, mtuBytes, ...datagram(message, quoted, udp, IPV4, 4) }
}

/**
 * Parses an ICMPv6 error (RFC 4443) without the IPv6 header, as a raw socket receives it. The kernel has
 * already checked the checksum.
 * @returns undefined for anything else
 */
export function parseIcmpv6Error(message: Uint8Array): IcmpError | undefined {
  const quoted = ICMP_HEADER_BYTES
  if (message.length < quoted + IPV6_HEADER_BYTES || message[quoted] >>> 4 !== 6) return undefined
  const view = viewOf(message)
  const upper = ipv6Upper(view, quoted, message.length)
  const udp = quoted + (upper >> 8)
  if (upper < 0 || (upper & 0xff) !== IPPROTO_UDP || udp + UDP_HEADER_BYTES > message.length) return undefined
  const kind = icmpv6Kind(message[ICMP.type])
  if (kind === undefined) return undefined
  const mtuBytes = kind === 'too_big' ? view.getUint32(ICMP.mtu32) : 0
  return { kind, mtuBytes, ...datagram(message, quoted, udp, IPV6, 16) }
}

export const icmpErrorParser = (family: IpFamily) => (family === 'ipv4' ? parseIcmpError : parseIcmpv6Error)

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function datagram(
  message: Uint8Array,
  ip: number,
  udp: number,
  fields: { readonly source: number; readonly destination: number },
  addressBytes: number,
): Omit<IcmpError, 'kind' | 'mtuBytes'> {
  const view = viewOf(message)
  const address = (at: number) => Uint8Array.from(message.subarray(ip + at, ip + at + addressBytes))
  return {
    source: address(fields.source),
    sourcePort: view.getUint16(udp + UDP.ports),
    destination: address(fields.destination),
    destinationPort: view.getUint16(udp + UDP.ports + 2),
  }
}

function icmpKind(type: number, code: number): IcmpErrorKind | undefined {
  if (type === ICMP_UNREACHABLE) return code === ICMP_FRAGMENTATION_NEEDED ? 'too_big' : 'unreachable'
  return type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM ? 'other' : undefined
}

function icmpv6Kind(type: number): IcmpErrorKind | undefined {
  if (type === ICMPV6_UNREACHABLE) return 'unreachable'
  if (type === ICMPV6_PACKET_TOO_BIG) return 'too_big'
  return type === ICMPV6_TIME_EXCEEDED || type === ICMPV6_PARAMETER_PROBLEM ? 'other' : undefined
}

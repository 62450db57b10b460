import type { NativeMemory } from '../linux/memory.js'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_NOT_DF, isSourceRouted } from '../wire/ipv4.js'
import { IPV6, ipv6Upper, isRoutedOn } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP_MIN_HEADER_BYTES } from '../wire/tcp.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { type ByteOperations, swap16 } from './bytes.js'
import { l3Offset } from './parse.js'

const RIGHT = 0xffff

/**
 * Whether the checksum of a TCP segment or UDP datagram in a frame is right (RFC 9293, 3.1; RFC 768). True for
 * everything else: only these have checksums that the kernel leaves to a device. True for a fragment, because the kernel
 * fills them in before it fragments, and for a packet that may go to other hosts before the last one.
 * @param frame its offset in the memory
 * @param l2Bytes bytes before the IP header, without VLAN tags: 14, or 0 in tun mode
 */
export function checksumsHold(
  { view, u8 }: NativeMemory,
  sum: ByteOperations['sum'],
  frame: number,
  bytes: number,
  l2Bytes: number,
): boolean {
  if (bytes < l2Bytes + IPV4_HEADER_BYTES) return true
  const l3 = l3Offset(view, frame, l2Bytes)
  if (bytes < l3 + IPV4_HEADER_BYTES) return true
  const ip = frame + l3
  const type = l2Bytes === 0 ? 0 : view.getUint16(ip - 2)
  const version = u8[ip] >>> 4
  if (version === 4 && (l2Bytes === 0 || type === ETHERTYPE_IPV4)) {
    if ((view.getUint16(ip + IPV4.flagsFragment) & IPV4_NOT_DF) !== 0) return true
    const headerBytes = (u8[ip] & 0x0f) * 4
    const l4Bytes = view.getUint16(ip + IPV4.totalLength) - headerBytes
    if (l4Bytes < 0 || l3 + headerBytes + l4Bytes > bytes) return true
    if (isSourceRouted(view, ip, headerBytes)) return true
    return holds(sum, view, u8[ip + IPV4.protocol], ip + headerBytes, l4Bytes, ip + IPV4.source, 8)
  }
  if (version !== 6 || (l2Bytes !== 0 && type !== ETHERTYPE_IPV6)) return true
  if (bytes < l3 + IPV6_HEADER_BYTES) return true
  const end = ip + IPV6_HEADER_BYTES + view.getUint16(ip + IPV6.payloadLength)
  if (end > frame + bytes) return true
  const upper = ipv6Upper(view, ip, end)
  if (upper < 0 || isRoutedOn(view, ip, end)) return true
  const l4 = ip + (upper >>> 8)
  return holds(sum, view, upper & 0xff, l4, end - l4, ip + IPV6.source, 32)
}

/** @param addresses offset of both IP addresses, which are `addressBytes` long together */
function holds(
  sum: ByteOperations['sum'],
  view: DataView,
  protocol: number,
  l4: number,
  l4Bytes: number,
  addresses: number,
  addressBytes: number,
): boolean {
  if (protocol === IPPROTO_UDP) {
    // A datagram may do without (RFC 768).
    if (l4Bytes < UDP_HEADER_BYTES || view.getUint16(l4 + UDP.checksum) === 0) return true
  } else if (protocol !== IPPROTO_TCP || l4Bytes < TCP_MIN_HEADER_BYTES) return true
  const seed = swap16(protocol) + swap16(l4Bytes)
  return sum(l4, l4Bytes, sum(addresses, addressBytes, seed)) === RIGHT
}

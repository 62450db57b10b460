import type { NativeMemory } from '../linux/memory.js'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import {
  ICMP,
  ICMP_ERRORS,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HEADER_BYTES,
  ICMP_UNREACHABLE,
  ICMPV6_FIRST_INFORMATIONAL,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_REDIRECT,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
} from '../wire/icmp.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, IPV6_MIN_MTU_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_DF, IPV4_FRAGMENT_OFFSET } from '../wire/ipv4.js'
import { IPV6, ipv6Upper } from '../wire/ipv6.js'
import { type ByteOperations, swap16 } from './bytes.js'
import { l3Offset } from './parse.js'

/** The longest answers: RFC 1812, 4.3.2.3 (what every host accepts); RFC 4443, 2.4 (c). */
const IPV4_ANSWER_BYTES = 576
const IPV6_ANSWER_BYTES = IPV6_MIN_MTU_BYTES

/**
 * The longest answer with its Ethernet header and two tags. An answer quotes no more bytes of a frame than
 * this.
 */
export const TOO_BIG_BYTES = 22 + IPV6_ANSWER_BYTES

/** Internetwork control (RFC 1812, 4.3.2.5). */
const IPV4_TOS = 0xc0
const HOP_LIMIT = 64

/**
 * Writes a router's answer to a packet that is too big for its path: ICMP "fragmentation needed" (RFC 1812,
 * 4.3.2 and 5.2.7.1) or ICMPv6 "packet too big" (RFC 4443, 3.2).
 *
 * The source of the answer is the packet's destination address. The Ethernet addresses of the frame are
 * swapped. The kernel's own tunnels do the same for bridged traffic (iptunnel_pmtud_build_icmp). There are two
 * reasons:
 * - This end of the tunnel does not have an address on every network that may be bridged here.
 * - This host would drop an answer from one of its own addresses as a martian.
 *
 * There is no answer to:
 * - ICMP errors
 * - a packet from or to a group address
 * - an IPv4 packet that may be fragmented
 * - a fragment that is not the first
 */
export class TooBigAnswer {
  readonly #memory: NativeMemory
  readonly #bytes: ByteOperations
  readonly #at: number

  /**
   * @param at offset in the memory, where answers are written: room for {@link TOO_BIG_BYTES} bytes and 16 more
   */
  constructor(memory: NativeMemory, bytes: ByteOperations, at: number) {
    this.#memory = memory
    this.#bytes = bytes
    this.#at = at
  }

  /**
   * Whether there is an answer to the frame at `frame`, if it is too long.
   * @param available how many of the frame's first bytes are present
   * @param bytes the length of the frame
   * @param l2Bytes bytes before the IP header, without VLAN tags: 14, or 0 in tun mode
   */
  isDue(frame: number, available: number, bytes: number, l2Bytes: number): boolean {
    const { view, u8 } = this.#memory
    if (available < l2Bytes + IPV4_HEADER_BYTES) return false
    const l3 = l3Offset(view, frame, l2Bytes)
    if (available < l3 + IPV4_HEADER_BYTES) return false
    // Group addresses of Ethernet.
    if (l2Bytes !== 0 && ((u8[frame] | u8[frame + 6]) & 1) !== 0) return false
    const type = l2Bytes === 0 ? 0 : view.getUint16(frame + l3 - 2)
    const version = u8[frame + l3] >>> 4
    if (version === 4 && (l2Bytes === 0 || type === ETHERTYPE_IPV4))
      return this.#isDueIpv4(frame + l3, available - l3)
    // An IPv6 answer never announces less than IPv6's least MTU.
    if (version !== 6 || bytes - l3 <= IPV6_MIN_MTU_BYTES) return false
    return (l2Bytes === 0 || type === ETHERTYPE_IPV6) && this.#isDueIpv6(frame + l3, available - l3)
  }

  /** Whether there is an answer to the IPv4 packet at `ip`, of which `available` bytes are there. */
  #isDueIpv4(ip: number, available: number): boolean {
    const { view, u8 } = this.#memory
    const headerBytes = (u8[ip] & 0x0f) * 4
    const flags = view.getUint16(ip + IPV4.flagsFragment)
    if (headerBytes < IPV4_HEADER_BYTES || available < headerBytes + 8) return false
    if ((flags & IPV4_DF) === 0 || (flags & IPV4_FRAGMENT_OFFSET) !== 0) return false
    if (!isHost(u8[ip + IPV4.source]) || !isHost(u8[ip + IPV4.destination])) return false
    return u8[ip + IPV4.protocol] !== IPPROTO_ICMP || !ICMP_ERRORS.has(u8[ip + headerBytes])
  }

  /** Whether there is an answer to the IPv6 packet at `ip`, of which `available` bytes are there. */
  #isDueIpv6(ip: number, available: number): boolean {
    const { view, u8 } = this.#memory
    if (available < IPV6_HEADER_BYTES + 8) return false
    const source = u8[ip + IPV6.source]
    // Multicast is ff00::/8. From ::/8 only the unspecified and the loopback address are seen.
    if (source === 0xff || source === 0 || u8[ip + IPV6.destination] === 0xff) return false
    const upper = ipv6Upper(view, ip, ip + available)
    if (upper < 0) return false
    if ((upper & 0xff) !== IPPROTO_ICMPV6) return true
    const message = upper >>> 8 < available ? u8[ip + (upper >>> 8)] : 0
    return message >= ICMPV6_FIRST_INFORMATIONAL && message !== ICMPV6_REDIRECT
  }

  /**
   * Writes the answer to the frame at `frame`.
   * @param available how many of the frame's first bytes are present
   * @param bytes the length of the frame
   * @param l2Bytes bytes before the IP header, without VLAN tags: 14, or 0 in tun mode
   * @param longestFrameBytes the longest frame that would have passed
   * @param deviceMtuBytes there is no answer to longer packets, because the device no longer takes them
   * @returns the length of the answer; 0 if there must be none
   */
  write(
    frame: number,
    available: number,
    bytes: number,
    l2Bytes: number,
    longestFrameBytes: number,
    deviceMtuBytes: number,
  ): number {
    if (!this.isDue(frame, available, bytes, l2Bytes)) return 0
    const l3 = l3Offset(this.#memory.view, frame, l2Bytes)
    if (longestFrameBytes <= l3 || bytes - l3 > deviceMtuBytes) return 0
    const mtuBytes = longestFrameBytes - l3
    return this.#memory.u8[frame + l3] >>> 4 === 4
      ? this.#writeIpv4(frame, l3, available, l2Bytes, mtuBytes)
      : this.#writeIpv6(frame, l3, available, l2Bytes, Math.max(mtuBytes, IPV6_MIN_MTU_BYTES))
  }

  #writeIpv4(frame: number, l3: number, bytes: number, l2Bytes: number, mtuBytes: number): number {
    const { view, u8 } = this.#memory
    const ip = frame + l3
    this.#swapEthernet(frame, l3, l2Bytes)
    const to = this.#at + l3
    const icmp = to + IPV4_HEADER_BYTES
    const quoted = Math.min(bytes - l3, IPV4_ANSWER_BYTES - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES)
    u8.fill(0, to, icmp + ICMP_HEADER_BYTES)
    u8[to] = 0x45
    u8[to + IPV4.tos] = IPV4_TOS
    view.setUint16(to + IPV4.totalLength, IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quoted)
    u8[to + IPV4.ttl] = HOP_LIMIT
    u8[to + IPV4.protocol] = IPPROTO_ICMP
    view.setUint32(to + IPV4.source, view.getUint32(ip + IPV4.destination))
    view.setUint32(to + IPV4.destination, view.getUint32(ip + IPV4.source))
    this.#writeChecksum(to + IPV4.checksum, to, IPV4_HEADER_BYTES, 0)
    u8[icmp + ICMP.type] = ICMP_UNREACHABLE
    u8[icmp + ICMP.code] = ICMP_FRAGMENTATION_NEEDED
    view.setUint16(icmp + ICMP.mtu16, mtuBytes)
    u8.copyWithin(icmp + ICMP_HEADER_BYTES, ip, ip + quoted)
    this.#writeChecksum(icmp + ICMP.checksum, icmp, ICMP_HEADER_BYTES + quoted, 0)
    return l3 + IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quoted
  }

  #writeIpv6(frame: number, l3: number, bytes: number, l2Bytes: number, mtuBytes: number): number {
    const { view, u8 } = this.#memory
    const ip = frame + l3
    this.#swapEthernet(frame, l3, l2Bytes)
    const to = this.#at + l3
    const icmp = to + IPV6_HEADER_BYTES
    const quoted = Math.min(bytes - l3, IPV6_ANSWER_BYTES - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES)
    const icmpBytes = ICMP_HEADER_BYTES + quoted
    u8.fill(0, to, icmp + ICMP_HEADER_BYTES)
    u8[to] = 0x60
    view.setUint16(to + IPV6.payloadLength, icmpBytes)
    u8[to + IPV6.nextHeader] = IPPROTO_ICMPV6
    u8[to + IPV6.hopLimit] = HOP_LIMIT
    u8.copyWithin(to + IPV6.source, ip + IPV6.destination, ip + IPV6.destination + 16)
    u8.copyWithin(to + IPV6.destination, ip + IPV6.source, ip + IPV6.source + 16)
    u8[icmp + ICMP.type] = ICMPV6_PACKET_TOO_BIG
    view.setUint32(icmp + ICMP.mtu32, mtuBytes)
    u8.copyWithin(icmp + ICMP_HEADER_BYTES, ip, ip + quoted)
    const pseudo = this.#bytes.sum(to + IPV6.source, 32, swap16(icmpBytes) + swap16(IPPROTO_ICMPV6))
    this.#writeChecksum(icmp + ICMP.checksum, icmp, icmpBytes, pseudo)
    return l3 + IPV6_HEADER_BYTES + icmpBytes
  }

  #swapEthernet(frame: number, l3: number, l2Bytes: number): void {
    if (l2Bytes === 0) return
    const { u8 } = this.#memory
    u8.copyWithin(this.#at, frame + 6, frame + 12)
    u8.copyWithin(this.#at + 6, frame, frame + 6)
    u8.copyWithin(this.#at + 12, frame + 12, frame + l3)
  }

  #writeChecksum(to: number, from: number, bytes: number, seed: number): void {
    this.#memory.view.setUint16(to, ~this.#bytes.sum(from, bytes, seed) & 0xffff, true)
  }
}

/** Whether an IPv4 address with this first byte may be a host's. "This network", loopback and groups are not. */
function isHost(first: number): boolean {
  return first !== 0 && first !== 127 && first < 224
}

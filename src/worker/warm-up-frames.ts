import type { Encap } from '../encap/encap.js'
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../linux/constants.js'
import { virtio_net_hdr } from '../linux/structs.js'
import { ECN } from '../wire/ecn.js'
import { ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../wire/icmp.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP, TCP_ACK, TCP_PSH } from '../wire/tcp.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'

/** The frames of the small tunnel (small-tunnel.ts) are between two hosts. The first two bytes of both MACs, and the other four. */
export const MAC_HIGH = 0x0200
const SOURCE_LOW = 1
export const DESTINATION_LOW = 2
const MAC_BYTES = 6

const IP_HEADER_BYTES = { 4: IPV4_HEADER_BYTES, 6: IPV6_HEADER_BYTES } as const
/** With timestamps, as Linux sends it. */
const TCP_HEADER_BYTES = 32
const SMALL_BYTES = 56
/** Sequence number of the first byte. The following ones wrap around. */
const SEQUENCE = 0xffff_ff80
/** Super-frames have four segments, the last one short. */
export const SEGMENT_BYTES = 200
export const SEGMENTS_BYTES = 3 * SEGMENT_BYTES + SMALL_BYTES
/** A long super-frame is more than a quiet worker takes, but not too long for a datagram of a socket pair. */
const LONG_SEGMENT_BYTES = 1400
const LONG_BYTES = 3 * LONG_SEGMENT_BYTES

/**
 * What a device hands over now and then: to one peer and to all, several frames at a time, and super-frames.
 * Each frame is behind its `virtio_net_hdr`. A burst does not fill a socket's queue (net.unix.max_dgram_qlen,
 * 10).
 */
export function burstsFor({ l2Bytes, ethernet }: Encap): readonly (readonly Uint8Array[])[] {
  return ([4, 6] as const).flatMap((version) => {
    const question = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES, 0)
    if (ethernet) question.fill(0xff, virtio_net_hdr.size, virtio_net_hdr.size + MAC_BYTES)
    const echo = packet(l2Bytes, version, version === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, SMALL_BYTES, 0)
    const datagram = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES, 0)
    const shorter = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES / 2, 0)
    const marked = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES, 0, ECN.ect0)
    const acknowledgment = packet(l2Bytes, version, IPPROTO_TCP, 0, 0)
    const tcp = packet(l2Bytes, version, IPPROTO_TCP, SEGMENTS_BYTES, SEGMENT_BYTES)
    const udp = packet(l2Bytes, version, IPPROTO_UDP, SEGMENTS_BYTES, SEGMENT_BYTES)
    const several = [datagram, datagram, marked, marked, shorter]
    return [[question], [echo], [datagram], [acknowledgment], [tcp], [udp], several]
  })
}

/** One for IPv4 and one for IPv6. */
export function longFramesFor({ l2Bytes }: Encap): readonly Uint8Array[] {
  return ([4, 6] as const).map((it) => packet(l2Bytes, it, IPPROTO_TCP, LONG_BYTES, LONG_SEGMENT_BYTES))
}

/** A frame (packet in tun mode) of zeros, except for the fields that this program reads. */
function packet(
  l2Bytes: number,
  version: 4 | 6,
  protocol: number,
  payloadBytes: number,
  gsoSize: number,
  ecn = 0,
): Uint8Array {
  const l4 = l2Bytes + IP_HEADER_BYTES[version]
  const l4Bytes = (protocol === IPPROTO_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) + payloadBytes
  const bytes = new Uint8Array(virtio_net_hdr.size + l4 + l4Bytes)
  const hdr = new DataView(bytes.buffer)
  const frame = new DataView(bytes.buffer, virtio_net_hdr.size)
  if (l2Bytes !== 0) {
    frame.setUint16(ETHERNET.type, version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6)
    frame.setUint16(ETHERNET.destination, MAC_HIGH)
    frame.setUint32(ETHERNET.destination + 2, DESTINATION_LOW)
    frame.setUint16(ETHERNET.source, MAC_HIGH)
    frame.setUint32(ETHERNET.source + 2, SOURCE_LOW)
  }
  if (version === 4) {
    frame.setUint8(l2Bytes, 0x45)
    frame.setUint8(l2Bytes + IPV4.tos, ecn)
    frame.setUint16(l2Bytes + IPV4.totalLength, IPV4_HEADER_BYTES + l4Bytes)
    frame.setUint8(l2Bytes + IPV4.protocol, protocol)
  } else {
    frame.setUint16(l2Bytes, 0x6000 | (ecn << 4))
    frame.setUint16(l2Bytes + IPV6.payloadLength, l4Bytes)
    frame.setUint8(l2Bytes + IPV6.nextHeader, protocol)
  }
  if (protocol === IPPROTO_TCP) {
    frame.setUint32(l4 + TCP.sequence, SEQUENCE)
    frame.setUint8(l4 + TCP.dataOffset, (TCP_HEADER_BYTES / 4) << 4)
    frame.setUint8(l4 + TCP.flags, payloadBytes === 0 ? TCP_ACK : TCP_ACK | TCP_PSH)
  } else if (protocol === IPPROTO_UDP) frame.setUint16(l4 + UDP.length, l4Bytes)
  else return bytes
  const checksum = protocol === IPPROTO_TCP ? TCP.checksum : UDP.checksum
  // Of the pseudo header, as the kernel leaves it: all addresses are zero. Only frames with right checksums are joined.
  frame.setUint16(l4 + checksum, protocol + l4Bytes)
  hdr.setUint8(virtio_net_hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM)
  hdr.setUint16(virtio_net_hdr.csum_start, l4, true)
  hdr.setUint16(virtio_net_hdr.csum_offset, checksum, true)
  if (gsoSize !== 0) {
    hdr.setUint8(virtio_net_hdr.gso_type, gsoType(version, protocol))
    hdr.setUint16(virtio_net_hdr.gso_size, gsoSize, true)
  }
  return bytes
}

function gsoType(version: 4 | 6, protocol: number): number {
  if (protocol === IPPROTO_UDP) return VIRTIO_NET_HDR_GSO_UDP_L4
  return version === 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6
}

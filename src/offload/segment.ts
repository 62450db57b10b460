import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../linux/constants.js'
import type { NativeMemory } from '../linux/memory.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP, TCP_CWR, TCP_FIN, TCP_MIN_HEADER_BYTES, TCP_PSH } from '../wire/tcp.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { type ByteOperations, fold, swap16 } from './bytes.js'

/** The longest headers that a segment can have: Ethernet with two tags, IPv6 or full IPv4, full TCP. */
export const MAX_HEADER_BYTES = 184

/**
 * Cuts a super-frame from the kernel (with its `virtio_net_hdr`) into the frames that it stands for. It writes
 * only headers. The payload of each segment stays in its place.
 *
 * It does the same as the kernel's own segmentation (tcp_gso_segment, __udp_gso_segment, inet_gso_segment):
 * - Each segment gets its own lengths and checksums.
 * - The IPv4 ID counts up. The TCP sequence number counts bytes.
 * - FIN and PSH are only on the last segment. CWR is only on the first.
 */
export class Segmenter {
  /** Offset of the super-frame. */
  frame = 0
  /** Bytes of the headers of every segment. */
  headerBytes = 0
  /** Payload bytes of every segment. Only the last may have fewer. */
  gsoSize = 0
  /** How many segments there are. */
  count = 0
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #bytes: ByteOperations
  #payloadBytes = 0
  /** Offsets from the start of the frame. */
  #l3 = 0
  #l4 = 0
  #ipv4 = false
  #tcp = false
  #id = 0
  /** A signed number. V8 would put half of the unsigned numbers into an object. */
  #sequence = 0
  #flags = 0
  /** Sums of what is equal in all segments: the IPv4 header; the pseudo header and the transport header. */
  #ipSum = 0
  #l4Sum = 0

  constructor(memory: NativeMemory, bytes: ByteOperations) {
    this.#view = memory.view
    this.#u8 = memory.u8
    this.#bytes = bytes
  }

  /**
   * Takes a new super-frame.
   * @param frame its offset in the memory
   * @param l3 offset of its IP header from the start of the frame
   * @param l4 offset of its TCP or UDP header from the start of the frame (`csum_start`)
   * @param flags those of the `virtio_net_hdr`. If they say that the checksum is still to be completed, the
   *   checksum field holds the sum of the pseudo header. That sum is right even if the destination in the IP
   *   header is only the next hop of a source route (RFC 8200, 8.1).
   * @returns the number of segments; 0 if this is not the super-frame that it claims to be
   */
  begin(
    frame: number,
    frameBytes: number,
    l3: number,
    l4: number,
    flags: number,
    gsoType: number,
    gsoSize: number,
  ): number {
    const view = this.#view
    const type = gsoType & ~VIRTIO_NET_HDR_GSO_ECN
    this.#tcp = type === VIRTIO_NET_HDR_GSO_TCPV4 || type === VIRTIO_NET_HDR_GSO_TCPV6
    if ((!this.#tcp && type !== VIRTIO_NET_HDR_GSO_UDP_L4) || gsoSize === 0) return 0
    if (
      l4 < l3 + IPV4_HEADER_BYTES ||
      frameBytes < l4 + (this.#tcp ? TCP_MIN_HEADER_BYTES : UDP_HEADER_BYTES)
    )
      return 0
    const transport = frame + l4
    const l4Bytes = this.#tcp ? (this.#u8[transport + TCP.dataOffset] >>> 4) * 4 : UDP_HEADER_BYTES
    const headerBytes = l4 + l4Bytes
    if (headerBytes > MAX_HEADER_BYTES || headerBytes >= frameBytes) return 0
    if (this.#tcp && l4Bytes < TCP_MIN_HEADER_BYTES) return 0
    const version = this.#u8[frame + l3] >>> 4
    this.#ipv4 = version === 4
    if (!this.#ipv4 && (version !== 6 || l4 < l3 + IPV6_HEADER_BYTES)) return 0

    this.frame = frame
    this.#l3 = l3
    this.#l4 = l4
    this.headerBytes = headerBytes
    this.gsoSize = gsoSize
    this.#payloadBytes = frameBytes - headerBytes
    this.count = Math.ceil(this.#payloadBytes / gsoSize)
    if (this.#ipv4) {
      this.#id = view.getUint16(frame + l3 + IPV4.id)
      view.setUint32(frame + l3 + IPV4.totalLength, 0)
      view.setUint16(frame + l3 + IPV4.checksum, 0)
      this.#ipSum = this.#bytes.sum(frame + l3, l4 - l3, 0)
    }
    const checksum = transport + (this.#tcp ? TCP.checksum : UDP.checksum)
    const partial = (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0
    const pseudo = partial ? view.getUint16(checksum, true) + minus(frameBytes - l4) : this.#addressSum()
    view.setUint16(checksum, 0)
    if (this.#tcp) {
      this.#sequence = view.getInt32(transport + TCP.sequence)
      this.#flags = this.#u8[transport + TCP.flags]
      view.setUint32(transport + TCP.sequence, 0)
      this.#u8[transport + TCP.flags] = 0
    } else view.setUint16(transport + UDP.length, 0)
    this.#l4Sum = this.#bytes.sum(transport, l4Bytes, pseudo)
    return this.count
  }

  /** The sum of the pseudo header without its length. It comes from the IP header. */
  #addressSum(): number {
    const addresses = this.frame + this.#l3 + (this.#ipv4 ? IPV4.source : IPV6.source)
    return this.#bytes.sum(addresses, this.#ipv4 ? 8 : 32, swap16(this.#tcp ? IPPROTO_TCP : IPPROTO_UDP))
  }

  /** Bytes of the longest segment with its headers: the first. */
  get longestBytes(): number {
    return this.headerBytes + this.payloadBytes(0)
  }

  payloadOffset(index: number): number {
    return this.frame + this.headerBytes + index * this.gsoSize
  }

  payloadBytes(index: number): number {
    return Math.min(this.gsoSize, this.#payloadBytes - index * this.gsoSize)
  }

  /** Writes the headers of segment `index` to offset `to`, which needs room for {@link MAX_HEADER_BYTES}. */
  writeHeader(index: number, to: number): void {
    const view = this.#view
    const payloadBytes = this.payloadBytes(index)
    this.#bytes.copy(to, this.frame, this.headerBytes)
    const l3 = to + this.#l3
    const l4 = to + this.#l4
    const l4Bytes = this.headerBytes - this.#l4 + payloadBytes
    if (this.#ipv4) {
      const totalLength = this.#l4 - this.#l3 + l4Bytes
      const id = (this.#id + index) & 0xffff
      view.setUint16(l3 + IPV4.totalLength, totalLength)
      view.setUint16(l3 + IPV4.id, id)
      view.setUint16(l3 + IPV4.checksum, ~fold(this.#ipSum + swap16(totalLength) + swap16(id)) & 0xffff, true)
    } else {
      view.setUint16(l3 + IPV6.payloadLength, this.#l4 - this.#l3 - IPV6_HEADER_BYTES + l4Bytes)
    }
    let seed = this.#l4Sum + swap16(l4Bytes)
    // Read here. Below it is asked only if a checksum is zero, so that V8 would not know the way to it (ARCHITECTURE, Warm
    // before the first frame).
    const tcp = this.#tcp
    if (tcp) {
      const sequence = (this.#sequence + index * this.gsoSize) >>> 0
      const flags = this.#segmentFlags(index)
      view.setUint32(l4 + TCP.sequence, sequence)
      this.#u8[l4 + TCP.flags] = flags
      seed += swap16(sequence >>> 16) + swap16(sequence & 0xffff) + (flags << 8)
    } else {
      view.setUint16(l4 + UDP.length, l4Bytes)
      seed += swap16(l4Bytes)
    }
    const checksum = ~this.#bytes.sum(this.payloadOffset(index), payloadBytes, seed) & 0xffff
    // A UDP checksum of zero is sent as all ones (RFC 768). A TCP checksum of zero stays zero.
    view.setUint16(l4 + (tcp ? TCP.checksum : UDP.checksum), checksum === 0 && !tcp ? 0xffff : checksum, true)
  }

  #segmentFlags(index: number): number {
    let flags = this.#flags
    if (index !== 0) flags &= ~TCP_CWR
    if (index !== this.count - 1) flags &= ~(TCP_FIN | TCP_PSH)
    return flags
  }
}

/** Added to a sum, this takes a length out of it: the ones' complement (RFC 1071). */
function minus(length: number): number {
  return 0xffff - swap16(fold(length))
}

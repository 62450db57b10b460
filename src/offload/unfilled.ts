import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
} from '../linux/constants.js'
import type { NativeMemory } from '../linux/memory.js'
import { iovec, virtio_net_hdr } from '../linux/structs.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_NOT_DF } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP, TCP_CWR, TCP_MIN_HEADER_BYTES } from '../wire/tcp.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { type ByteOperations, swap16 } from './bytes.js'
import { l3Offset } from './parse.js'

/**
 * Frames whose TCP or UDP checksum another kernel has not filled in, because the way here promised to do it
 * (`CHECKSUM_PARTIAL` of include/linux/skbuff.h). The field then holds the sum of the pseudo header. Of a frame with a
 * right checksum the same may be so by chance, one in 65,536. Filling it in again changes nothing there.
 *
 * A TCP super-frame may come so, too: an IP packet longer than the path carries, which nobody has cut.
 */
export class Unfilled {
  /** Bytes of memory that it needs. */
  static readonly BYTES = 2 * iovec.size + virtio_net_hdr.size
  /** Offset of two `struct iovec`: what {@link prepare} has prepared. */
  readonly iovecs: number
  readonly #memory: NativeMemory
  readonly #bytes: ByteOperations
  readonly #l2Bytes: number
  /** Of the frame that {@link #find} has found. Offsets are from its start. */
  #l3 = 0
  #l4 = 0
  #l4Bytes = 0
  #ipv4 = false
  #tcp = false

  /**
   * @param at offset of {@link BYTES} in `memory`, a multiple of 8
   * @param l2Bytes bytes of a frame before the IP header, without VLAN tags
   */
  constructor(memory: NativeMemory, bytes: ByteOperations, at: number, l2Bytes: number) {
    this.#memory = memory
    this.#bytes = bytes
    this.#l2Bytes = l2Bytes
    this.iovecs = at
    const header = at + 2 * iovec.size
    memory.writePointer(at + iovec.iov_base, header)
    memory.u32[(at + iovec.iov_len) >>> 2] = virtio_net_hdr.size
  }

  /** Fills the checksum in if it is not. */
  fill(frame: number, bytes: number): void {
    if (!this.#find(frame, bytes)) return
    const checksum = ~this.#bytes.sum(frame + this.#l4, this.#l4Bytes, 0) & 0xffff
    // A UDP checksum of zero is sent as all ones (RFC 768).
    this.#memory.view.setUint16(this.#field(frame), checksum === 0 && !this.#tcp ? 0xffff : checksum, true)
  }

  /**
   * Prepares a super-frame for a device of this MTU, which cuts it and fills the checksums in.
   * @returns false if it is none. Nobody knows where one of UDP is to be cut
   */
  prepare(frame: number, bytes: number, mtuBytes: number): boolean {
    if (!this.#find(frame, bytes) || !this.#tcp) return false
    const { view, u8, u32 } = this.#memory
    const tcp = frame + this.#l4
    const headerBytes = this.#l4 + (u8[tcp + TCP.dataOffset] >>> 4) * 4
    const gsoSize = mtuBytes - (headerBytes - this.#l3)
    if (headerBytes < this.#l4 + TCP_MIN_HEADER_BYTES || headerBytes >= bytes || gsoSize <= 0) return false
    const header = this.iovecs + 2 * iovec.size
    const type = this.#ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6
    u8[header + virtio_net_hdr.flags] = VIRTIO_NET_HDR_F_NEEDS_CSUM
    u8[header + virtio_net_hdr.gso_type] =
      (u8[tcp + TCP.flags] & TCP_CWR) === 0 ? type : type | VIRTIO_NET_HDR_GSO_ECN
    view.setUint16(header + virtio_net_hdr.hdr_len, headerBytes, true)
    view.setUint16(header + virtio_net_hdr.gso_size, gsoSize, true)
    view.setUint16(header + virtio_net_hdr.csum_start, this.#l4, true)
    view.setUint16(header + virtio_net_hdr.csum_offset, TCP.checksum, true)
    this.#memory.writePointer(this.iovecs + iovec.size + iovec.iov_base, frame)
    u32[(this.iovecs + iovec.size + iovec.iov_len) >>> 2] = bytes
    return true
  }

  #field(frame: number): number {
    return frame + this.#l4 + (this.#tcp ? TCP.checksum : UDP.checksum)
  }

  /** Whether it is TCP or UDP, whole, and with such a checksum. */
  #find(frame: number, bytes: number): boolean {
    const { view, u8 } = this.#memory
    const l3 = l3Offset(view, frame, this.#l2Bytes)
    const ip = frame + l3
    const packetBytes = bytes - l3
    if (packetBytes < IPV4_HEADER_BYTES) return false
    const version = u8[ip] >>> 4
    let protocol: number
    let headerBytes: number
    let end: number
    if (version === 4) {
      if ((view.getUint16(ip + IPV4.flagsFragment) & IPV4_NOT_DF) !== 0) return false
      headerBytes = (u8[ip] & 0x0f) * 4
      end = view.getUint16(ip + IPV4.totalLength)
      protocol = u8[ip + IPV4.protocol]
    } else {
      if (version !== 6 || packetBytes < IPV6_HEADER_BYTES) return false
      headerBytes = IPV6_HEADER_BYTES
      end = IPV6_HEADER_BYTES + view.getUint16(ip + IPV6.payloadLength)
      protocol = u8[ip + IPV6.nextHeader]
    }
    this.#tcp = protocol === IPPROTO_TCP
    if (!this.#tcp && protocol !== IPPROTO_UDP) return false
    this.#ipv4 = version === 4
    this.#l3 = l3
    this.#l4 = l3 + headerBytes
    this.#l4Bytes = end - headerBytes
    const least = this.#tcp ? TCP_MIN_HEADER_BYTES : UDP_HEADER_BYTES
    if (end > packetBytes || headerBytes < IPV4_HEADER_BYTES || this.#l4Bytes < least) return false
    const pseudo = this.#ipv4
      ? this.#bytes.sum(ip + IPV4.source, 8, swap16(protocol) + swap16(this.#l4Bytes))
      : this.#bytes.sum(ip + IPV6.source, 32, swap16(protocol) + swap16(this.#l4Bytes))
    return view.getUint16(this.#field(frame), true) === pseudo
  }
}

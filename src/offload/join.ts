import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../linux/constants.js'
import type { NativeMemory } from '../linux/memory.js'
import { iovec, virtio_net_hdr } from '../linux/structs.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_NOT_DF } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP, TCP_ACK, TCP_MIN_HEADER_BYTES, TCP_PSH } from '../wire/tcp.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { type ByteOperations, fold, swap16 } from './bytes.js'
import { MAX_HEADER_BYTES } from './segment.js'

/** Most frames in one super-frame. */
const MAX_FRAMES = 128

/** The greatest length of an IP packet. */
const MAX_PACKET_BYTES = 65_535

const TCP_ECE = 0x40

/** Takes the joined frames. Offsets are into the memory. `frame` is where the caller of `add` put it. */
export interface JoinTarget {
  /** Takes a frame that was not joined with another. It is unchanged. */
  writeFrame(frame: number, bytes: number): void
  /**
   * Takes a super-frame of `frames` frames, as an array of `iovecs` `struct iovec`. The first is a
   * `virtio_net_hdr` with the headers behind it. Each of the others is the payload of one frame. `bytes` is the
   * length of all the frames together.
   */
  writeSuperFrame(iovecs: number, frames: number, bytes: number): void
}

/**
 * Joins runs of in-order segments of one TCP or UDP flow into super-frames for the device. The kernel's
 * segmentation would cut each super-frame into exactly the frames that came. Every other frame, and every frame
 * with a wrong checksum, passes unchanged. The order is kept.
 *
 * It joins one flow at a time. That is enough because senders cut super-frames too, so frames of a flow come in
 * runs.
 */
export class Joiner {
  /** Bytes of memory that it needs. */
  static readonly BYTES = (MAX_FRAMES + 1) * iovec.size + 64 + MAX_HEADER_BYTES
  /** Offset of the array of `struct iovec` that {@link JoinTarget.writeSuperFrame} refers to. */
  readonly iovecs: number
  /** Whether UDP flows are joined too. The device must then take `VIRTIO_NET_HDR_GSO_UDP_L4`. */
  joinsUdp = true
  readonly #memory: NativeMemory
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #bytes: ByteOperations
  readonly #l3: number
  readonly #target: JoinTarget
  /** Offset of the `virtio_net_hdr`. The headers follow it directly. */
  readonly #header: number
  #count = 0
  #first = 0
  #firstBytes = 0
  #ipv4 = false
  #tcp = false
  #l4 = 0
  #headerBytes = 0
  #gsoSize = 0
  #payloadBytes = 0
  #frameBytes = 0
  #flags = 0
  /** No frame may follow: the last one was short or had PSH, or there are {@link MAX_FRAMES}. */
  #closed = false
  /** Sum of the pseudo header without its length. */
  #pseudo = 0

  /**
   * @param at offset of {@link BYTES} in `memory`, a multiple of 64
   * @param l2Bytes bytes of a frame before the IP header: 14, or 0 in tun mode
   */
  constructor(memory: NativeMemory, bytes: ByteOperations, at: number, l2Bytes: number, target: JoinTarget) {
    this.#memory = memory
    this.#view = memory.view
    this.#u8 = memory.u8
    this.#bytes = bytes
    this.#l3 = l2Bytes
    this.#target = target
    this.iovecs = at
    this.#header = (at + (MAX_FRAMES + 1) * iovec.size + 63) & -64
  }

  /** Takes the next frame. The frame must stay in its place until {@link flush}. */
  add(frame: number, bytes: number): void {
    if (this.#count !== 0 && this.#continues(frame, bytes)) {
      this.#append(frame, bytes)
      return
    }
    this.flush()
    if (this.#starts(frame, bytes)) {
      this.#first = frame
      this.#firstBytes = bytes
      this.#payloadBytes = 0
      this.#frameBytes = 0
      this.#gsoSize = bytes - this.#headerBytes
      this.#append(frame, bytes)
    } else {
      this.#target.writeFrame(frame, bytes)
    }
  }

  /** Whether the super-frame that was handed over last is UDP. */
  get joinedUdp(): boolean {
    return !this.#tcp
  }

  /** Hands over the frames that are being joined. */
  flush(): void {
    const count = this.#count
    this.#count = 0
    if (count === 1) this.#target.writeFrame(this.#first, this.#firstBytes)
    else if (count > 1) {
      this.#writeHeader()
      this.#target.writeSuperFrame(count + 1, count, this.#frameBytes)
    }
  }

  #append(frame: number, bytes: number): void {
    const payload = bytes - this.#headerBytes
    const at = this.iovecs + (this.#count + 1) * iovec.size
    this.#memory.writePointer(at + iovec.iov_base, frame + this.#headerBytes)
    this.#memory.u32[(at + iovec.iov_len) >>> 2] = payload
    this.#count++
    this.#payloadBytes += payload
    this.#frameBytes += bytes
    const pushed = this.#tcp && (this.#u8[frame + this.#l4 + TCP.flags] & TCP_PSH) !== 0
    if (pushed) this.#flags |= TCP_PSH
    this.#closed = pushed || payload < this.#gsoSize || this.#count === MAX_FRAMES
  }

  /**
   * Whether a super-frame can begin with this frame. If so, notes the fields that the next frame must match.
   */
  #starts(frame: number, bytes: number): boolean {
    const view = this.#view
    const l3 = frame + this.#l3
    const packetBytes = bytes - this.#l3
    if (packetBytes < IPV4_HEADER_BYTES + UDP_HEADER_BYTES) return false
    const version = this.#u8[l3] >>> 4
    const type = this.#l3 === 0 ? 0 : view.getUint16(frame + ETHERNET.type)
    let protocol: number
    if (version === 4 && (type === ETHERTYPE_IPV4 || this.#l3 === 0)) {
      if (this.#u8[l3] !== 0x45 || view.getUint16(l3 + IPV4.totalLength) !== packetBytes) return false
      if ((view.getUint16(l3 + IPV4.flagsFragment) & IPV4_NOT_DF) !== 0) return false
      this.#ipv4 = true
      this.#l4 = this.#l3 + IPV4_HEADER_BYTES
      protocol = this.#u8[l3 + IPV4.protocol]
    } else if (version === 6 && (type === ETHERTYPE_IPV6 || this.#l3 === 0)) {
      if (view.getUint16(l3 + IPV6.payloadLength) + IPV6_HEADER_BYTES !== packetBytes) return false
      this.#ipv4 = false
      this.#l4 = this.#l3 + IPV6_HEADER_BYTES
      protocol = this.#u8[l3 + IPV6.nextHeader]
    } else return false
    const l4 = frame + this.#l4
    if (protocol === IPPROTO_TCP) {
      if (bytes < this.#l4 + TCP_MIN_HEADER_BYTES) return false
      const flags = this.#u8[l4 + TCP.flags]
      if ((flags & ~(TCP_PSH | TCP_ECE)) !== TCP_ACK) return false
      const tcpBytes = (this.#u8[l4 + TCP.dataOffset] >>> 4) * 4
      if (tcpBytes < TCP_MIN_HEADER_BYTES) return false
      this.#tcp = true
      this.#flags = flags
      this.#headerBytes = this.#l4 + tcpBytes
    } else if (protocol === IPPROTO_UDP && this.joinsUdp) {
      if (view.getUint16(l4 + UDP.length) !== bytes - this.#l4) return false
      if (view.getUint16(l4 + UDP.checksum) === 0) return false
      this.#tcp = false
      this.#headerBytes = this.#l4 + UDP_HEADER_BYTES
    } else return false
    return bytes > this.#headerBytes
  }

  /** Whether this frame is the next one of the flow, with every header field as it must be. */
  #continues(frame: number, bytes: number): boolean {
    const payload = bytes - this.#headerBytes
    if (this.#closed || payload <= 0 || payload > this.#gsoSize) return false
    if (this.#headerBytes - this.#l3 + this.#payloadBytes + payload > MAX_PACKET_BYTES) return false
    if (!this.#sameHeaders(frame, bytes)) return false
    if (this.#count === 1) {
      const addresses = this.#first + this.#l3 + (this.#ipv4 ? IPV4.source : IPV6.source)
      const protocol = this.#tcp ? IPPROTO_TCP : IPPROTO_UDP
      this.#pseudo = this.#bytes.sum(addresses, this.#ipv4 ? 8 : 32, swap16(protocol))
      if (!this.#checksumsRight(this.#first, this.#firstBytes)) return false
    }
    return this.#checksumsRight(frame, bytes)
  }

  #sameHeaders(frame: number, bytes: number): boolean {
    const view = this.#view
    const first = this.#first
    if (this.#l3 === ETHERNET_HEADER_BYTES) {
      if (view.getUint32(frame) !== view.getUint32(first)) return false
      if (view.getUint32(frame + 4) !== view.getUint32(first + 4)) return false
      if (view.getUint32(frame + 8) !== view.getUint32(first + 8)) return false
      if (view.getUint16(frame + 12) !== view.getUint16(first + 12)) return false
    }
    const a = first + this.#l3
    const b = frame + this.#l3
    if (this.#ipv4) {
      if (view.getUint16(a) !== view.getUint16(b)) return false
      if (view.getUint16(b + IPV4.totalLength) !== bytes - this.#l3) return false
      if (view.getUint16(b + IPV4.id) !== ((view.getUint16(a + IPV4.id) + this.#count) & 0xffff)) return false
      if (view.getUint32(a + IPV4.flagsFragment) !== view.getUint32(b + IPV4.flagsFragment)) return false
      if (view.getUint32(a + IPV4.source) !== view.getUint32(b + IPV4.source)) return false
      if (view.getUint32(a + IPV4.destination) !== view.getUint32(b + IPV4.destination)) return false
    } else {
      if (view.getUint32(a) !== view.getUint32(b)) return false
      if (view.getUint16(b + IPV6.payloadLength) + IPV6_HEADER_BYTES !== bytes - this.#l3) return false
      if (view.getUint16(a + IPV6.nextHeader) !== view.getUint16(b + IPV6.nextHeader)) return false
      for (let i = IPV6.source; i < IPV6_HEADER_BYTES; i += 4) {
        if (view.getUint32(a + i) !== view.getUint32(b + i)) return false
      }
    }
    const c = first + this.#l4
    const d = frame + this.#l4
    if (view.getUint32(c) !== view.getUint32(d)) return false
    if (!this.#tcp)
      return view.getUint16(d + UDP.length) === bytes - this.#l4 && view.getUint16(d + UDP.checksum) !== 0
    if (view.getUint32(d + TCP.sequence) !== (view.getUint32(c + TCP.sequence) + this.#payloadBytes) >>> 0)
      return false
    if (view.getUint32(c + TCP.acknowledgment) !== view.getUint32(d + TCP.acknowledgment)) return false
    const flagsAndWindow = view.getUint32(d + TCP.dataOffset) & ~(TCP_PSH << 16)
    if (flagsAndWindow !== (view.getUint32(c + TCP.dataOffset) & ~(TCP_PSH << 16))) return false
    if (view.getUint16(c + TCP.urgent) !== view.getUint16(d + TCP.urgent)) return false
    for (let i = TCP.options; this.#l4 + i < this.#headerBytes; i += 4) {
      if (view.getUint32(c + i) !== view.getUint32(d + i)) return false
    }
    return true
  }

  /**
   * A joined super-frame gets new checksums. A wrong checksum must not become right by that. Zero that is
   * written as all ones must not become zero either. Only in UDP is zero always written as all ones (RFC 768).
   */
  #checksumsRight(frame: number, bytes: number): boolean {
    const view = this.#view
    if (this.#ipv4) {
      const l3 = frame + this.#l3
      if (this.#bytes.sum(l3, IPV4_HEADER_BYTES, 0) !== 0xffff) return false
      if (view.getUint16(l3 + IPV4.checksum) === 0xffff) return false
    }
    if (this.#tcp && view.getUint16(frame + this.#l4 + TCP.checksum) === 0xffff) return false
    const l4Bytes = bytes - this.#l4
    return this.#bytes.sum(frame + this.#l4, l4Bytes, this.#pseudo + swap16(l4Bytes)) === 0xffff
  }

  #writeHeader(): void {
    const view = this.#view
    const hdr = this.#header
    const frame = hdr + virtio_net_hdr.size
    this.#bytes.copy(frame, this.#first, this.#headerBytes)
    const l3 = frame + this.#l3
    const l4 = frame + this.#l4
    const l4Bytes = this.#headerBytes - this.#l4 + this.#payloadBytes
    if (this.#ipv4) {
      view.setUint16(l3 + IPV4.totalLength, IPV4_HEADER_BYTES + l4Bytes)
      view.setUint16(l3 + IPV4.checksum, 0)
      view.setUint16(l3 + IPV4.checksum, ~this.#bytes.sum(l3, IPV4_HEADER_BYTES, 0) & 0xffff, true)
    } else {
      view.setUint16(l3 + IPV6.payloadLength, l4Bytes)
    }
    const partial = fold(this.#pseudo + swap16(l4Bytes))
    if (this.#tcp) {
      this.#u8[l4 + TCP.flags] = this.#flags
      view.setUint16(l4 + TCP.checksum, partial, true)
    } else {
      view.setUint16(l4 + UDP.length, l4Bytes)
      view.setUint16(l4 + UDP.checksum, partial, true)
    }
    this.#u8[hdr + virtio_net_hdr.flags] = VIRTIO_NET_HDR_F_NEEDS_CSUM
    this.#u8[hdr + virtio_net_hdr.gso_type] = this.#gsoType()
    view.setUint16(hdr + virtio_net_hdr.hdr_len, this.#headerBytes, true)
    view.setUint16(hdr + virtio_net_hdr.gso_size, this.#gsoSize, true)
    view.setUint16(hdr + virtio_net_hdr.csum_start, this.#l4, true)
    view.setUint16(hdr + virtio_net_hdr.csum_offset, this.#tcp ? TCP.checksum : UDP.checksum, true)
    this.#memory.writePointer(this.iovecs + iovec.iov_base, hdr)
    this.#memory.u32[(this.iovecs + iovec.iov_len) >>> 2] = virtio_net_hdr.size + this.#headerBytes
  }

  #gsoType(): number {
    if (!this.#tcp) return VIRTIO_NET_HDR_GSO_UDP_L4
    return this.#ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6
  }
}

import { ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpFamily, UDP_HEADER_BYTES } from '../wire/ip.js'
import type { DeviceMode } from '../wire/mode.js'
import { pad, unpad } from '../wire/padding.js'
import { VXLAN_HEADER_BYTES } from '../wire/vxlan.js'
import { PADDING_BYTES, TAG_BYTES, TRANSPORT_HEADER_BYTES } from '../wire/wireguard.js'

/** The longest UDP payload over IPv4. */
const MAX_DATAGRAM_BYTES = 65_507

/** What sets one encapsulation apart from another. */
export interface EncapShape {
  /** What the device carries, and so what a datagram carries: Ethernet frames or IP packets. */
  readonly mode: DeviceMode
  /** Bytes of a datagram before the frame, and after the frame and its padding. */
  readonly headerBytes: number
  readonly trailerBytes: number
  /** Whether frames are padded, and whether the last byte then counts the padding (`wire/padding.ts`). */
  readonly padding: 'none' | 'zeros' | 'counted'
  /** The network's number, if the header is VXLAN's. */
  readonly vni?: number | undefined
}

/**
 * How a frame is wrapped into a datagram: outer IP header, UDP header, header, frame, padding, trailer. A
 * frame is an Ethernet frame, or in tun mode an IP packet. All lengths are in bytes. Hot code keeps the
 * numbers in fields of its own.
 */
export class Encap {
  readonly mode: DeviceMode
  /** Whether a frame is an Ethernet frame. */
  readonly ethernet: boolean
  /** Bytes of a frame before its IP header, without VLAN tags: 14, or 0 in tun mode. */
  readonly l2Bytes: number
  readonly headerBytes: number
  readonly trailerBytes: number
  /** The network's number if it is VXLAN (`wire/vxlan.ts`), else undefined. */
  readonly vni: number | undefined
  /** The least padding that a frame gets. More only uses free room. */
  readonly leastPaddingBytes: number
  /** The least and the most bytes that a datagram's payload has more than the frame in it. */
  readonly leastBytes: number
  readonly mostBytes: number
  readonly #pads: boolean
  readonly #counted: boolean

  constructor({ mode, headerBytes, trailerBytes, padding, vni }: EncapShape) {
    this.mode = mode
    this.ethernet = mode === 'tap'
    this.l2Bytes = this.ethernet ? ETHERNET_HEADER_BYTES : 0
    this.headerBytes = headerBytes
    this.trailerBytes = trailerBytes
    this.vni = vni
    this.#pads = padding !== 'none'
    this.#counted = padding === 'counted'
    this.leastPaddingBytes = this.#counted ? 1 : 0
    this.leastBytes = headerBytes + this.leastPaddingBytes + trailerBytes
    this.mostBytes = headerBytes + (this.#pads ? PADDING_BYTES : 0) + trailerBytes
  }

  /**
   * Pads the frame of `bytes` bytes at `at`, and overwrites what follows it.
   * @param limit padding must not make the length greater than this
   * @returns the length with padding
   */
  pad(u8: Uint8Array, at: number, bytes: number, limit: number): number {
    return this.#pads ? pad(u8, at, bytes, limit, this.#counted) : bytes
  }

  /** The length without padding of the `bytes` bytes (at least one) at `at`; -1 if the padding is invalid. */
  unpad(view: DataView, at: number, bytes: number): number {
    return this.#pads ? unpad(view, at, bytes, this.#counted) : bytes
  }

  /**
   * The longest frame of a device with this MTU.
   * @param vlan whether the frame may have a VLAN tag, which the MTU does not include
   */
  frameBytes(mtuBytes: number, vlan: boolean): number {
    return mtuBytes + this.l2Bytes + (vlan && this.ethernet ? VLAN_TAG_BYTES : 0)
  }

  /**
   * A frame of a device with this MTU is not padded beyond this length, because its path may carry no more. It
   * leaves room for the least padding of the longest frame.
   */
  paddingLimitBytes(mtuBytes: number, vlan: boolean): number {
    return this.frameBytes(mtuBytes, vlan) + this.leastPaddingBytes
  }

  /**
   * What the underlay's packets have more than the overlay's: the overlay's MTU is the underlay's minus this.
   * It is 42 for Ethernet frames over IPv4 and 28 for IP packets. In a private tunnel it is 33 and 32 more, and with VXLAN
   * 8 more.
   */
  overheadBytes(outer: IpFamily, vlan: boolean): number {
    return this.packetBytes(this.frameBytes(0, vlan), outer)
  }

  /** The shortest packet on the underlay that carries a frame of `frameBytes`. */
  packetBytes(frameBytes: number, outer: IpFamily): number {
    return outerBytes(outer) + this.leastBytes + frameBytes
  }

  /** The device's greatest MTU of which every frame, with a VLAN tag too, fits into a UDP datagram. */
  get mostMtuBytes(): number {
    return MAX_DATAGRAM_BYTES - this.mostBytes - this.frameBytes(0, true)
  }

  /** The longest frame that a path carries in one packet of `pathMtuBytes`; less than 1 if it carries none. */
  wholeFrameBytes(pathMtuBytes: number, outer: IpFamily): number {
    return pathMtuBytes - this.packetBytes(0, outer)
  }
}

/** Bytes of the outer IP and UDP headers. */
export function outerBytes(outer: IpFamily): number {
  return (outer === 'ipv4' ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) + UDP_HEADER_BYTES
}

/**
 * The encapsulation of a tunnel. In a plain tunnel a datagram's payload is the frame and nothing else. In a
 * private tunnel it is WireGuard's transport data (`wire/wireguard.ts`).
 * @param vni of a plain tunnel: the payload is VXLAN of this network
 */
export function encapFor(mode: DeviceMode, isPrivate: boolean, vni?: number): Encap {
  if (vni !== undefined) {
    const headerBytes = VXLAN_HEADER_BYTES
    return new Encap({ mode, headerBytes, trailerBytes: 0, padding: 'none', vni })
  }
  if (!isPrivate) return new Encap({ mode, headerBytes: 0, trailerBytes: 0, padding: 'none' })
  const padding = mode === 'tap' ? 'counted' : 'zeros'
  return new Encap({ mode, headerBytes: TRANSPORT_HEADER_BYTES, trailerBytes: TAG_BYTES, padding })
}

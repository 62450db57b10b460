import { ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES } from './ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpFamily, UDP_HEADER_BYTES } from './ip.js'
import type { DeviceMode } from './mode.js'
import { leastPaddingBytes } from './padding.js'
import { TRANSPORT_OVERHEAD_BYTES } from './wireguard.js'

/**
 * Bytes that the encapsulation adds to the device's MTU: the outer IP and UDP headers. In tap mode also the
 * inner Ethernet header, which the MTU does not include, with a VLAN tag if tags are carried. That is 42 for
 * tap over IPv4 and 28 for tun. A private tunnel adds {@link sealedBytes}.
 */
export function overheadBytes(mode: DeviceMode, outer: IpFamily, vlan = false, sealed = false): number {
  const ip = outer === 'ipv4' ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES
  const inside = mode === 'tap' ? ETHERNET_HEADER_BYTES + (vlan ? VLAN_TAG_BYTES : 0) : 0
  return ip + UDP_HEADER_BYTES + (sealed ? sealedBytes(mode) : 0) + inside
}

/**
 * Least bytes that sealing adds: 32 for WireGuard, and in tap mode a byte of padding. More padding only uses free
 * room.
 */
export function sealedBytes(mode: DeviceMode): number {
  return TRANSPORT_OVERHEAD_BYTES + leastPaddingBytes(mode)
}

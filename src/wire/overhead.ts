import { ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES } from './ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpFamily, UDP_HEADER_BYTES } from './ip.js'
import type { DeviceMode } from './mode.js'
import { leastPaddingBytes } from './padding.js'
import { TRANSPORT_OVERHEAD_BYTES } from './wireguard.js'

/**
 * Bytes that the encapsulation adds to what the device's MTU counts: outer IP and UDP headers, and in tap
 * mode the inner Ethernet header, which the MTU leaves out, with a VLAN tag where those are carried. 42 for tap
 * over IPv4, 28 for tun. A private tunnel adds {@link sealedBytes}.
 */
export function overheadBytes(mode: DeviceMode, outer: IpFamily, vlan = false, sealed = false): number {
  const ip = outer === 'ipv4' ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES
  const inside = mode === 'tap' ? ETHERNET_HEADER_BYTES + (vlan ? VLAN_TAG_BYTES : 0) : 0
  return ip + UDP_HEADER_BYTES + (sealed ? sealedBytes(mode) : 0) + inside
}

/** What sealing adds to a frame: WireGuard's 32 bytes and, in tap mode, a byte of padding; more only in vain room. */
export function sealedBytes(mode: DeviceMode): number {
  return TRANSPORT_OVERHEAD_BYTES + leastPaddingBytes(mode)
}

import { ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES } from './ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpFamily, UDP_HEADER_BYTES } from './ip.js'
import type { DeviceMode } from './mode.js'

/**
 * Bytes that the encapsulation adds to what the device's MTU counts: outer IP and UDP headers, and in tap
 * mode the inner Ethernet header, which the MTU leaves out, with a VLAN tag where those are carried. 42 for tap
 * over IPv4, 28 for tun.
 */
export function overheadBytes(mode: DeviceMode, outer: IpFamily, vlan = false): number {
  const ip = outer === 'ipv4' ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES
  return ip + UDP_HEADER_BYTES + (mode === 'tap' ? ETHERNET_HEADER_BYTES + (vlan ? VLAN_TAG_BYTES : 0) : 0)
}

import ipaddr from 'ipaddr.js'
import { MAX_MTU_BYTES } from '../config/values.js'
import { egressTo } from '../linux/interface.js'
import type { Netlink } from '../linux/netlink.js'
import { IPV4_MIN_MTU_BYTES, IPV6_MIN_MTU_BYTES, type IpFamily } from '../wire/ip.js'
import type { DeviceMode } from '../wire/mode.js'
import { overheadBytes } from '../wire/overhead.js'
import { MAX_PACKET_BYTES } from './path-mtu/sizes.js'

/** How datagrams leave this host for the remote. */
export interface Underlay {
  /** Undefined while there is no route to the remote. */
  readonly interface: string | undefined
  /** The next router; undefined where there is none, or no route. */
  readonly gateway: string | undefined
  readonly mtuBytes: number
}

/** What is assumed while there is no route to ask, and of an end that has not been told of the overhead. */
export const ETHERNET_MTU_BYTES = 1500

/** The article's safe size, which every IPv4 host takes (RFC 791, 3.1). */
const SAFE_BYTES = 576

export function underlayTo(netlink: Netlink, remoteAddress: string): Underlay {
  const egress = egressTo(netlink, remoteAddress)
  if (egress === undefined) return { interface: undefined, gateway: undefined, mtuBytes: ETHERNET_MTU_BYTES }
  const { link, gateway } = egress
  return { interface: link.name, gateway, mtuBytes: Math.min(link.mtuBytes, MAX_PACKET_BYTES) }
}

/** The family of an address that may have a zone. */
export function familyOf(address: string): IpFamily {
  return ipaddr.parse(address.split('%')[0]).kind()
}

export interface DeviceMtuInput {
  readonly mode: DeviceMode
  readonly remoteAddress: string
  /** What the interface, or as far as it is known the path, carries. */
  readonly underlayMtuBytes: number
  /** The `mtu` setting. */
  readonly wanted: number | 'safe' | 'auto'
  /** Whether frames with a VLAN tag are to fit as well. */
  readonly vlan: boolean
  /** Whether the tunnel is private. */
  readonly sealed?: boolean
  readonly overlayHasIpv6: boolean
}

/**
 * The device's MTU: what the underlay carries less the encapsulation's overhead, unless the setting says
 * otherwise; never below what IP inside needs, or the kernel would refuse it, or delete the device's IPv6
 * addresses for good.
 */
export function deviceMtuBytes(input: DeviceMtuInput): number {
  const { wanted, overlayHasIpv6 } = input
  if (typeof wanted === 'number') return wanted
  return Math.max(carriedMtuBytes(input), overlayHasIpv6 ? IPV6_MIN_MTU_BYTES : IPV4_MIN_MTU_BYTES)
}

/** What the underlay carries of the overlay without a datagram in fragments, as the device's MTU counts. */
export function carriedMtuBytes(input: DeviceMtuInput): number {
  const { mode, remoteAddress, underlayMtuBytes, wanted, vlan, sealed } = input
  const carried = wanted === 'safe' ? Math.min(SAFE_BYTES, underlayMtuBytes) : underlayMtuBytes
  return Math.min(carried - overheadBytes(mode, familyOf(remoteAddress), vlan, sealed), MAX_MTU_BYTES)
}

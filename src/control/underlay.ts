import ipaddr from 'ipaddr.js'
import { MAX_MTU_BYTES } from '../config/values.js'
import { egressLink } from '../linux/interface.js'
import type { Netlink } from '../linux/netlink.js'
import { IPV4_MIN_MTU_BYTES, IPV6_MIN_MTU_BYTES } from '../wire/ip.js'
import type { DeviceMode } from '../wire/mode.js'
import { overheadBytes } from '../wire/overhead.js'

/** How datagrams leave this host for the remote. */
export interface Underlay {
  /** Undefined while there is no route to the remote. */
  readonly interface: string | undefined
  readonly mtuBytes: number
}

/** What is assumed while there is no route to ask, and of an end that has not been told of the overhead. */
export const ETHERNET_MTU_BYTES = 1500

/** No IP packet is longer, whatever an interface's MTU (loopback's is 65,536). */
const MAX_PACKET_BYTES = 65_535

/** The article's safe size, which every IPv4 host takes (RFC 791, 3.1). */
const SAFE_BYTES = 576

export function underlayTo(netlink: Netlink, remoteAddress: string): Underlay {
  const link = egressLink(netlink, remoteAddress)
  return link === undefined
    ? { interface: undefined, mtuBytes: ETHERNET_MTU_BYTES }
    : { interface: link.name, mtuBytes: Math.min(link.mtuBytes, MAX_PACKET_BYTES) }
}

export interface DeviceMtuInput {
  readonly mode: DeviceMode
  readonly remoteAddress: string
  readonly underlayMtuBytes: number
  /** The `mtu` setting. */
  readonly wanted: number | 'safe' | undefined
  readonly overlayHasIpv6: boolean
}

/**
 * The device's MTU: what the underlay carries less the encapsulation's overhead, unless the setting says
 * otherwise; never below what IP inside needs, or the kernel would refuse it, or delete the device's IPv6
 * addresses for good.
 */
export function deviceMtuBytes(input: DeviceMtuInput): number {
  const { mode, remoteAddress, underlayMtuBytes, wanted, overlayHasIpv6 } = input
  if (typeof wanted === 'number') return wanted
  const outer = ipaddr.parse(remoteAddress.split('%')[0]).kind()
  const carried = wanted === 'safe' ? Math.min(SAFE_BYTES, underlayMtuBytes) : underlayMtuBytes
  const mtuBytes = Math.min(carried - overheadBytes(mode, outer), MAX_MTU_BYTES)
  return Math.max(mtuBytes, overlayHasIpv6 ? IPV6_MIN_MTU_BYTES : IPV4_MIN_MTU_BYTES)
}

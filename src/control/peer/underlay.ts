import ipaddr from 'ipaddr.js'
import { MAX_MTU_BYTES } from '../../config/values.js'
import { RTN_ANYCAST, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from '../../linux/constants.js'
import { type Egress, egressTo, leavesBy } from '../../linux/interface.js'
import type { Netlink } from '../../linux/netlink.js'
import { IPV4_MIN_MTU_BYTES, IPV6_MIN_MTU_BYTES, type IpFamily } from '../../wire/ip.js'
import type { DeviceMode } from '../../wire/mode.js'
import { overheadBytes } from '../../wire/overhead.js'
import { MAX_PACKET_BYTES } from '../path-mtu/sizes.js'

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

const NO_UNDERLAY: Underlay = { interface: undefined, gateway: undefined, mtuBytes: ETHERNET_MTU_BYTES }

/**
 * What the kernel makes of an address: `host`, another one; `own`, this host; `inside`: the way there is the
 * tunnel itself; `unroutable`: there is no way.
 */
export type WayKind = 'host' | 'own' | 'broadcast' | 'multicast' | 'inside' | 'unroutable'

export interface Way {
  readonly kind: WayKind
  /** None where the way is the tunnel itself: a device is never its own underlay. */
  readonly underlay: Underlay
}

/**
 * How datagrams leave for an address.
 * @param deviceIndex the tunnel's own device, as far as there is one
 * @throws KernelError from rtnetlink
 */
export function wayTo(netlink: Netlink, remoteAddress: string, deviceIndex: number | undefined): Way {
  const egress = egressTo(netlink, remoteAddress)
  if (egress === undefined) return { kind: 'unroutable', underlay: NO_UNDERLAY }
  const { link, gateway } = egress
  if (deviceIndex !== undefined && leavesBy(netlink, link, deviceIndex))
    return { kind: 'inside', underlay: NO_UNDERLAY }
  const mtuBytes = Math.min(link.mtuBytes, MAX_PACKET_BYTES)
  return { kind: kindOf(egress), underlay: { interface: link.name, gateway, mtuBytes } }
}

function kindOf({ type }: Egress): WayKind {
  switch (type) {
    case RTN_LOCAL:
    case RTN_ANYCAST:
      return 'own'
    case RTN_BROADCAST:
      return 'broadcast'
    case RTN_MULTICAST:
      return 'multicast'
    default:
      return 'host'
  }
}

/** The same, for one who has no tunnel. @throws KernelError from rtnetlink */
export function underlayTo(netlink: Netlink, remoteAddress: string): Underlay {
  return wayTo(netlink, remoteAddress, undefined).underlay
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

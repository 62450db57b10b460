import ipaddr from 'ipaddr.js'
import { MAX_MTU_BYTES } from '../../config/values.js'
import { RTN_ANYCAST, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from '../../linux/constants.js'
import { ENODEV, KernelError } from '../../linux/errno.js'
import { type Egress, egressTo, getLink, leavesBy } from '../../linux/interface.js'
import { resolvedNeighbours } from '../../linux/neighbours.js'
import type { Netlink } from '../../linux/netlink.js'
import { IPV4_MIN_MTU_BYTES, IPV6_MIN_MTU_BYTES, type IpFamily } from '../../wire/ip.js'
import type { DeviceMode } from '../../wire/mode.js'
import { overheadBytes } from '../../wire/overhead.js'
import { MAX_PACKET_BYTES } from '../path-mtu/sizes.js'

/** How datagrams leave this host for a remote address. */
export interface Underlay {
  /** Undefined while there is no route to the address. */
  readonly interface: string | undefined
  /** The next router; undefined if there is none, or if there is no route. */
  readonly gateway: string | undefined
  readonly mtuBytes: number
}

/** The MTU that we assume while there is no route, and for an end that does not know the overhead. */
export const ETHERNET_MTU_BYTES = 1500

/** The article's safe packet size. Every IPv4 host accepts it (RFC 791, 3.1). */
const SAFE_BYTES = 576

const NO_UNDERLAY: Underlay = { interface: undefined, gateway: undefined, mtuBytes: ETHERNET_MTU_BYTES }

/**
 * What an address is for the kernel. `host`: another host. `own`: this host. `inside`: the route leads into the
 * tunnel itself. `unknown`: the route is by the bridge that the tunnel's device is a port of, and the kernel does not
 * know the next hop's MAC address. `unroutable`: there is no route.
 */
export type WayKind = 'host' | 'own' | 'broadcast' | 'multicast' | 'inside' | 'unknown' | 'unroutable'

export interface Way {
  readonly kind: WayKind
  /**
   * Without an interface if the route leads into the tunnel itself, because a device is never its own underlay.
   */
  readonly underlay: Underlay
}

/**
 * How datagrams leave this host for an address.
 * @param deviceIndex the index of the tunnel's own device, if it exists
 * @param isBehindPeer whether the tunnel's switch has learnt a MAC address behind a peer
 * @throws KernelError from rtnetlink
 */
export function wayTo(
  netlink: Netlink,
  remoteAddress: string,
  deviceIndex: number | undefined,
  isBehindPeer: (mac: Uint8Array) => boolean = () => false,
): Way {
  const egress = egressTo(netlink, remoteAddress)
  if (egress === undefined) return { kind: 'unroutable', underlay: NO_UNDERLAY }
  const { link, gateway } = egress
  if (deviceIndex !== undefined && leavesBy(netlink, link, deviceIndex))
    return { kind: 'inside', underlay: NO_UNDERLAY }
  const mtuBytes = Math.min(link.mtuBytes, MAX_PACKET_BYTES)
  const underlay = { interface: link.name, gateway, mtuBytes }
  const kind = kindOf(egress)
  if (kind !== 'host' || deviceIndex === undefined || !isPortOf(netlink, deviceIndex, link.index))
    return { kind, underlay }
  // By the bridge that the device is a port of: on the device's side of it, or on another one?
  const mac = macOf(netlink, link.index, gateway ?? remoteAddress)
  if (mac === undefined) return { kind: 'unknown', underlay }
  return isBehindPeer(mac) ? { kind: 'inside', underlay: NO_UNDERLAY } : { kind, underlay }
}

function isPortOf(netlink: Netlink, deviceIndex: number, bridgeIndex: number): boolean {
  try {
    return getLink(netlink, deviceIndex).masterIndex === bridgeIndex
  } catch (error) {
    if (error instanceof KernelError && error.errno === ENODEV) return false
    throw error
  }
}

/** The MAC address of a neighbour; undefined if the kernel does not know it. */
function macOf(netlink: Netlink, interfaceIndex: number, address: string): Uint8Array | undefined {
  const bytes = Buffer.from(ipaddr.parse(address.split('%')[0]).toByteArray())
  return resolvedNeighbours(netlink).find((it) => it.interface === interfaceIndex && bytes.equals(it.address))
    ?.mac
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

/** The underlay when there is no tunnel. @throws KernelError from rtnetlink */
export function underlayTo(netlink: Netlink, remoteAddress: string): Underlay {
  return wayTo(netlink, remoteAddress, undefined).underlay
}

/** The IP family of an address, which may have a zone. */
export function familyOf(address: string): IpFamily {
  return ipaddr.parse(address.split('%')[0]).kind()
}

export interface DeviceMtuInput {
  readonly mode: DeviceMode
  readonly remoteAddress: string
  /** What the path carries or, if that is not known, what the interface carries. */
  readonly underlayMtuBytes: number
  /** The `mtu` setting. */
  readonly wanted: number | 'safe' | 'auto'
  /** Whether frames with a VLAN tag must fit, too. */
  readonly vlan: boolean
  /** Whether the tunnel is private. */
  readonly sealed?: boolean
  readonly overlayHasIpv6: boolean
}

/**
 * The device's MTU: what the underlay carries less the overhead of the encapsulation, unless the settings give
 * a number. The result is never below the minimum of IP inside. With less, the kernel would refuse the MTU, or
 * would delete the device's IPv6 addresses for good.
 */
export function deviceMtuBytes(input: DeviceMtuInput): number {
  const { wanted, overlayHasIpv6 } = input
  if (typeof wanted === 'number') return wanted
  return Math.max(carriedMtuBytes(input), overlayHasIpv6 ? IPV6_MIN_MTU_BYTES : IPV4_MIN_MTU_BYTES)
}

/** The greatest overlay MTU that the underlay carries in unfragmented datagrams. */
export function carriedMtuBytes(input: DeviceMtuInput): number {
  const { mode, remoteAddress, underlayMtuBytes, wanted, vlan, sealed } = input
  const carried = wanted === 'safe' ? Math.min(SAFE_BYTES, underlayMtuBytes) : underlayMtuBytes
  return Math.min(carried - overheadBytes(mode, familyOf(remoteAddress), vlan, sealed), MAX_MTU_BYTES)
}

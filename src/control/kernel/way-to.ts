import ipaddr from 'ipaddr.js'
import { RTN_ANYCAST, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from '../../linux/constants.js'
import { ENODEV, KernelError } from '../../linux/errno.js'
import { type Egress, egressTo, getLink, leavesBy, type RoutedFlow } from '../../linux/interface.js'
import { linkKind } from '../../linux/link-kind.js'
import { resolvedNeighbours } from '../../linux/neighbours.js'
import type { Netlink } from '../../linux/netlink.js'
import { MAX_PACKET_BYTES } from '../path-mtu/sizes.js'
import { NO_UNDERLAY, type Underlay, type Way, type WayKind } from '../peer/underlay.js'

/**
 * How datagrams leave this host for an address.
 * @param deviceIndex the index of the tunnel's own device, if it exists
 * @param isBehindPeer whether the tunnel's switch has learnt a MAC address behind a peer
 * @param flow what else of the datagrams may decide about the route
 * @throws KernelError from rtnetlink
 */
export function wayTo(
  netlink: Netlink,
  remoteAddress: string,
  deviceIndex: number | undefined,
  isBehindPeer: (mac: Uint8Array) => boolean = () => false,
  flow: RoutedFlow = {},
): Way {
  const egress = egressTo(netlink, remoteAddress, flow)
  if (egress === undefined) return { kind: 'unroutable', underlay: NO_UNDERLAY }
  const { link, gateway, source } = egress
  const inside: Way = { kind: 'inside', underlay: NO_UNDERLAY, inwards: link.name }
  if (deviceIndex !== undefined && leavesBy(netlink, link, deviceIndex, flow.mark)) return inside
  const mtuBytes = Math.min(link.mtuBytes, MAX_PACKET_BYTES)
  const virtual = linkKind(link.info) !== ''
  const underlay = { interface: link.name, index: link.index, gateway, mtuBytes, virtual }
  const kind = kindOf(egress)
  if (kind !== 'host' || deviceIndex === undefined || !isPortOf(netlink, deviceIndex, link.index))
    return { kind, underlay, source }
  // By the bridge that the device is a port of: on the device's side of it, or on another one?
  const mac = macOf(netlink, link.index, gateway ?? remoteAddress)
  if (mac === undefined) return { kind: 'unknown', underlay, source }
  return isBehindPeer(mac) ? inside : { kind, underlay, source }
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

import type { Settings } from '../../config/schema.js'
import { MAX_MTU_BYTES } from '../../config/values.js'
import type { Encap } from '../../encap/encap.js'
import { IPV4_MIN_MTU_BYTES, IPV6_MIN_MTU_BYTES, type IpFamily } from '../../wire/ip.js'

/** How datagrams leave this host for a remote address. */
export interface Underlay {
  /** Undefined while there is no route to the address. */
  readonly interface: string | undefined
  /** The interface's number in the kernel. */
  readonly index?: number
  /** The next router; undefined if there is none, or if there is no route. */
  readonly gateway: string | undefined
  readonly mtuBytes: number
  /** Whether the interface is none of a card, but one such as veth, whose kernel may leave checksums out. */
  readonly virtual?: boolean
}

/** The MTU that we assume while there is no route, and for an end that does not know the overhead. */
export const ETHERNET_MTU_BYTES = 1500

/** The article's safe packet size. Every IPv4 host accepts it (RFC 791, 3.1). */
const SAFE_BYTES = 576

/** The underlay while there is no route. */
export const NO_UNDERLAY: Underlay = {
  interface: undefined,
  gateway: undefined,
  mtuBytes: ETHERNET_MTU_BYTES,
}

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
  /** The source address that the kernel chooses; undefined if there is none, or it was given. */
  readonly source?: string | undefined
  /** If the route leads into the tunnel itself: the interface by which it does so. */
  readonly inwards?: string
}

/** The IP family of a valid address, which may have a zone. Each path is asked for it very often, so nothing is parsed. */
export function familyOf(address: string): IpFamily {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}

export interface DeviceMtuInput {
  readonly encap: Encap
  readonly remoteAddress: string
  /** What the path carries or, if that is not known, what the interface carries. */
  readonly underlayMtuBytes: number
  /** The `mtu` setting. */
  readonly wanted: number | 'safe' | 'auto'
  /** Whether frames with a VLAN tag must fit, too. */
  readonly vlan: boolean
  readonly overlayHasIpv6: boolean
}

/** Whether IPv6 may be inside the tunnel. Without addresses in the settings, somebody else gives them to the device. */
export function mayHaveIpv6({ mode, local }: Pick<Settings, 'mode' | 'local'>): boolean {
  return local.some(({ family }) => family === 'ipv6') || (mode === 'tun' && local.length === 0)
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
  const { encap, remoteAddress, underlayMtuBytes, wanted, vlan } = input
  const carried = wanted === 'safe' ? Math.min(SAFE_BYTES, underlayMtuBytes) : underlayMtuBytes
  return Math.min(carried - encap.overheadBytes(familyOf(remoteAddress), vlan), MAX_MTU_BYTES)
}

import type { IpFamily } from '../../wire/ip.js'
import { IPV6_MIN_MTU_BYTES } from '../../wire/ip.js'

/** Sizes here are of whole IP packets of the underlay, in bytes, as an MTU counts them. */

/** The least path MTU that we believe. Every host accepts packets of this size (RFC 791, 3.1; RFC 8200, 5). */
export function floorBytes(family: IpFamily): number {
  return family === 'ipv4' ? 576 : IPV6_MIN_MTU_BYTES
}

/** No IP packet is longer, whatever the interface's MTU (loopback's is 65,536). */
export const MAX_PACKET_BYTES = 65_535

/**
 * MTUs that links really have. They are tried before the sizes between them. IPv6's minimum. Tunnels and PPPoE
 * below Ethernet's 1500 (WireGuard 1420 and 1440, VXLAN 1450, Google's cloud 1460, GRE 1476, 6in4 1480, PPPoE
 * 1492). 802.11 and FDDI. Jumbo frames (9001 in Amazon's cloud).
 */
const COMMON_BYTES = [
  576, 1006, 1280, 1400, 1420, 1440, 1450, 1460, 1476, 1480, 1492, 1500, 2304, 4352, 8500, 9000, 9001, 9216,
  16384, 32768,
]

/** The common MTUs between `lower` and `upper`, both excluded, in ascending order. */
export function commonBetween(lower: number, upper: number): number[] {
  return COMMON_BYTES.filter((bytes) => bytes > lower && bytes < upper)
}

/** Up to `count` sizes, spread evenly between `lower` and `upper`, both excluded, in ascending order. */
export function spreadBetween(lower: number, upper: number, count: number): number[] {
  const gap = upper - lower - 1
  const sizes = Math.min(gap, count)
  return Array.from({ length: sizes }, (_, i) => lower + Math.round(((i + 1) * (gap + 1)) / (sizes + 1)))
}

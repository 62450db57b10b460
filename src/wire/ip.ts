/** Facts of IPv4 (RFC 791) and IPv6 (RFC 8200) that are needed to size frames and to tell them apart. */

export const IPV4_HEADER_BYTES = 20
export const IPV6_HEADER_BYTES = 40
export const UDP_HEADER_BYTES = 8

export type IpFamily = 'ipv4' | 'ipv6'

/** The least MTU of an IPv4 link (RFC 791, 3.2) and of an IPv6 link (RFC 8200, 5). */
export const IPV4_MIN_MTU_BYTES = 68
export const IPV6_MIN_MTU_BYTES = 1280

/**
 * Whether `bytes` bytes at `offset` can begin an IP packet: version 4 or 6, and room for the header of that
 * version.
 */
export function looksLikeIp(u8: Uint8Array, offset: number, bytes: number): boolean {
  const version = u8[offset] >>> 4
  return (version === 4 && bytes >= IPV4_HEADER_BYTES) || (version === 6 && bytes >= IPV6_HEADER_BYTES)
}

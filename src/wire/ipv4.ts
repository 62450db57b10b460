import { IPV4_HEADER_BYTES } from './ip.js'

/** IPv4 header (RFC 791, 3.1): field offsets in bytes; fields are big-endian. */
export const IPV4 = {
  versionIhl: 0,
  tos: 1,
  totalLength: 2,
  id: 4,
  flagsFragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
} as const

/** Bits of `flagsFragment`. */
export const IPV4_DF = 0x4000
export const IPV4_FRAGMENT_OFFSET = 0x1fff

/** All bits of `flagsFragment` except don't-fragment. They are zero in a packet that is not a fragment. */
export const IPV4_NOT_DF = 0xbfff

/** Options (RFC 791, 3.1): the end of the list, one byte of nothing, and both kinds of source routes. */
const OPTION_END = 0
const OPTION_NOP = 1
const OPTION_LSRR = 131
const OPTION_SSRR = 137

/**
 * Whether the packet at `ip` goes to other hosts before its last one, by a source route. Then checksums are over an address
 * that is not in its header's destination. @param headerBytes of the IP header, all of which is there
 */
export function isSourceRouted(view: DataView, ip: number, headerBytes: number): boolean {
  const end = ip + headerBytes
  for (let at = ip + IPV4_HEADER_BYTES; at < end; ) {
    const option = view.getUint8(at)
    if (option === OPTION_END) return false
    if (option === OPTION_NOP) {
      at++
      continue
    }
    const bytes = at + 2 < end ? view.getUint8(at + 1) : 0
    if (bytes < 2) return false
    // After the option's length: the next address, counted from 1; behind the last one, the route is at its end.
    if (option === OPTION_LSRR || option === OPTION_SSRR) return view.getUint8(at + 2) <= bytes
    at += bytes
  }
  return false
}

import { IPV6_HEADER_BYTES } from './ip.js'

/** IPv6 header (RFC 8200, 3): field offsets in bytes; fields are big-endian. */
export const IPV6 = {
  versionClassFlow: 0,
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
} as const

/**
 * Extension headers that may come before a transport header. All except the fragment header contain their
 * length.
 */
const HOP_BY_HOP = 0
const ROUTING = 43
export const IPV6_FRAGMENT = 44
const DESTINATION_OPTIONS = 60
/** In a routing header (RFC 8200, 4.4). */
const SEGMENTS_LEFT = 3
export const IPV6_FRAGMENT_HEADER_BYTES = 8
export const IPV6_FRAGMENT_OFFSET = 0xfff8

/** The offset of the fragment header of the packet from `ip` to `end`; -1 if it has none, or ends before. */
export function ipv6Fragment(view: DataView, ip: number, end: number): number {
  let next = view.getUint8(ip + IPV6.nextHeader)
  let at = ip + IPV6_HEADER_BYTES
  while (next === HOP_BY_HOP || next === ROUTING || next === DESTINATION_OPTIONS) {
    if (at + IPV6_FRAGMENT_HEADER_BYTES > end) return -1
    next = view.getUint8(at)
    at += (view.getUint8(at + 1) + 1) * 8
  }
  return next === IPV6_FRAGMENT && at + IPV6_FRAGMENT_HEADER_BYTES <= end ? at : -1
}

/**
 * Finds the first header that is not an extension header (RFC 8200, 4), in the packet from `ip` to `end`.
 * @returns its protocol in the low 8 bits, and above them its offset from `ip`; -1 for a fragment that is not
 * the first, or if the packet ends before that header
 */
export function ipv6Upper(view: DataView, ip: number, end: number): number {
  let next = view.getUint8(ip + IPV6.nextHeader)
  let at = ip + IPV6_HEADER_BYTES
  for (;;) {
    if (next !== IPV6_FRAGMENT && next !== HOP_BY_HOP && next !== ROUTING && next !== DESTINATION_OPTIONS)
      return ((at - ip) << 8) | next
    if (at + IPV6_FRAGMENT_HEADER_BYTES > end) return -1
    if (next === IPV6_FRAGMENT && (view.getUint16(at + 2) & IPV6_FRAGMENT_OFFSET) !== 0) return -1
    const bytes = next === IPV6_FRAGMENT ? IPV6_FRAGMENT_HEADER_BYTES : (view.getUint8(at + 1) + 1) * 8
    next = view.getUint8(at)
    at += bytes
  }
}

/**
 * Whether the packet from `ip` to `end` goes to other hosts before its last one: it has a routing header with segments
 * left. Then checksums are over an address that is not in its header's destination (RFC 8200, 8.1).
 */
export function isRoutedOn(view: DataView, ip: number, end: number): boolean {
  let next = view.getUint8(ip + IPV6.nextHeader)
  let at = ip + IPV6_HEADER_BYTES
  while (next === HOP_BY_HOP || next === ROUTING || next === DESTINATION_OPTIONS) {
    if (at + IPV6_FRAGMENT_HEADER_BYTES > end) return false
    if (next === ROUTING && view.getUint8(at + SEGMENTS_LEFT) !== 0) return true
    next = view.getUint8(at)
    at += (view.getUint8(at + 1) + 1) * 8
  }
  return false
}

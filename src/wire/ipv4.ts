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

/** IPv6 header (RFC 8200, 3): field offsets in bytes; fields are big-endian. */
export const IPV6 = {
  versionClassFlow: 0,
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
} as const

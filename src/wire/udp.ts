/** UDP header (RFC 768): field offsets in bytes; fields are big-endian. */
export const UDP = { ports: 0, length: 4, checksum: 6 } as const

export const IPPROTO_UDP = 17

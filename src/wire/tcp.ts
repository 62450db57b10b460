/** TCP header (RFC 9293, 3.1): field offsets in bytes; fields are big-endian. */
export const TCP = {
  ports: 0,
  sequence: 4,
  acknowledgment: 8,
  dataOffset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  urgent: 18,
  options: 20,
} as const

export const TCP_MIN_HEADER_BYTES = 20

/**
 * Kinds of options (RFC 9293, 3.1). The first two are a single byte. In the others, the length in bytes
 * follows.
 */
export const TCP_OPTION = { end: 0, noOperation: 1, maximumSegmentSize: 2 } as const

/** Bits of `flags`. */
export const TCP_FIN = 0x01
export const TCP_SYN = 0x02
export const TCP_RST = 0x04
export const TCP_PSH = 0x08
export const TCP_ACK = 0x10
export const TCP_URG = 0x20
export const TCP_CWR = 0x80

export const IPPROTO_TCP = 6

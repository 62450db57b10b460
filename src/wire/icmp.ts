import { internetChecksum } from './checksum.js'

/** ICMP echo (RFC 792): type, code, checksum, identifier and sequence number of 16 bits each, data. */

export const ICMP_HEADER_BYTES = 8

const TYPE_ECHO_REPLY = 0
const TYPE_ECHO = 8
const CHECKSUM_AT = 2
const IDENTIFIER_AT = 4
const SEQUENCE_AT = 6

export interface Echo {
  readonly identifier: number
  readonly sequence: number
}

/** An echo request with `dataBytes` of zeros. */
export function echoRequest({ identifier, sequence }: Echo, dataBytes: number): Uint8Array {
  const message = new Uint8Array(ICMP_HEADER_BYTES + dataBytes)
  const view = new DataView(message.buffer)
  view.setUint8(0, TYPE_ECHO)
  view.setUint16(IDENTIFIER_AT, identifier)
  view.setUint16(SEQUENCE_AT, sequence)
  view.setUint16(CHECKSUM_AT, internetChecksum(message, 0, message.length))
  return message
}

/** The echo reply in an IPv4 packet, such as a raw socket receives, or undefined where there is none. */
export function parseEchoReply(packet: Uint8Array): Echo | undefined {
  const at = packet.length === 0 ? 0 : (packet[0] & 0x0f) * 4
  const bytes = packet.length - at
  if (bytes < ICMP_HEADER_BYTES || packet[at] !== TYPE_ECHO_REPLY || packet[at + 1] !== 0) return undefined
  if (internetChecksum(packet, at, bytes) !== 0) return undefined
  const view = new DataView(packet.buffer, packet.byteOffset + at, bytes)
  return { identifier: view.getUint16(IDENTIFIER_AT), sequence: view.getUint16(SEQUENCE_AT) }
}

import ipaddr from 'ipaddr.js'
import { internetChecksum } from '../../src/wire/checksum.js'
import {
  ICMP,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
} from '../../src/wire/icmp.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from '../../src/wire/ip.js'
import { IPV4, IPV4_DF } from '../../src/wire/ipv4.js'
import { IPV6 } from '../../src/wire/ipv6.js'

/** A protocol for experiments (RFC 3692, 2.1): not the one of control frames. */
const IPPROTO_TEST = 254
const HOP_LIMIT = 64

export interface PacketChoices {
  readonly bytes?: number | undefined
  /** IPv4: whether don't-fragment is set. */
  readonly df?: boolean
}

/** An IP packet of `bytes` bytes, from and to addresses of one family, with a text in it. */
export function packetOf(
  from: string,
  to: string,
  text: string,
  { bytes = 100, df = true }: PacketChoices = {},
): Uint8Array {
  const [source, destination] = [from, to].map((it) => ipaddr.parse(it).toByteArray())
  if (source.length !== destination.length) throw new Error(`${from} and ${to} are not of one family`)
  const packet = Buffer.alloc(bytes)
  if (source.length === 4) {
    packet[IPV4.versionIhl] = 0x45
    packet.writeUInt16BE(bytes, IPV4.totalLength)
    packet.writeUInt16BE(df ? IPV4_DF : 0, IPV4.flagsFragment)
    packet[IPV4.ttl] = HOP_LIMIT
    packet[IPV4.protocol] = IPPROTO_TEST
    packet.set(source, IPV4.source)
    packet.set(destination, IPV4.destination)
    packet.writeUInt16BE(internetChecksum(packet, 0, IPV4_HEADER_BYTES), IPV4.checksum)
  } else {
    packet[IPV6.versionClassFlow] = 0x60
    packet.writeUInt16BE(bytes - IPV6_HEADER_BYTES, IPV6.payloadLength)
    packet[IPV6.nextHeader] = IPPROTO_TEST
    packet[IPV6.hopLimit] = HOP_LIMIT
    packet.set(source, IPV6.source)
    packet.set(destination, IPV6.destination)
  }
  packet.write(text, headerBytesOf(packet))
  return packet
}

function headerBytesOf(packet: Uint8Array): number {
  return packet[0] >>> 4 === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES
}

/** The text in a packet of {@link packetOf}. */
export function textIn(packet: Uint8Array): string {
  const text = Buffer.from(packet.subarray(headerBytesOf(packet))).toString()
  return text.slice(0, text.indexOf('\0'))
}

/** What a router says to the sender of a packet that is too long. */
export interface TooBig {
  readonly from: string
  readonly to: string
  /** What would pass. */
  readonly mtuBytes: number
}

/** Reads ICMP "fragmentation needed", or ICMPv6 "packet too big". @throws Error if it is anything else */
export function readTooBig(packet: Uint8Array): TooBig {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const icmp = headerBytesOf(packet)
  const address = (at: number, bytes: number) =>
    ipaddr.fromByteArray([...packet.subarray(at, at + bytes)]).toString()
  const [type, code] = [packet[icmp + ICMP.type], packet[icmp + ICMP.code]]
  if (icmp === IPV4_HEADER_BYTES && type === ICMP_UNREACHABLE && code === ICMP_FRAGMENTATION_NEEDED)
    return {
      from: address(IPV4.source, 4),
      to: address(IPV4.destination, 4),
      mtuBytes: view.getUint16(icmp + ICMP.mtu16),
    }
  if (icmp === IPV6_HEADER_BYTES && type === ICMPV6_PACKET_TOO_BIG)
    return {
      from: address(IPV6.source, 16),
      to: address(IPV6.destination, 16),
      mtuBytes: view.getUint32(icmp + ICMP.mtu32),
    }
  throw new Error(`this is no answer to a packet that is too long: type ${type}, code ${code}`)
}

import { ETHERTYPE_IPV6 } from './ethernet.js'
import { IPPROTO_ICMPV6 } from './icmp.js'
import { IPV6_HEADER_BYTES } from './ip.js'
import { IPV6 } from './ipv6.js'

/**
 * Address resolution: ARP (RFC 826) for IPv4, neighbour solicitation (RFC 4861, 4.3) for IPv6. Field offsets
 * are in bytes from the start of the ARP packet or ICMPv6 message; fields are big-endian.
 */
const ARP = { hardware: 0, protocol: 2, lengths: 4, operation: 6, sender: 14, target: 24 } as const
const ARP_BYTES = 28
const ARP_ETHERNET = 1
const ARP_IPV4 = 0x0800
/** 6 bytes of MAC, 4 bytes of address. */
const ARP_LENGTHS = 0x0604
const ARP_REQUEST = 1

const SOLICITATION = { type: 0, code: 1, target: 8 } as const
const SOLICITATION_BYTES = 24
const SOLICITATION_TYPE = 135
/** The hop limit of a packet that has crossed no router. */
const HOP_LIMIT = 255

export const ETHERTYPE_ARP = 0x0806

/**
 * The address that a frame asks for.
 * @param type the EtherType
 * @param payload offset of what follows the EtherType
 * @param bytes the length of the payload
 * @returns the offset of the address: 4 bytes (ARP request) or 16 bytes (neighbour solicitation). 0 if the
 * frame asks for none, or for its own sender's address, which is an announcement (RFC 5227).
 */
export function solicitedAddress(view: DataView, type: number, payload: number, bytes: number): number {
  if (type === ETHERTYPE_ARP) return arpTarget(view, payload, bytes)
  if (type === ETHERTYPE_IPV6) return solicitationTarget(view, payload, bytes)
  return 0
}

function arpTarget(view: DataView, arp: number, bytes: number): number {
  if (bytes < ARP_BYTES || view.getUint16(arp + ARP.operation) !== ARP_REQUEST) return 0
  if (view.getUint16(arp + ARP.hardware) !== ARP_ETHERNET) return 0
  if (view.getUint16(arp + ARP.protocol) !== ARP_IPV4) return 0
  if (view.getUint16(arp + ARP.lengths) !== ARP_LENGTHS) return 0
  const target = arp + ARP.target
  return view.getInt32(arp + ARP.sender) === view.getInt32(target) ? 0 : target
}

function solicitationTarget(view: DataView, ip: number, bytes: number): number {
  if (bytes < IPV6_HEADER_BYTES + SOLICITATION_BYTES) return 0
  if (view.getUint8(ip + IPV6.nextHeader) !== IPPROTO_ICMPV6) return 0
  if (view.getUint8(ip + IPV6.hopLimit) !== HOP_LIMIT) return 0
  const icmp = ip + IPV6_HEADER_BYTES
  if (view.getUint8(icmp + SOLICITATION.type) !== SOLICITATION_TYPE) return 0
  if (view.getUint8(icmp + SOLICITATION.code) !== 0) return 0
  return icmp + SOLICITATION.target
}

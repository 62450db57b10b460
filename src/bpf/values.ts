import { AF_INET, AF_INET6 } from '../linux/constants.js'
import type { UdpFlow } from '../linux/udp-flow.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_DF } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { MAC_ENTRY, PEER_ENTRY, PEER_FLAGS, PREFIX_CARRIED, PREFIX_ENTRY, SOURCE_ENTRY } from './layout.js'

/** The keys and values of the maps as bytes, in the layouts of layout.ts. */

/** A flow over the underlay, and the interface that it takes. */
export interface Way extends UdpFlow {
  readonly ifindex: number
  /** The address of the next router; undefined if there is none. */
  readonly gateway?: Uint8Array | undefined
  /** What comes from there may have any source port. */
  readonly fromAnyPort?: boolean | undefined
}

/** What the kernel writes into packets of a socket that asks for nothing (net.ipv4.ip_default_ttl). */
const TTL = 64

export function macKey(mac: ArrayLike<number>): Uint8Array {
  const key = new Uint8Array(MAC_ENTRY.keyBytes)
  key.set(mac)
  return key
}

/** @param port a row, or `PORT_DEVICE`; with `PORT_PINNED` and `PORT_CARRIED` */
export function macValue(mac: ArrayLike<number>, port: number, seenNs: bigint): Uint8Array {
  const value = new Uint8Array(MAC_ENTRY.valueBytes)
  const view = new DataView(value.buffer)
  value.set(mac)
  view.setUint16(MAC_ENTRY.port, port, true)
  view.setBigUint64(MAC_ENTRY.seenNs, seenNs, true)
  return value
}

/** @param address 4 or 16 bytes. The kernel ignores the bits behind the prefix. */
export function prefixKey(address: ArrayLike<number>, prefixLength: number): Uint8Array {
  const key = new Uint8Array(PREFIX_ENTRY.address + address.length)
  new DataView(key.buffer).setUint32(0, prefixLength, true)
  key.set(address, PREFIX_ENTRY.address)
  return key
}

/** @param carried whether the kernel carries the peer */
export function prefixValue(row: number, carried: boolean): Uint8Array {
  const value = new Uint8Array(PREFIX_ENTRY.valueBytes)
  new DataView(value.buffer).setUint32(0, row | (carried ? PREFIX_CARRIED : 0), true)
  return value
}

export function rowKey(row: number): Uint8Array {
  const key = new Uint8Array(PEER_ENTRY.keyBytes)
  new DataView(key.buffer).setUint32(0, row, true)
  return key
}

/** @param longestFrameBytes that fits the path */
export function peerValue(row: number, way: Way, longestFrameBytes: number): Uint8Array {
  const value = new Uint8Array(PEER_ENTRY.valueBytes)
  const view = new DataView(value.buffer)
  const outer = new DataView(value.buffer, PEER_ENTRY.outer)
  const ipv6 = way.source.length === 16
  const nextHop = way.gateway ?? way.destination
  view.setUint32(PEER_ENTRY.nextHop, nextHop.length === 16 ? AF_INET6 : AF_INET, true)
  value.set(nextHop, PEER_ENTRY.nextHop + 4)
  view.setUint32(PEER_ENTRY.row, row, true)
  view.setUint32(PEER_ENTRY.flags, ipv6 ? PEER_FLAGS.ipv6 : 0, true)
  view.setUint32(PEER_ENTRY.ifindex, way.ifindex, true)
  view.setUint32(PEER_ENTRY.longestFrameBytes, longestFrameBytes, true)
  const udp = ipv6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES
  outer.setUint16(udp + UDP.ports, way.sourcePort)
  outer.setUint16(udp + UDP.ports + 2, way.destinationPort)
  const addresses = ipv6 ? IPV6 : IPV4
  value.set(way.source, PEER_ENTRY.outer + addresses.source)
  value.set(way.destination, PEER_ENTRY.outer + addresses.destination)
  if (ipv6) {
    outer.setUint32(IPV6.versionClassFlow, 0x6000_0000)
    outer.setUint8(IPV6.nextHeader, IPPROTO_UDP)
    outer.setUint8(IPV6.hopLimit, TTL)
    return value
  }
  outer.setUint8(IPV4.versionIhl, 0x45)
  outer.setUint16(IPV4.flagsFragment, IPV4_DF)
  outer.setUint8(IPV4.ttl, TTL)
  outer.setUint8(IPV4.protocol, IPPROTO_UDP)
  let sum = 0
  // As the program reads them. A sum of 16-bit words may be made in either byte order (RFC 1071, 2).
  for (let at = 0; at < IPV4_HEADER_BYTES; at += 2) sum += outer.getUint16(at, true)
  view.setUint32(PEER_ENTRY.headerSum, sum, true)
  return value
}

/** @param way from here to the peer: what comes back has the other direction */
export function sourceKey(way: Way): Uint8Array {
  const key = new Uint8Array(SOURCE_ENTRY.keyBytes)
  const view = new DataView(key.buffer)
  key.set(way.destination, SOURCE_ENTRY.source)
  key.set(way.source, SOURCE_ENTRY.destination)
  view.setUint32(SOURCE_ENTRY.ifindex, way.ifindex, true)
  if (!way.fromAnyPort) view.setUint16(SOURCE_ENTRY.port, way.destinationPort)
  return key
}

export function sourceValue(way: Way, row: number): Uint8Array {
  const value = new Uint8Array(SOURCE_ENTRY.valueBytes)
  value.set(sourceKey(way))
  new DataView(value.buffer).setUint32(SOURCE_ENTRY.row, row, true)
  return value
}

/** The peer's row in a value of {@link sourceValue}. */
export function rowOfSource(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset).getUint32(SOURCE_ENTRY.row, true)
}

import { internetChecksum } from '../wire/checksum.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { PROBE_MAC, PROBE_PROTOCOL } from '../wire/kernel-probe.js'

/** What shows that the programs of both ends carry frames: layout.ts says how the other end knows it. */
export interface Probe {
  /** Its destination in mode tap, and in mode tun. */
  readonly mac: Uint8Array
  readonly address: Uint8Array
  /** The IPv4 packet, and the Ethernet frame around it. */
  readonly packet: Uint8Array
  readonly frame: Uint8Array
}

/** A probe for the peer of a row. @param token six bytes; in mode tap they are a MAC */
export function probeFor(row: number, token: Uint8Array = new Uint8Array(6)): Probe {
  const [high, low] = [row >>> 8, row & 0xff]
  const mac = Uint8Array.of(...PROBE_MAC, high, low)
  const address = Uint8Array.of(0, 0, high, low)
  const frame = new Uint8Array(ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES)
  frame.set(mac, ETHERNET.destination)
  frame.set(token, ETHERNET.source)
  new DataView(frame.buffer).setUint16(ETHERNET.type, ETHERTYPE_IPV4)
  const packet = frame.subarray(ETHERNET_HEADER_BYTES)
  const view = new DataView(frame.buffer, ETHERNET_HEADER_BYTES)
  view.setUint8(IPV4.versionIhl, 0x45)
  view.setUint16(IPV4.totalLength, IPV4_HEADER_BYTES)
  packet.set(token.subarray(4), IPV4.id)
  view.setUint8(IPV4.ttl, 1)
  view.setUint8(IPV4.protocol, PROBE_PROTOCOL)
  packet.set(token.subarray(0, 4), IPV4.source)
  packet.set(address, IPV4.destination)
  view.setUint16(IPV4.checksum, internetChecksum(packet, 0, IPV4_HEADER_BYTES))
  return { mac, address, packet, frame }
}

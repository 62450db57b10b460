import { internetChecksum } from '../../../src/wire/checksum.js'
import { ETHERNET_HEADER_BYTES, type MacAddress, VLAN_TAG_BYTES } from '../../../src/wire/ethernet.js'

/** Frames that the tests inject. */

export const BROADCAST: MacAddress = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
/** Locally administered, as all sources here. It belongs to no host, so the kernel never sends from it. */
export const STRANGER: MacAddress = [0x02, 0x5a, 0, 0, 0, 0x01]
export const NOBODY: MacAddress = [0x02, 0x5a, 0, 0, 0, 0x02]
/** IEEE 802.1D: the group address of bridges, and the LLC header of their messages. */
const STP_GROUP: MacAddress = [0x01, 0x80, 0xc2, 0, 0, 0]
const STP_LLC = [0x42, 0x42, 0x03]

export const ETHERTYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  vlan: 0x8100,
  ipv6: 0x86dd,
  serviceVlan: 0x88a8,
  experimental: 0x88b6,
} as const

/** @param type an EtherType, or the payload's length in an 802.3 frame */
export function frame(to: MacAddress, type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(ETHERNET_HEADER_BYTES)
  header.set(to, 0)
  header.set(STRANGER, 6)
  header.writeUInt16BE(type, 12)
  return Buffer.concat([header, payload])
}

/** `inner` with a tag before its EtherType. */
export function tagged(inner: Buffer, tci: number, type: number = ETHERTYPE.vlan): Buffer {
  const tag = Buffer.alloc(VLAN_TAG_BYTES)
  tag.writeUInt16BE(type, 0)
  tag.writeUInt16BE(tci, 2)
  return Buffer.concat([inner.subarray(0, 12), tag, inner.subarray(12)])
}

/** A configuration BPDU of IEEE 802.1D: 35 bytes in LLC, padded to the shortest frame. */
export function bridgeProtocolUnit(): Buffer {
  const unit = Buffer.from([...STP_LLC, ...new Array<number>(35).fill(0)])
  unit.set([0x80, 0, ...STRANGER], 3 + 5)
  return frame(STP_GROUP, unit.length, padded(unit, 46))
}

export function padded(bytes: Uint8Array, least: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(Math.max(0, least - bytes.length))])
}

/** An IPv4 packet with a right checksum. @param flags the word with the flags and the fragment offset */
export function ipv4(
  protocol: number,
  payload: Uint8Array,
  options = Buffer.alloc(0),
  flags = 0x4000,
): Buffer {
  const header = Buffer.alloc(20 + options.length)
  header[0] = 0x40 | (header.length / 4)
  header.writeUInt16BE(header.length + payload.length, 2)
  header.writeUInt16BE(flags, 6)
  header[8] = 64
  header[9] = protocol
  header.set([10, 9, 0, 77], 12)
  header.set([10, 9, 0, 78], 16)
  header.set(options, 20)
  header.writeUInt16BE(internetChecksum(header, 0, header.length), 10)
  return Buffer.concat([header, payload])
}

/** An IPv6 packet between link-local addresses that no host has. */
export function ipv6(nextHeader: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(40)
  header[0] = 0x60
  header.writeUInt16BE(payload.length, 4)
  header[6] = nextHeader
  header[7] = 255
  header.set([0xfe, 0x80], 8)
  header[23] = 0x77
  header.set([0xfe, 0x80], 24)
  header[39] = 0x78
  return Buffer.concat([header, payload])
}

/** An ARP request or reply between addresses that no host has (RFC 826). */
export function arp(operation: 1 | 2): Buffer {
  const packet = Buffer.from([
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    operation,
    ...STRANGER,
    10,
    9,
    0,
    77,
    ...NOBODY,
    10,
    9,
    0,
    78,
  ])
  return padded(packet, 46)
}

/** A neighbour solicitation (RFC 4861, 4.3) for an address, without options and without a checksum. */
export function solicitation(target: readonly number[]): Buffer {
  const message = Buffer.alloc(24)
  message[0] = 135
  message.set(target, 8)
  return ipv6(58, message)
}

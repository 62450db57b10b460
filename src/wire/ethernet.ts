/**
 * Ethernet II frames (IEEE 802.3): destination MAC, source MAC, type, payload. On a tap there is no trailer
 * (FCS).
 */

/** Bytes before the payload of an untagged frame. */
export const ETHERNET_HEADER_BYTES = 14

/** Bytes that an 802.1Q tag adds. */
export const VLAN_TAG_BYTES = 4

export type MacAddress = readonly [number, number, number, number, number, number]

const MAC_TEXT =
  /^([0-9a-f]{2})[:-]([0-9a-f]{2})[:-]([0-9a-f]{2})[:-]([0-9a-f]{2})[:-]([0-9a-f]{2})[:-]([0-9a-f]{2})$/i

/** The six bytes of a MAC that is written with colons or dashes; undefined if the text is not a MAC. */
export function parseMac(text: string): MacAddress | undefined {
  const match = MAC_TEXT.exec(text)
  return match === null
    ? undefined
    : (match.slice(1).map((hex) => Number.parseInt(hex, 16)) as unknown as MacAddress)
}

export function formatMac(mac: Iterable<number>): string {
  return [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** Whether this is a group address: multicast or broadcast (IEEE 802, the I/G bit). No device can have one. */
export function isGroupMac(mac: ArrayLike<number>): boolean {
  return (mac[0] & 0x01) !== 0
}

/** Field offsets in bytes; fields are big-endian. In a tagged frame the tag is at the offset of the type. */
export const ETHERNET = { destination: 0, source: 6, type: 12 } as const

export const ETHERTYPE_IPV4 = 0x0800
export const ETHERTYPE_IPV6 = 0x86dd
/** 802.1Q and 802.1ad tags. */
export const ETHERTYPE_VLAN = 0x8100
export const ETHERTYPE_QINQ = 0x88a8

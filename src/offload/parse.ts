import {
  ETHERNET,
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  VLAN_TAG_BYTES,
} from '../wire/ethernet.js'

/**
 * Offset of the IP header from the start of a frame at `frame`. It is behind up to two VLAN tags; 0 in tun
 * mode.
 */
export function l3Offset(view: DataView, frame: number, l2Bytes: number): number {
  if (l2Bytes === 0) return 0
  let l3 = ETHERNET_HEADER_BYTES
  for (let tags = 0; tags < 2; tags++) {
    const type = view.getUint16(frame + l3 - ETHERNET_HEADER_BYTES + ETHERNET.type)
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) break
    l3 += VLAN_TAG_BYTES
  }
  return l3
}

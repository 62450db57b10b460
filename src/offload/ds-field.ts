import { CONGESTED, ECN_MASK, innerEcn } from '../wire/ecn.js'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { mendChecksum } from './bytes.js'
import { l3Offset } from './parse.js'

/** How far the DS field is from the low end of the first word of an IPv6 header. In IPv4 it is at that end. */
const IPV6_SHIFT = 4

/** Bits from the DS field to the low end of the first 16 bits of the IP header at `ip`; -1 if it is no IP header. */
function shiftAt(view: DataView, ip: number, l2Bytes: number): number {
  if (l2Bytes === 0) return view.getUint8(ip) >>> 4 === 4 ? 0 : IPV6_SHIFT
  const type = view.getUint16(ip - 2)
  return type === ETHERTYPE_IPV4 ? 0 : type === ETHERTYPE_IPV6 ? IPV6_SHIFT : -1
}

/**
 * The DS field (`wire/ecn.ts`) of the IP packet in a frame, also behind VLAN tags. It is 0 if the frame has none.
 * @param l2Bytes bytes of the frame before its IP header, without VLAN tags: 14, or 0 in tun mode
 */
export function dsField(view: DataView, frame: number, bytes: number, l2Bytes: number): number {
  const l3 = l3Offset(view, frame, l2Bytes)
  if (bytes < l3 + IPV4_HEADER_BYTES) return 0
  const shift = shiftAt(view, frame + l3, l2Bytes)
  return shift < 0 ? 0 : (view.getUint16(frame + l3) >>> shift) & 0xff
}

/**
 * Carries the ECN of the outer header into the IP packet in a frame, in place, and corrects the IPv4 checksum by the
 * difference. A frame without an IP packet stays as it is.
 * @param outer the DS field of the outer header
 * @param l2Bytes as in {@link dsField}
 * @returns false if the frame must be dropped
 */
export function takeEcn(
  view: DataView,
  frame: number,
  bytes: number,
  l2Bytes: number,
  outer: number,
): boolean {
  const l3 = l3Offset(view, frame, l2Bytes)
  if (bytes < l3 + IPV4_HEADER_BYTES) return true
  const ip = frame + l3
  const shift = shiftAt(view, ip, l2Bytes)
  if (shift < 0) return true
  const before = view.getUint16(ip)
  const inner = (before >>> shift) & ECN_MASK
  const ecn = innerEcn(inner, outer & ECN_MASK)
  if (ecn === CONGESTED) return false
  if (ecn === inner) return true
  const after = before ^ ((ecn ^ inner) << shift)
  view.setUint16(ip, after)
  if (shift === 0) mendChecksum(view, ip + IPV4.checksum, before, after)
  return true
}

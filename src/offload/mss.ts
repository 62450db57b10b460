import type { NativeMemory } from '../linux/memory.js'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, IPV6_MIN_MTU_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_FRAGMENT_OFFSET } from '../wire/ipv4.js'
import { ipv6Upper } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP, TCP_MIN_HEADER_BYTES, TCP_OPTION, TCP_SYN } from '../wire/tcp.js'
import { mendChecksum, swap16 } from './bytes.js'
import { l3Offset } from './parse.js'

/** Linux accepts no less (tcp_min_snd_mss in ip-sysctl). Segments of only a few bytes are used for attacks. */
const LEAST_MSS = 48

/**
 * Lowers the maximum segment size (MSS; RFC 9293, 3.7.1) that a SYN announces, so that segments fit into frames
 * of `longestFrameBytes`. This is for hosts that cannot see the device's MTU. It never raises the MSS and never
 * adds the option. The MSS does not go below {@link LEAST_MSS}, and for IPv6 not below what IPv6's least MTU
 * allows. The checksum is corrected by the difference (RFC 1624), so a wrong checksum stays wrong.
 * @param frame its offset in the memory; the frame is complete, with its checksum
 * @param l2Bytes bytes before the IP header, without VLAN tags: 14, or 0 in tun mode
 * @returns whether something was lowered
 */
export function clampMss(
  memory: NativeMemory,
  frame: number,
  bytes: number,
  l2Bytes: number,
  longestFrameBytes: number,
): boolean {
  const { view, u8 } = memory
  const l3 = l3Offset(view, frame, l2Bytes)
  if (bytes < l3 + IPV4_HEADER_BYTES + TCP_MIN_HEADER_BYTES) return false
  const type = l2Bytes === 0 ? 0 : view.getUint16(frame + l3 - 2)
  const ip = frame + l3
  const version = u8[ip] >>> 4
  let l4: number
  let mss = longestFrameBytes - l3 - TCP_MIN_HEADER_BYTES
  if (version === 4 && (l2Bytes === 0 || type === ETHERTYPE_IPV4)) {
    if (u8[ip + IPV4.protocol] !== IPPROTO_TCP) return false
    if ((view.getUint16(ip + IPV4.flagsFragment) & IPV4_FRAGMENT_OFFSET) !== 0) return false
    l4 = ip + (u8[ip] & 0x0f) * 4
    mss -= IPV4_HEADER_BYTES
  } else if (version === 6 && (l2Bytes === 0 || type === ETHERTYPE_IPV6)) {
    if (bytes < l3 + IPV6_HEADER_BYTES) return false
    const upper = ipv6Upper(view, ip, frame + bytes)
    if (upper < 0 || (upper & 0xff) !== IPPROTO_TCP) return false
    l4 = ip + (upper >>> 8)
    mss = Math.max(mss, IPV6_MIN_MTU_BYTES - TCP_MIN_HEADER_BYTES) - IPV6_HEADER_BYTES
  } else return false
  if (l4 + TCP_MIN_HEADER_BYTES > frame + bytes || (u8[l4 + TCP.flags] & TCP_SYN) === 0) return false
  return lowerMss(memory, l4, Math.min(l4 + (u8[l4 + TCP.dataOffset] >>> 4) * 4, frame + bytes), mss)
}

function lowerMss({ view, u8 }: NativeMemory, l4: number, end: number, fitting: number): boolean {
  const most = Math.max(fitting, LEAST_MSS)
  let lowered = false
  for (let at = l4 + TCP.options; at < end; ) {
    const kind = u8[at]
    if (kind === TCP_OPTION.end) break
    if (kind === TCP_OPTION.noOperation) {
      at++
      continue
    }
    const length = at + 1 < end ? u8[at + 1] : 0
    if (length < 2 || at + length > end) break
    if (kind === TCP_OPTION.maximumSegmentSize && length === 4) {
      const mss = view.getUint16(at + 2)
      if (mss > most) {
        view.setUint16(at + 2, most)
        // The words of the checksum begin at even offsets.
        const odd = ((at - l4) & 1) !== 0
        mendChecksum(view, l4 + TCP.checksum, odd ? swap16(mss) : mss, odd ? swap16(most) : most)
        lowered = true
      }
    }
    at += length
  }
  return lowered
}

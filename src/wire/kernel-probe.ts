import { IPV4_HEADER_BYTES } from './ip.js'
import { IPV4 } from './ipv4.js'

/**
 * The destination of probes in mode tap: these bytes, and the row of the peer at the sender, big-endian. A probe is an
 * IPv4 packet that goes out by the device as any other frame does. Its source is a random MAC, by which its answer names
 * it. The program at the other end tells main of it, and the device does not get it.
 */
export const PROBE_MAC = [0x02, 0x75, 0x64, 0x70] as const

/**
 * The same in mode tun: an IPv4 packet of this protocol (RFC 3692, for experiments) to 0.0.x.y, which is no host (RFC
 * 1122, 3.2.1.3), if x.y is the row. Its source address and its identification are the six bytes of the name.
 */
export const PROBE_PROTOCOL = 253

/** {@link PROBE_MAC} as a number. */
const PROBE_WORD = PROBE_MAC.reduce((word, byte) => (word << 8) | byte, 0)

/**
 * Whether a frame that came by the socket is a probe. It has come another way than the programs take, so that it proves
 * nothing. @param ethernet whether there is an Ethernet header, as in mode tap
 */
export function isKernelProbe(view: DataView, frame: number, bytes: number, ethernet: boolean): boolean {
  if (ethernet) return view.getInt32(frame) === PROBE_WORD
  if (view.getUint8(frame) !== 0x45 || bytes !== IPV4_HEADER_BYTES) return false
  return (
    view.getUint8(frame + IPV4.protocol) === PROBE_PROTOCOL && view.getUint16(frame + IPV4.destination) === 0
  )
}

import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from './ip.js'
import { IPV4 } from './ipv4.js'
import { IPV6 } from './ipv6.js'
import { PADDING_BYTES } from './wireguard.js'

/**
 * Padding hides some of the length of what is sealed. The length becomes a multiple of 16 bytes, but padding
 * never exceeds what the path carries.
 *
 * In tun mode the padding is zeros, as in WireGuard: the IP header contains the length of the packet (white
 * paper, section 5.4.6). An Ethernet frame does not contain its length. In tap mode there is therefore always a
 * last byte. It counts itself and the zeros before it.
 */

/**
 * Pads the `bytes` bytes at `at`, and overwrites what follows them.
 * @param limit padding must not make the length greater than this
 * @param counted whether the last byte counts the padding, as in tap mode
 * @returns the length with padding
 */
export function pad(u8: Uint8Array, at: number, bytes: number, limit: number, counted: boolean): number {
  const least = counted ? bytes + 1 : bytes
  const whole = (least + PADDING_BYTES - 1) & -PADDING_BYTES
  const padded = whole <= limit ? whole : Math.max(least, limit)
  for (let i = at + bytes; i < at + padded; i++) u8[i] = 0
  if (counted) u8[at + padded - 1] = padded - bytes
  return padded
}

/**
 * The length without padding of the `bytes` opened bytes (at least one) at `at`; -1 if the padding is invalid.
 * @param counted as for {@link pad}
 */
export function unpad(view: DataView, at: number, bytes: number, counted: boolean): number {
  if (counted) {
    const padding = view.getUint8(at + bytes - 1)
    return padding >= 1 && padding <= bytes ? bytes - padding : -1
  }
  const version = view.getUint8(at) >>> 4
  let length = -1
  if (version === 4 && bytes >= IPV4_HEADER_BYTES) length = view.getUint16(at + IPV4.totalLength)
  else if (version === 6 && bytes >= IPV6_HEADER_BYTES)
    length = IPV6_HEADER_BYTES + view.getUint16(at + IPV6.payloadLength)
  return length <= bytes ? length : -1
}

/**
 * The Internet checksum (RFC 1071) of `bytes` bytes at `offset`: the ones' complement of the ones' complement
 * sum of the big-endian 16-bit words. An odd last byte is padded with zero. Over bytes that include a right
 * checksum, the result is 0.
 */
export function internetChecksum(u8: Uint8Array, offset: number, bytes: number): number {
  let sum = 0
  const end = offset + bytes
  for (let at = offset; at + 1 < end; at += 2) sum += (u8[at] << 8) | u8[at + 1]
  if ((bytes & 1) !== 0) sum += u8[end - 1] << 8
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000)
  return ~sum & 0xffff
}

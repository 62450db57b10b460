import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpFamily } from '../../src/wire/ip.js'
import { IPV6_FRAGMENT_HEADER_BYTES } from '../../src/wire/ipv6.js'

/** All but the last fragment carry a multiple of this (RFC 791, 3.2; RFC 8200, 4.5). */
const UNIT_BYTES = 8

/** The lengths of the IP packets in which a packet passes a link, in bytes: it alone, or its fragments. */
export function fragmentsOf(packetBytes: number, mtuBytes: number, family: IpFamily): number[] {
  if (packetBytes <= mtuBytes) return [packetBytes]
  const ipBytes = family === 'ipv4' ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES
  const headerBytes = ipBytes + (family === 'ipv4' ? 0 : IPV6_FRAGMENT_HEADER_BYTES)
  const room = mtuBytes - headerBytes
  const lengths: number[] = []
  for (let left = packetBytes - ipBytes; left > 0; ) {
    const payload = left <= room ? left : room & -UNIT_BYTES
    lengths.push(headerBytes + payload)
    left -= payload
  }
  return lengths
}

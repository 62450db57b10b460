import ipaddr from 'ipaddr.js'
import { formatPrefix, type Network } from '../../config/addresses.js'

/** A network as numbers, because thousands of them are compared with each other. */
export interface NumericNetwork {
  readonly text: string
  /** 32 or 128. */
  readonly bits: number
  readonly value: bigint
  readonly prefixLength: number
}

export function numeric(network: Network): NumericNetwork {
  const bytes = ipaddr.parse(network.address).toByteArray()
  return {
    text: formatPrefix(network),
    bits: bytes.length * 8,
    value: bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n),
    prefixLength: network.prefixLength,
  }
}

/**
 * What an address is in its network if no host can have it: its number, or its broadcast address. IPv6 has no broadcasts. A
 * network of two addresses has neither (RFC 3021, RFC 6164).
 */
export function reservedAs({
  bits,
  value,
  prefixLength,
}: Omit<NumericNetwork, 'text'>): 'number' | 'broadcast address' | undefined {
  const size = 1n << BigInt(bits - prefixLength)
  const host = value & (size - 1n)
  if (size <= 2n) return undefined
  if (host === 0n) return 'number'
  return bits === 32 && host === size - 1n ? 'broadcast address' : undefined
}

/** Whether they have addresses in common. One is then a part of the other, or the same. */
export function overlaps(a: NumericNetwork, b: NumericNetwork): boolean {
  if (a.bits !== b.bits) return false
  return (a.value ^ b.value) >> BigInt(a.bits - Math.min(a.prefixLength, b.prefixLength)) === 0n
}

/** Whether all addresses of `a` are in `b`. */
export function isWithin(a: NumericNetwork, b: NumericNetwork): boolean {
  return a.prefixLength >= b.prefixLength && overlaps(a, b)
}

/** The same, and `b` has others. */
export function isPartOf(a: NumericNetwork, b: NumericNetwork): boolean {
  return a.prefixLength > b.prefixLength && overlaps(a, b)
}

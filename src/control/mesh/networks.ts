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

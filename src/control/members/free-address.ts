import ipaddr from 'ipaddr.js'
import type { Network } from '../../config/addresses.js'
import { type NumericNetwork, numeric, overlaps } from '../mesh/networks.js'

/** So many addresses are looked at. There are at most some thousand that are taken. */
const MOST = 65_536

/**
 * The first address of a network that nobody has, after the network's own number.
 * @param taken addresses and networks that are not given away. One that has all of the network inside takes nothing.
 * @returns undefined if there is none
 */
export function freeAddress(network: Network, taken: readonly Network[]): string | undefined {
  const { bits, value, prefixLength } = numeric(network)
  const size = 1n << BigInt(bits - prefixLength)
  const base = value & ~(size - 1n)
  const inside = taken.map(numeric).filter((it) => it.bits === bits && it.prefixLength > prefixLength)
  const hosts = new Set(inside.filter((it) => it.prefixLength === bits).map((it) => it.value))
  const networks = inside.filter((it) => it.prefixLength < bits)
  // A network of two addresses has neither a number nor a broadcast address (RFC 3021). IPv6 has no broadcasts.
  const isPair = size <= 2n
  const end = bits === 32 && !isPair ? size - 1n : size
  for (let offset = isPair ? 0n : 1n; offset < end && offset < MOST; offset++) {
    const host: NumericNetwork = { text: '', bits, value: base + offset, prefixLength: bits }
    if (!hosts.has(host.value) && !networks.some((it) => overlaps(it, host))) return textOf(host)
  }
  return undefined
}

function textOf({ value, bits }: NumericNetwork): string {
  const hex = value.toString(16).padStart(bits / 4, '0')
  return ipaddr.fromByteArray([...Buffer.from(hex, 'hex')]).toString()
}

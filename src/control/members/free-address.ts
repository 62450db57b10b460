import ipaddr from 'ipaddr.js'
import type { Network } from '../../config/addresses.js'
import { type NumericNetwork, numeric, overlaps, reservedAs } from '../mesh/networks.js'

/** So many addresses are looked at. There are at most some thousand that are taken. */
const MOST = 65_536

/**
 * The first address of a network that a host can have and nobody has.
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
  for (let offset = 0n; offset < size && offset < MOST; offset++) {
    const value = base + offset
    if (reservedAs({ bits, value, prefixLength }) !== undefined) continue
    const host: NumericNetwork = { text: '', bits, value, prefixLength: bits }
    if (!hosts.has(host.value) && !networks.some((it) => overlaps(it, host))) return textOf(host)
  }
  return undefined
}

function textOf({ value, bits }: NumericNetwork): string {
  const hex = value.toString(16).padStart(bits / 4, '0')
  return ipaddr.fromByteArray([...Buffer.from(hex, 'hex')]).toString()
}

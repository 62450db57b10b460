import { addressBits, formatPrefix, type Network, type Prefix } from '../config/addresses.js'
import { NetworkSet } from './network-set.js'

/** How the packets for the peers' networks are led to the device. */
export interface RoutePlan {
  /** By routes in the table that all packets use, the longest prefix first. */
  readonly direct: readonly Prefix[]
  /**
   * By routes in a table of their own, and rules: networks of all addresses, and those with a peer's endpoint
   * inside. A direct route would lead the tunnel's own datagrams into the tunnel.
   */
  readonly byRule: readonly Prefix[]
}

/** @param endpoints addresses where peers are, without a zone */
export function planRoutes(prefixes: readonly Prefix[], endpoints: readonly string[]): RoutePlan {
  const all = new NetworkSet(prefixes)
  const around = new Set(
    endpoints.flatMap((address) => {
      const prefixLength = addressBits(address.includes(':') ? 'ipv6' : 'ipv4')
      return all.containing({ address, prefixLength }).map(formatPrefix)
    }),
  )
  const isByRule = (it: Prefix) => it.prefixLength === 0 || around.has(formatPrefix(it))
  const sorted = longestFirst(prefixes)
  return { direct: sorted.filter((it) => !isByRule(it)), byRule: sorted.filter(isByRule) }
}

/** Where none of the tunnel's own datagrams are: all by routes in the table that all packets use. */
export function planDirect(prefixes: readonly Prefix[]): RoutePlan {
  return { direct: longestFirst(prefixes), byRule: [] }
}

function longestFirst(prefixes: readonly Prefix[]): Prefix[] {
  return [...prefixes].sort((a, b) => b.prefixLength - a.prefixLength)
}

/**
 * Those for which a route must be made, because no route by the device leads there yet. As in wg-quick(8), a network
 * that is inside another one's route needs none of its own, and the longest prefixes come first.
 * @param present networks to which routes by the device lead
 */
export function uncovered(wanted: readonly Prefix[], present: Iterable<Network>): Prefix[] {
  const covered = new NetworkSet(present)
  return wanted.filter((prefix) => {
    if (covered.containing(prefix).length > 0) return false
    covered.add(prefix)
    return true
  })
}

import type { Settings } from '../config/schema.js'
import { RT_TABLE_MAIN } from '../linux/constants.js'
import type { Netlink } from '../linux/netlink.js'
import { hasRoutes } from '../linux/route.js'
import { type Rule, rulePriorities } from '../linux/rule.js'

/** The first table that wg-quick(8) tries, and the first mark. */
const FIRST_TABLE = 51_820

/** The first number, from that of wg-quick(8) on, of a table without any route. @throws KernelError */
export function freeTable(netlink: Netlink): number {
  const isUsed = (table: number) =>
    hasRoutes(netlink, { family: 'ipv4', table }) || hasRoutes(netlink, { family: 'ipv6', table })
  let table = FIRST_TABLE
  while (isUsed(table)) table++
  return table
}

/**
 * The mark that the tunnel's own datagrams get if the settings give none. It is chosen before the first look-up of a
 * route, so that the path MTU is not looked for twice. @returns 0 if no prefix is a default route
 * @throws KernelError
 */
export function markFor({ mode, table, peers, netns }: MarkSettings, netlink: Netlink): number {
  // In its own namespace the device's default route leads nothing of the tunnel's own into the tunnel.
  if (netns !== undefined) return 0
  const isDefault = peers.some(({ prefixes }) => prefixes.some(({ prefixLength }) => prefixLength === 0))
  return mode === 'tun' && table === 'auto' && isDefault ? freeTable(netlink) : 0
}

type MarkSettings = Pick<Settings, 'mode' | 'table' | 'peers' | 'netns'>

/**
 * The rules by which all packets but the tunnel's own datagrams find the routes in `table`, as those of wg-quick(8):
 * `not fwmark N table N`, and before it `table main suppress_prefixlength 0`. Thus what main says of a network in
 * particular still counts, and its default route counts only for the tunnel's own datagrams. So nothing needs to be
 * changed when that route changes.
 * @param priorities of the rules that there are, the first one first
 */
export function defaultRules(family: Rule['family'], table: number, priorities: readonly number[]): Rule[] {
  // What the kernel chooses: before all rules but the very first, which is for the table "local".
  const next = Math.max(2, priorities[1] ?? 0)
  return [
    { family, priority: next - 1, table, notMark: table },
    { family, priority: next - 2, table: RT_TABLE_MAIN, suppressPrefixLength: 0 },
  ]
}

/** @throws KernelError */
export function defaultRulesNow(netlink: Netlink, family: Rule['family'], table: number): Rule[] {
  return defaultRules(family, table, rulePriorities(netlink, family))
}

import type { DeviceRoute } from '../linux/route.js'
import type { Rule } from '../linux/rule.js'

/** One thing that a tunnel sets on this host beside its device, with all that is needed to take it back. */
export type Change =
  | ({ readonly kind: 'route' } & DeviceRoute)
  | ({ readonly kind: 'rule' } & Rule)
  | Sysctl
  | Firewall
  | NameServers
  | HostNames

/** A file in /proc/sys. */
export interface Sysctl {
  readonly kind: 'sysctl'
  /** Such as `net/ipv4/conf/all/src_valid_mark`. */
  readonly name: string
  readonly before: string
  readonly value: string
}

/** A table of nftables (nft(8)). */
export interface Firewall {
  readonly kind: 'firewall'
  readonly family: 'ip' | 'ip6'
  readonly table: string
}

/** The name servers and search domains of the device. */
export interface NameServers {
  readonly kind: 'names'
  readonly program: 'resolvectl' | 'resolvconf'
  /** What the program calls them. */
  readonly name: string
}

/** Names of hosts in a file (hosts(5)). */
export interface HostNames {
  readonly kind: 'hosts'
  readonly path: string
  /** Tells the block of lines from others (hosts-block.ts). */
  readonly label: string
}

/** Whether a change is in a file, so that it outlives a boot, and counts in each network namespace. */
export function isInFile(change: Change): change is HostNames {
  return change.kind === 'hosts'
}

/** What each kind is called in the log. */
export const KINDS: Readonly<Record<Change['kind'], string>> = {
  route: 'routes',
  rule: 'rules',
  sysctl: 'settings in /proc/sys',
  firewall: 'tables of nftables',
  names: 'name servers',
  hosts: 'names of hosts',
}

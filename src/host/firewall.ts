import type { Ended } from './program.js'
import { runProgram } from './program.js'

/** What the rules of a tunnel with a default route need. */
export interface FirewallOptions {
  readonly family: 'ip' | 'ip6'
  /** The table's name. */
  readonly table: string
  /** The tunnel's device. */
  readonly device: string
  /** The device's addresses of this family. */
  readonly addresses: readonly string[]
  /** The mark of the tunnel's own datagrams. */
  readonly mark: number
}

/**
 * Rules for nftables (nft(8)), to the same ends as those of wg-quick(8):
 *
 * - A packet for the device's address that comes by another interface, from another host, is dropped. Without this,
 *   a neighbour on the underlay could send to the address inside the tunnel.
 * - What answers the tunnel's datagrams gets their mark: so strict reverse-path filtering (rp_filter=1) finds that
 *   its sender is where it comes from. This includes ICMP errors, from which the path MTU is learnt.
 *
 * `create` fails if there is such a table, `iif` keeps the device's number and not its name.
 */
export function firewallText({ family, table, device, addresses, mark }: FirewallOptions): string {
  const icmp = family === 'ip' ? 'icmp' : 'ipv6-icmp'
  const drops = addresses.map(
    (address) => `    iif != "${device}" ${family} daddr ${address} fib saddr type != local drop\n`,
  )
  return `create table ${family} ${table}
table ${family} ${table} {
  chain foreign {
    type filter hook prerouting priority -300;
${drops.join('')}  }
  chain answers {
    type filter hook prerouting priority -150;
    meta l4proto { udp, ${icmp} } ct mark ${mark} meta mark set ${mark}
  }
  chain datagrams {
    type filter hook postrouting priority -150;
    meta l4proto udp meta mark ${mark} ct mark set ${mark}
  }
}
`
}

/** @returns undefined if there is no nft */
export function makeFirewall(options: FirewallOptions): Promise<Ended | undefined> {
  return runProgram('nft', ['-f', '-'], firewallText(options))
}

/** Puts other rules in the place of those that there are, at once. */
export function replaceFirewall(options: FirewallOptions): Promise<Ended | undefined> {
  const { family, table } = options
  return runProgram('nft', ['-f', '-'], `delete table ${family} ${table}\n${firewallText(options)}`)
}

export function removeFirewall(family: 'ip' | 'ip6', table: string): Promise<Ended | undefined> {
  return runProgram('nft', ['delete', 'table', family, table])
}

import type { StatusReport } from '../control/status.js'

/** The capabilities that the program uses, by their number in <linux/capability.h>. */
export const CAPABILITIES = { NET_ADMIN: 12, NET_RAW: 13, BPF: 39 } as const

export type Capability = keyof typeof CAPABILITIES

/** What the checks look at. Nothing in here is asked for again. */
export interface Facts {
  /** The tunnel's answer; undefined if none runs, or it does not answer. */
  readonly status: StatusReport | undefined
  /** Why there is no answer of a tunnel that was asked for; null if there is one, or none was asked for. */
  readonly noAnswer: string | null
  /** The number of the tunnel's process here; undefined if none runs, or it cannot be seen from here. */
  readonly pid: number | undefined
  /** Where datagrams of other hosts may come to: not to loopback, and not to the tunnel's own device. */
  readonly own: { readonly addresses: readonly string[]; readonly interfaces: readonly string[] }
  /** `/dev/net/tun`: the device node and the driver. */
  readonly tun: { readonly node: 'usable' | 'missing' | 'forbidden'; readonly driver: boolean }
  /** Of the tunnel's process, or of this one if there is no answer of a tunnel; undefined if they are not known. */
  readonly capabilities: Readonly<Record<Capability, boolean>> | undefined
  /** The UDP port that the tunnel listens on, or would listen on. */
  readonly port: number
  /** Whether any socket of this network namespace has this port. */
  readonly portTaken: boolean
  readonly firewall: FirewallFacts
  readonly reversePath: {
    /** The effective `rp_filter` of each interface that has an IPv4 address, without loopback and the device. */
    readonly filters: Readonly<Record<string, number>>
    /** Packets that it has dropped (`IPReversePathFilter` of /proc/net/netstat). */
    readonly dropped: number
  }
  /** Undefined if nothing tracks connections. */
  readonly conntrack: { readonly count: number; readonly max: number } | undefined
  /** The names of the peers to which netfilter changes addresses or ports. */
  readonly translated: readonly string[]
  /** The names of the peers to which the kernel's way leads into the tunnel's own device. */
  readonly looped: readonly string[]
  readonly clock: {
    readonly nowMs: number
    /** When this host's clock has been at least, as the files say that keep it. */
    readonly leastMs: number
  }
}

export interface FirewallFacts {
  /** The list `nftables` of `nft -j list ruleset`, without dormant tables; undefined if it cannot be had. */
  readonly ruleset: readonly unknown[] | undefined
  /** Why it cannot be had. */
  readonly why: string | null
  /** Whether rules of the older iptables are there, too, which nft does not show. */
  readonly legacy: boolean
}

import { compare, type Datagram, field, type Truth } from './nft-match.js'

/** A base chain that a datagram may pass. */
export interface BaseChain {
  /** Its family, its table and its name. */
  readonly place: readonly string[]
  readonly drops: boolean
  /** Whether the datagram passes it at all. */
  readonly isPassed: Truth
  /** The datagram as its rules see it. */
  readonly datagram: Datagram
}

/** The hooks on the way in and out, in the order in which a datagram passes them (nft(8)). */
const HOOKS = {
  input: ['ingress', 'prerouting', 'input'],
  output: ['output', 'postrouting', 'egress'],
} as const

/** Connection tracking has this priority at the hooks that come first (<linux/netfilter_ipv4.h>). */
const CONNTRACK = -200

/** The base chains on a datagram's way, in the order in which it passes them. */
export function baseChains(ruleset: readonly unknown[], datagram: Datagram): BaseChain[] {
  const families = ['netdev', 'inet', datagram.family === 'ipv4' ? 'ip' : 'ip6']
  const chains = ruleset
    .map((it) => field(it, 'chain'))
    .filter((it) => families.includes(String(field(it, 'family'))))
    .sort((a, b) => priorityOf(a) - priorityOf(b))
  return HOOKS[datagram.hook].flatMap((hook) =>
    chains.filter((it) => field(it, 'hook') === hook).map((it) => seen(it, hook, datagram)),
  )
}

function seen(chain: unknown, hook: string, datagram: Datagram): BaseChain {
  const isUntracked =
    hook === 'ingress' || (hook !== 'input' && hook !== 'postrouting' && priorityOf(chain) < CONNTRACK)
  return {
    place: ['family', 'table', 'name'].map((key) => String(field(chain, key))),
    drops: field(chain, 'policy') === 'drop',
    isPassed: isPassed(chain, hook, datagram),
    datagram: isUntracked ? { ...datagram, state: 'invalid' } : datagram,
  }
}

function isPassed(chain: unknown, hook: string, datagram: Datagram): Truth {
  // Only what begins a connection comes to NAT.
  if (field(chain, 'type') === 'nat') return datagram.state === 'new' ? 'yes' : 'no'
  if (hook !== 'ingress' && hook !== 'egress') return 'yes'
  // Such a chain is for one or several devices. Some versions of nft leave them out.
  const devices = field(chain, 'dev')
  return devices === undefined ? 'unknown' : compare(datagram.interface, devices)
}

function priorityOf(chain: unknown): number {
  return Number(field(chain, 'prio')) || 0
}

import { isIPv6 } from 'node:net'
import type { PeerStatus, StatusReport } from '../control/status.js'
import type { Facts } from './facts.js'
import { doubtful, type Finding, fine, wrong } from './finding.js'
import type { Datagram } from './nft-match.js'
import { type Fate, fateOf } from './ruleset.js'

/** Whether the rules of this network namespace drop the tunnel's datagrams. */
export function checkFirewall(facts: Facts): Finding[] {
  const { firewall, status } = facts
  const legacy = firewall.legacy
    ? [
        doubtful(
          'firewall.legacy',
          'there are rules of the older iptables, which were not looked at',
          'look at them with: iptables-legacy -vnL; ip6tables-legacy -vnL',
        ),
      ]
    : []
  const { ruleset, why } = firewall
  if (ruleset === undefined)
    return [
      doubtful(
        'firewall.not_seen',
        `the firewall's rules were not looked at, because ${why}`,
        'look at them yourself, such as with: nft list ruleset',
      ),
      ...legacy,
    ]
  const known = status?.peers.filter((it) => it.endpoint !== null) ?? []
  const found = known.flatMap((peer) => ofPeer(ruleset, facts, peer))
  const anybody = areAllKnown(status) ? [] : ofPeer(ruleset, facts, undefined)
  const more = anybody.filter(({ id }) => !found.some((it) => it.id === id))
  if (found.length + more.length > 0) return [...found, ...more, ...legacy]
  const unseen = 'XDP, tc, IPsec, rules for bridges and firewalls on the way cannot be seen from here'
  return [fine('firewall.open', `no rule of nftables drops the tunnel's datagrams; ${unseen}`), ...legacy]
}

/** Whether nobody else may come. What is for all is for each of the peers, so it is not looked at again then. */
function areAllKnown(status: StatusReport | undefined): boolean {
  const peers = status?.peers ?? []
  return peers.length > 0 && peers.every((it) => it.endpoint !== null)
}

/** @param peer undefined for whoever may come */
function ofPeer(ruleset: readonly unknown[], facts: Facts, peer: PeerStatus | undefined): Finding[] {
  const { port, status, own } = facts
  // With VXLAN, it sends from several ports, those of a peer may be any, and all ends listen on one port.
  const sourcePorts = status?.source_ports ?? [port]
  const name = peer?.name ?? null
  const { address, port: far } = splitEndpoint(peer?.endpoint ?? undefined)
  const isV6 = isIPv6(address ?? onlyAddress(status))
  const here = own.addresses.filter((it) => isIPv6(it) === isV6)
  const common = {
    family: isV6 ? 'ipv6' : 'ipv4',
    interface: peer?.underlay?.interface ?? listed(own.interfaces),
  } as const
  const hasOwnPort = sourcePorts.includes(port)
  const sourcePort = hasOwnPort ? far : undefined
  const ends = { source: address, sourcePort, destination: listed(here), destinationPort: port }
  const output = { ...common, hook: 'output', destination: address, destinationPort: far } as const
  // A tunnel that knows nobody to send to only answers.
  const state = peer === undefined && status !== undefined ? 'established' : 'new'
  const outward = sourcePorts.map((it) => fates(ruleset, { ...output, sourcePort: it }, state))
  const worst = outward.find(({ first, answer }) => [first, answer].some(({ dropped }) => dropped === 'yes'))
  return [
    ...verdict('in', fates(ruleset, { ...common, ...ends, hook: 'input' }), name, `udp dport ${port}`, port),
    ...verdict(
      'out',
      worst ?? outward[0],
      name,
      hasOwnPort ? `udp sport ${port}` : `udp dport ${port}`,
      port,
    ),
  ]
}

/** Where the tunnel listens; an IPv4 address if that is everywhere. */
function onlyAddress(status: StatusReport | undefined): string {
  const { address = '::' } = splitEndpoint(status?.listen)
  return address === '::' ? '0.0.0.0' : address
}

function listed(all: readonly string[]): readonly string[] | undefined {
  return all.length === 0 ? undefined : all
}

/** @param state of the first datagram */
function fates(
  ruleset: readonly unknown[],
  datagram: Omit<Datagram, 'state'>,
  state: Datagram['state'] = 'new',
) {
  return {
    first: fateOf(ruleset, { ...datagram, state }),
    answer: fateOf(ruleset, { ...datagram, state: 'established' }),
  }
}

function verdict(
  way: 'in' | 'out',
  { first, answer }: { readonly first: Fate; readonly answer: Fate },
  peer: string | null,
  match: string,
  port: number,
): Finding[] {
  const what = way === 'in' ? `datagrams that come to UDP port ${port}` : `the tunnel's datagrams (${match})`
  const chainOf = ({ chain }: Fate) => `the firewall's chain "${chain}"`
  const advice = (chain = '') => `accept them, such as with: nft insert rule ${chain} ${match} accept`
  if (answer.dropped === 'yes')
    return [wrong(`firewall.drops_${way}`, `${chainOf(answer)} drops ${what}`, advice(answer.chain), peer)]
  if (first.dropped === 'yes' && way === 'out')
    return [wrong('firewall.drops_out', `${chainOf(first)} drops ${what}`, advice(first.chain), peer)]
  if (first.dropped === 'yes')
    return [
      doubtful(
        'firewall.answers_only',
        `${chainOf(first)} drops ${what}, except for answers: the peer is heard only while this host sends`,
        advice(first.chain),
        peer,
      ),
    ]
  const maybe = [answer, first].find(({ dropped }) => dropped === 'unknown')
  if (maybe === undefined) return []
  return [
    doubtful(
      `firewall.may_drop_${way}`,
      `${chainOf(maybe)} may drop ${what}: that depends on a rule which cannot be decided here`,
      `look at it with: nft -a list chain ${maybe.chain}`,
      peer,
    ),
  ]
}

/** Address and port of `198.51.100.1:5149` or `[2001:db8::1]:5149`. */
export function splitEndpoint(endpoint: string | undefined): { address?: string; port?: number } {
  const [, six, four, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(endpoint ?? '') ?? []
  const address = (six ?? four)?.replace(/%.*/, '')
  return address === undefined ? {} : { address, port: Number(port) }
}

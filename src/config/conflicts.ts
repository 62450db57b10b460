import ipaddr from 'ipaddr.js'
import { formatKey } from '../key-text.js'
import { formatMac } from '../wire/ethernet.js'
import { IPV6_MIN_MTU_BYTES } from '../wire/ip.js'
import { contains } from './addresses.js'
import { nameOf } from './peer-names.js'
import { troubleOfOwn, troubleOfPeers } from './record-peer.js'
import { MAX_OVERLAY, MAX_RULE_ENTRIES, type PeerSettings, type Settings } from './schema.js'

/** The place of a setting: its key. For a peer's setting: `peers`, the index of the peer, and the key. */
export type SettingPath = readonly (string | number)[]

/** A conflict between settings that are each right: the place, and the rest of the sentence. */
export type Conflict = readonly [path: SettingPath, message: string]

/** @param single whether the settings of the one peer are at the top level */
export function conflictOfKeys(settings: Settings, single: boolean): Conflict | undefined {
  const { private_key_file: own, accept_any, crypto_workers, peers } = settings
  for (const [index, peer] of peers.entries()) {
    const { name, endpoint, public_key, preshared_key_file, persistent_keepalive } = peer
    const path = (key: string): SettingPath => (single ? [key] : ['peers', index, key])
    if (own !== undefined && public_key === undefined)
      return [
        single ? ['private_key_file'] : ['peers', index],
        `"${name}" has no public_key (--peer-key), and a private tunnel must know whom it talks to; give the key that udptun-fast pubkey prints on that host`,
      ]
    if (own === undefined && public_key !== undefined)
      return [
        path('public_key'),
        'is of no use without a private_key_file of this host; make one with: umask 077; udptun-fast keygen > a.key',
      ]
    if (own === undefined && preshared_key_file !== undefined)
      return [
        path('preshared_key_file'),
        'is used beside the keys of both hosts; give a private_key_file and a public_key, too',
      ]
    if (own === undefined && persistent_keepalive !== undefined)
      return [path('persistent_keepalive'), 'is for private tunnels; leave it out']
    if (own === undefined && endpoint === undefined)
      return [['peers', index], 'has no endpoint; give it one, such as host-b']
  }
  if (own === undefined && crypto_workers !== 'auto' && crypto_workers > 0)
    return [['crypto_workers'], 'is for private tunnels, because others seal nothing; leave it out']
  if (own !== undefined && accept_any)
    return [['accept_any'], 'makes no sense in a private tunnel, because keys tell who is who; leave it out']
  return undefined
}

/** @param single as in {@link conflictOfKeys} */
export function conflictOfIntroductions(
  { introduce, private_key_file, relay, peers }: Settings,
  single: boolean,
): Conflict | undefined {
  const index = peers.findIndex(({ introducer }) => introducer)
  const theirs = single ? ['introducer'] : ['peers', index, 'introducer']
  if (private_key_file === undefined && (index >= 0 || introduce))
    return [
      index >= 0 ? theirs : ['introduce'],
      'is for private tunnels, because only keys tell members apart; give a private_key_file, or leave it out',
    ]
  if (introduce && relay)
    return [
      ['introduce'],
      'makes no sense with relay, because frames would come twice, from here and from the peer itself; leave one of them out',
    ]
  return undefined
}

export function conflictOfDiscovery({ discovery, private_key_file, record }: Settings): Conflict | undefined {
  if (discovery === undefined) return undefined
  if (private_key_file === undefined)
    return [
      ['discovery'],
      'is for private tunnels, because only keys tell members apart; give a private_key_file',
    ]
  const { name } = discovery.etcd
  if (name === undefined || record === undefined || name === record.name) return undefined
  return [
    ['discovery'],
    `etcd.name is "${name}", but the signed record of this host has "${record.name}"; leave the name out`,
  ]
}

export function conflictOfRecords({
  network_key,
  record,
  private_key_file,
  peers,
}: Settings): Conflict | undefined {
  const first = network_key === undefined ? 'record' : 'network_key'
  if ((network_key ?? record) !== undefined && private_key_file === undefined)
    return [[first], 'is for private tunnels; give a private_key_file, or leave it out']
  const own = troubleOfOwn({ network_key, record, private_key_file })
  if (own !== undefined) return [['record'], own]
  for (const [index, peer] of peers.entries()) {
    const theirs = troubleOfPeers(peer, network_key)
    if (theirs !== undefined) return [['peers', index, 'record'], theirs]
  }
  return undefined
}

export function conflictOfRules({ allow, mode, private_key_file }: Settings): Conflict | undefined {
  if (allow === undefined) return undefined
  if (private_key_file === undefined)
    return [
      ['allow'],
      'is for private tunnels, because only keys tell for sure who has sent something; give a private_key_file, or leave it out',
    ]
  const index = allow.findIndex(({ to, protocol }) => to !== undefined || protocol !== undefined)
  const entries = allow.reduce((sum, { to, ports }) => sum + (to?.length ?? 1) * (ports?.length ?? 1), 0)
  if (entries > MAX_RULE_ENTRIES)
    return [
      ['allow'],
      `has ${entries} pairs of a network and ports, and there is room for ${MAX_RULE_ENTRIES}; write larger networks, or fewer of them`,
    ]
  if (mode === 'tap' && index >= 0)
    return [
      ['allow', index],
      'has to, protocol or ports, which are for mode tun; in mode tap a rule says only from whom frames may come',
    ]
  return undefined
}

export function conflictOfDevice({
  local,
  mode,
  mac,
  mtu,
  vlan,
  peers,
  relay,
  accept_any,
  table,
}: Settings): Conflict | undefined {
  if (mode === 'tap' && table !== 'auto' && table !== 'off')
    return [['table'], 'is for mode tun, because in mode tap the peers have no prefixes; leave it out']
  if (mode === 'tun' && mac !== undefined)
    return [['mac'], 'makes no sense with mode tun, which has no Ethernet; leave one of them out']
  if (mode === 'tun' && relay)
    return [
      ['relay'],
      'makes no sense with mode tun, because the kernel routes between peers (net.ipv4.ip_forward); leave it out',
    ]
  if (accept_any && peers.length > 1)
    return [
      ['accept_any'],
      'makes no sense with several peers, which their addresses tell apart; leave it out',
    ]
  const ipv6 = local.find(({ family }) => family === 'ipv6')
  if (ipv6 !== undefined && mtu === 'safe') {
    return [
      ['mtu'],
      `safe is below IPv6's least MTU of ${IPV6_MIN_MTU_BYTES} bytes, and ${ipv6.address} is IPv6; give a number or leave one of them out`,
    ]
  }
  if (ipv6 !== undefined && typeof mtu === 'number' && mtu < IPV6_MIN_MTU_BYTES) {
    return [
      ['mtu'],
      `${mtu} is below IPv6's least MTU of ${IPV6_MIN_MTU_BYTES} bytes, and ${ipv6.address} is IPv6; give at least ${IPV6_MIN_MTU_BYTES} or leave one of them out`,
    ]
  }
  if (mode === 'tun' && vlan)
    return [['vlan'], 'makes no sense with mode tun, which has no Ethernet; leave one of them out']
  const again = firstTwice(local.map(({ address }) => address))
  if (again >= 0) return [['local'], `"${local[again].address}" is given twice; leave one of them out`]
  return undefined
}

/** @param silent the index of one of several peers of which nothing is said; -1 if there is none */
export function conflictOfPeers(
  settings: Settings,
  pathOf: (index: number) => SettingPath,
  silent: number,
): Conflict | undefined {
  const { peers, mode, local, private_key_file } = settings
  const own = new Set(local.map(({ address }) => address))
  for (const [index, peer] of peers.entries()) {
    const path = pathOf(index)
    const wrong = conflictOfEndpoint(settings, peer.endpoint?.host, path)
    if (wrong !== undefined) return wrong
    if (mode === 'tun' && index === silent) {
      return [
        path,
        `"${peer.name}" has neither addresses nor prefixes, and in mode tun those decide where a packet goes; give it some`,
      ]
    }
    // Prefixes may contain the own address: those of wg-quick often do.
    const mine = peer.addresses.find((address) => own.has(address))
    if (mine !== undefined)
      return [
        [...path, 'addresses'],
        `"${mine}" is this host's own overlay address, as local says; give the address of the peer`,
      ]
    if (mode === 'tun' && peer.macs.length > 0)
      return [[...path, 'macs'], 'make no sense with mode tun, which has no Ethernet; leave them out']
    if (mode === 'tap' && peer.prefixes.length > 0)
      return [[...path, 'prefixes'], 'are for mode tun; in mode tap MACs are learnt, so leave them out']
  }
  for (const [what, count] of [
    ['addresses and prefixes', peers.reduce((sum, it) => sum + it.addresses.length + it.prefixes.length, 0)],
    ['macs', peers.reduce((sum, it) => sum + it.macs.length, 0)],
  ] as const) {
    if (count > MAX_OVERLAY)
      return [
        ['peers'],
        `have ${count} ${what} together, and there is room for ${MAX_OVERLAY}; write larger prefixes, or fewer of them`,
      ]
  }
  return (
    twice(peers, pathOf, [], ({ name }) => [name]) ??
    // In a private tunnel keys tell who is who, so several peers may have one endpoint.
    twice(peers, pathOf, ['endpoint'], ({ endpoint }) =>
      endpoint === undefined || private_key_file !== undefined ? [] : [nameOf(endpoint)],
    ) ??
    twice(peers, pathOf, ['public_key'], (it) =>
      it.public_key === undefined ? [] : [formatKey(it.public_key)],
    ) ??
    twice(peers, pathOf, ['addresses'], ({ addresses }) => addresses) ??
    twice(peers, pathOf, ['prefixes'], (it) => it.prefixes.map((p) => `${p.address}/${p.prefixLength}`)) ??
    twice(peers, pathOf, ['macs'], ({ macs }) => macs.map(formatMac))
  )
}

/** Finds a value that several peers have although only one can have it. */
function twice(
  peers: readonly PeerSettings[],
  pathOf: (index: number) => SettingPath,
  key: readonly string[],
  valuesOf: (peer: PeerSettings) => readonly string[],
): Conflict | undefined {
  const all = peers.flatMap((peer, index) => valuesOf(peer).map((value) => ({ value, index })))
  const again = firstTwice(all.map(({ value }) => value))
  if (again < 0) return undefined
  const { value, index } = all[again]
  return [[...pathOf(index), ...key], `"${value}" is given twice; leave one of them out`]
}

/** The index of the first text that also appears earlier; -1 if all are different. */
function firstTwice(texts: readonly string[]): number {
  const seen = new Set<string>()
  return texts.findIndex((it) => seen.size === seen.add(it).size)
}

function conflictOfEndpoint(
  { listen, local, netns }: Settings,
  host: string | undefined,
  path: SettingPath,
): Conflict | undefined {
  if (host === undefined || !ipaddr.isValid(host)) return undefined
  if (listen.address !== undefined && !reaches(listen.address, host)) {
    return [
      ['listen'],
      `"${listen.address}" and the remote "${host}" are not of one family, IPv4 or IPv6; leave the address out, or give one like the remote's`,
    ]
  }
  const inside = local.find((it) => contains(it, host))
  // In two network namespaces, the same addresses stand for different hosts.
  if (inside === undefined || netns !== undefined) return undefined
  return [
    path,
    `"${host}" lies inside the overlay network ${inside.address}/${inside.prefixLength}, so the tunnel's own datagrams would go into the tunnel; choose another overlay network`,
  ]
}

/** Whether a socket that listens on `own` can send to `other`: both of one family, or `own` is `::`. */
function reaches(own: string, other: string): boolean {
  const [a, b] = [own, other].map((address) => ipaddr.parse(address.split('%')[0]))
  return a.kind() === b.kind() || (a.kind() === 'ipv6' && a.range() === 'unspecified')
}

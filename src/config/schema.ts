import ipaddr from 'ipaddr.js'
import * as z from 'zod'
import { formatKey } from '../key-text.js'
import { formatMac } from '../wire/ethernet.js'
import { IPV6_MIN_MTU_BYTES } from '../wire/ip.js'
import type { SignedRecord } from '../wire/signed-record.js'
import { type AccessRule, accessRuleSchema, parseRuleLine } from './access-rule.js'
import { parseDiscovery } from './discovery.js'
import { readKeyFile } from './key-file.js'
import { parseMetrics } from './metrics-place.js'
import { parseNetworkKey } from './network-key.js'
import { parsed } from './parsed.js'
import { filledByRecord, troubleOfOwn, troubleOfPeers } from './record-peer.js'
import { parseRecordSetting } from './record-text.js'
import { parseTable } from './route-tables.js'
import { Secret } from './secret.js'
import {
  contains,
  DEFAULT_PORT,
  formatEndpoint,
  type Prefix,
  parseDeviceName,
  parseFwMark,
  parseGroup,
  parseKeepalive,
  parseListen,
  parseLocalAddress,
  parseMtu,
  parseMtuRefresh,
  parseNameServer,
  parseNamespace,
  parseOwnMac,
  parsePeerAddress,
  parsePeerName,
  parsePrefix,
  parsePublicKey,
  parseRelayLimit,
  parseRemote,
  type Remote,
} from './values.js'

/** A setting that is a text (or, in YAML, a plain number). A parser of values.ts parses it. */
function text<T>(parse: (text: string) => T, description: string) {
  return z
    .union([z.string(), z.number()], { error: 'write a text or a number' })
    .transform(parsed((value) => parse(String(value))))
    .describe(description)
}

/** The name of a file with a key; or, from a wg-quick(8) file, the key itself. */
function secret(description: string) {
  return z
    .union([z.instanceof(Secret), z.string(), z.number()], {
      error: 'write the name of a file with a key in it',
    })
    .transform(parsed((value) => (value instanceof Secret ? value : readKeyFile(String(value)))))
    .describe(description)
}

/** Settings whose values are never shown. */
export const SECRET_SETTINGS: ReadonlySet<unknown> = new Set(['private_key_file', 'preshared_key_file'])

/** The settings of a peer for a private tunnel. */
const KEYS_OF_PEER = {
  public_key: text(parsePublicKey, "the other host's public key, in base64").optional(),
  preshared_key_file: secret(
    'file with a key that only the two hosts have, in addition to their own',
  ).optional(),
  persistent_keepalive: text(
    parseKeepalive,
    'seconds of silence after which a keepalive is sent, or off (default: off)',
  ).optional(),
  introducer: z
    .boolean({ error: 'use true or false' })
    .describe('believe this peer when it introduces other hosts')
    .optional(),
} as const

function choice<const T extends readonly string[]>(options: T) {
  return z.enum(options, { error: `use ${options.slice(0, -1).join(', ')} or ${options.at(-1)}` })
}

const flag = () => z.boolean({ error: 'use true or false' })

export const MODES = ['tap', 'tun'] as const
export const OFFLOAD_MODES = ['auto', 'off'] as const

export const DATAPATHS = ['auto', 'kernel', 'workers'] as const

export const WARM_UP_MODES = ['auto', 'off'] as const
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** Most peers: the number of rows in the tables in shared memory. */
export const MAX_PEERS = 256

/** Most addresses and prefixes of all peers together. Also the most MACs. */
export const MAX_OVERLAY = 4096

/** Most access rules. */
export const MAX_RULES = 128

/** Most pairs of a network and a range of ports in all rules together: what fits into the shared memory. */
export const MAX_RULE_ENTRIES = 1024

const list = <T>(item: z.ZodType<T>, example: string) =>
  z.array(item, { error: `write a list, such as [${example}]` })

/** One of the other hosts. A plain text is its endpoint. */
const peerSchema = z.preprocess(
  (value) => (typeof value === 'string' ? { endpoint: value } : value),
  z.strictObject(
    {
      name: text(parsePeerName, 'what status and the log call it (default: its endpoint)').optional(),
      endpoint: text(parseRemote, 'its name or address, and port').optional(),
      addresses: list(text(parsePeerAddress, ''), '10.9.0.3')
        .default([])
        .describe('its overlay addresses; ARP and neighbour requests for them go only to this peer'),
      prefixes: list(text(parsePrefix, ''), '10.9.3.0/24')
        .optional()
        .describe('mode tun: overlay networks behind it, in addition to its addresses'),
      macs: list(text(parseOwnMac, ''), '"02:00:00:00:00:03"')
        .default([])
        .describe('mode tap: MACs that are always its own'),
      record: text(
        parseRecordSetting,
        'what the network key has signed of this peer, for an introducer to pass on: the record, or a file with it',
      ).optional(),
      groups: list(text(parseGroup, ''), 'admins')
        .describe('groups that it is in, for the rules of allow')
        .optional(),
      ...KEYS_OF_PEER,
    },
    { error: 'write an endpoint, such as host-b, or settings of a peer, such as {endpoint: host-b}' },
  ),
)

/** The keys of a peer in the file. */
export const PEER_KEYS = Object.keys(peerSchema.out.shape)

/**
 * Every setting: the keys of the YAML file, and the flags, in which `-` replaces a key's `_`. File and flags
 * share this schema. A flag wins over the file.
 */
export const settingsSchema = z.strictObject({
  local: z
    .array(text(parseLocalAddress, ''), { error: 'write a list, such as [10.9.0.1/24]' })
    .default([])
    .describe('overlay addresses of this host, with prefix; mode tap needs none'),
  remote: text(parseRemote, 'the other host: name or address, and port').optional(),
  peers: list(peerSchema, 'host-b, host-c')
    .min(1, 'give at least one peer, such as [host-b]')
    .max(MAX_PEERS, `give at most ${MAX_PEERS} peers`)
    .describe('the other hosts, if there are several')
    .optional(),
  mode: choice(MODES).default('tap').describe('tap: Ethernet frames; tun: IP packets'),
  dev: text(parseDeviceName, 'name of the device (default: tap0 or tun0)').optional(),
  netns: text(
    parseNamespace,
    'network namespace that the device is in: a name of ip-netns(8), or a path such as /proc/4711/ns/net (default: that of this program)',
  ).optional(),
  listen: text(
    parseListen,
    `UDP address or interface, and port, to listen on; port 0 means any free port (default: ${DEFAULT_PORT}, on every address)`,
  ).default({
    address: undefined,
    port: DEFAULT_PORT,
  }),
  mac: text(parseOwnMac, "the device's MAC (default: one that this host makes and keeps)").optional(),
  mtu: text(
    parseMtu,
    "the device's MTU: auto follows what the path carries; safe fits packets of 576 bytes; or a number of bytes",
  ).default('auto'),
  mtu_refresh: text(
    parseMtuRefresh,
    'seconds after which the path MTU is looked for again (default: 600)',
  ).default(600),
  vlan: flag().default(false).describe('leave room in the MTU for a VLAN tag'),
  mss_clamp: flag()
    .default(false)
    .describe(
      'for hosts behind a bridge: in each TCP SYN that passes, lower the MSS to what the path carries',
    ),
  offload: choice(OFFLOAD_MODES)
    .default('auto')
    .describe("auto: use the kernel's offloads as far as it has them; off: one frame at a time"),
  datapath: choice(DATAPATHS)
    .default('auto')
    .describe("auto: the kernel's own datapath where it can be used; kernel: only with it; workers: never"),
  warm_up: choice(WARM_UP_MODES)
    .default('auto')
    .describe(
      'auto: ready for fast frames within a second; off: saves a second of processor time at the start',
    ),
  relay: flag()
    .default(false)
    .describe('mode tap: pass frames on between peers that cannot reach each other'),
  introduce: flag()
    .default(false)
    .describe('introduce the peers to each other, so that they need not know each other'),
  relay_limit: text(
    parseRelayLimit,
    'with introduce: how many Mbit/s of each peer are relayed to those that it cannot reach; 0 relays nothing (default: 100)',
  ).default(100),
  port_mapping: flag()
    .default(false)
    .describe('behind a NAT, ask the router for a port that members of an introducer reach (PCP or NAT-PMP)'),
  allow: list(accessRuleSchema, '{from: alice}')
    .max(MAX_RULES, `give at most ${MAX_RULES} rules`)
    .describe(
      'private: who may send to this host, and what; answers may always come (default: all peers, everything)',
    )
    .optional(),
  accept_any: flag().default(false).describe('accept datagrams from any source, not only from the remote'),
  wait: flag()
    .default(false)
    .describe('wait at the start until the first peer is found, and end if none of the names exists'),
  fwmark: text(
    parseFwMark,
    'mark of all that the tunnel sends on the underlay, for ip-rule(8); a number, or off (default: off)',
  ).default(0),
  table: text(
    parseTable,
    "mode tun: where routes to the peers' prefixes are made. auto: as wg-quick does; off: nowhere; or a table's number or name",
  ).default('auto'),
  dns: list(text(parseNameServer, ''), '10.9.0.53, example.net')
    .default([])
    .describe('name servers, and domains to search, while the tunnel is up'),
  metrics: text(
    parseMetrics,
    'where to serve metrics and health: a port, on the loopback unless an address is given, or a Unix socket (default: nowhere)',
  ).optional(),
  log_level: choice(LOG_LEVELS).default('info').describe('the least important lines that are logged'),
  json: flag().default(false).describe('log JSON also on a terminal'),
  discovery: z
    .unknown()
    .transform(parsed(parseDiscovery))
    .describe('where this host finds others, and they it: an etcd (only in the file)')
    .optional(),
  private_key_file: secret("file with this host's private key; makes the tunnel private").optional(),
  network_key: text(
    parseNetworkKey,
    'public part of the network key: believe only members whose records it has signed',
  ).optional(),
  record: text(
    parseRecordSetting,
    'what the network key has signed of this host, for introducers to pass on: the record, or a file with it',
  ).optional(),
  ...KEYS_OF_PEER,
})

/** What a setting is for. It may be the description of the type that is optional, or that has a default. */
export function descriptionOf(key: keyof typeof settingsSchema.shape): string {
  let type: unknown = settingsSchema.shape[key]
  while (type instanceof z.ZodType && type.description === undefined)
    type = type instanceof z.ZodOptional || type instanceof z.ZodDefault ? type.unwrap() : undefined
  return type instanceof z.ZodType ? (type.description ?? '') : ''
}

type Parsed = z.output<typeof settingsSchema>

export type PeerSettings = Omit<z.output<typeof peerSchema>, 'name' | 'endpoint' | 'prefixes'> & {
  readonly name: string
  readonly prefixes: readonly Prefix[]
  /**
   * Whether this is the only peer and the settings say nothing of its addresses and prefixes. In mode tun all
   * addresses are its own then. An empty list of prefixes says that there are none.
   */
  readonly everything: boolean
  /** Undefined for a peer of a private tunnel that will contact this host first. */
  readonly endpoint: Remote | undefined
  /** The peer that has introduced this one; undefined if it is in the settings. */
  readonly introduced_by?: string
  /**
   * What somebody is whom this host has invited (control/members): a member; a client of WireGuard; a newcomer with an open
   * line; one whose line is good no more. Undefined for all others.
   */
  readonly invited?: 'member' | 'client' | 'line' | 'spent'
}

/**
 * The settings that start the tunnel: every value parsed, every default filled in, the remote among the peers.
 */
export type Settings = Omit<Parsed, 'remote' | 'peers' | keyof typeof KEYS_OF_PEER> & {
  readonly peers: readonly PeerSettings[]
}

/** The place of a setting: its key. For a peer's setting: `peers`, the index of the peer, and the key. */
export type SettingPath = readonly (string | number)[]

/** A conflict between settings that are each right: the place, and the rest of the sentence. */
export type Conflict = readonly [path: SettingPath, message: string]

/** @returns the settings, or the conflict between them */
export function settle(parsed: Parsed): Settings | Conflict {
  const { remote, peers, public_key, preshared_key_file, persistent_keepalive, introducer, ...rest } = parsed
  const keys = definedOf({ public_key, preshared_key_file, persistent_keepalive, introducer })
  if (remote !== undefined && peers !== undefined)
    return [['peers'], 'the remote is one peer already; write all of them as peers, or only the remote']
  const [astray] = Object.keys(keys)
  if (peers !== undefined && astray !== undefined)
    return [[astray], 'is for the remote; with several peers each has its own, in the file']
  const single = remote === undefined && public_key === undefined ? [] : [{ ...NO_PEER_SETTINGS, ...keys }]
  const given = (peers ?? single.map((peer) => ({ ...peer, endpoint: remote }))).map((it) =>
    filledByRecord(it),
  )
  const names = namesOf(given)
  const settings = {
    ...rest,
    ...definedOf({ allow: rest.allow ?? rulesOf(rest.record) }),
    peers: given.map((peer, index) => ({
      ...peer,
      name: names[index],
      endpoint: peer.endpoint,
      prefixes: peer.prefixes ?? [],
      everything: given.length === 1 && saysNothing(peer) && !peer.introducer,
    })),
  }
  const silent = given.findIndex((peer) => saysNothing(peer) && (given.length > 1 || peer.introducer))
  const pathOf = (index: number): SettingPath => (peers === undefined ? ['remote'] : ['peers', index])
  return (
    conflictOfDevice(settings) ??
    conflictOfIntroductions(settings, peers === undefined) ??
    troubleOfDiscovery(settings) ??
    conflictOfRecords(settings) ??
    conflictOfKeys(settings, peers === undefined) ??
    conflictOfRules(settings) ??
    conflictOfPeers(settings, pathOf, silent) ??
    settings
  )
}

/** The values without those that are undefined. */
function definedOf<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

type GivenPeer = Pick<
  z.output<typeof peerSchema>,
  'name' | 'endpoint' | 'public_key' | 'addresses' | 'prefixes'
>

/** Whether the settings say nothing of the overlay addresses of a peer. */
function saysNothing({ addresses, prefixes }: GivenPeer): boolean {
  return addresses.length === 0 && prefixes === undefined
}

/** The shortest part of a public key that is a name. */
const KEY_NAME_CHARACTERS = 8

/**
 * The names of the peers. One without a name is called by its endpoint; if it has none, or shares it with another
 * peer, by the beginning of its public key, as far as that differs from the others'.
 */
function namesOf(peers: readonly GivenPeer[]): string[] {
  const endpoints = peers.map(({ endpoint }) => (endpoint === undefined ? undefined : nameOf(endpoint)))
  const keys = peers.map(({ public_key }) => (public_key === undefined ? '' : formatKey(public_key)))
  return peers.map(({ name }, index) => {
    const [endpoint, key] = [endpoints[index], keys[index]]
    const shared = endpoints.indexOf(endpoint) !== endpoints.lastIndexOf(endpoint)
    if (name !== undefined) return name
    if (endpoint !== undefined && (key === '' || !shared)) return endpoint
    let length = KEY_NAME_CHARACTERS
    while (keys.some((other, at) => at !== index && other !== key && other.startsWith(key.slice(0, length))))
      length++
    return key.slice(0, length)
  })
}

/** @param single whether the settings of the one peer are at the top level */
function conflictOfKeys(settings: Settings, single: boolean): Conflict | undefined {
  const { private_key_file: own, accept_any, peers } = settings
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
  if (own !== undefined && accept_any)
    return [['accept_any'], 'makes no sense in a private tunnel, because keys tell who is who; leave it out']
  return undefined
}

/** @param single as in {@link conflictOfKeys} */
function conflictOfIntroductions(
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

function troubleOfDiscovery({ discovery, private_key_file, record }: Settings): Conflict | undefined {
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

function conflictOfRecords({ network_key, record, private_key_file, peers }: Settings): Conflict | undefined {
  const [first] = Object.keys(definedOf({ network_key, record }))
  if (first !== undefined && private_key_file === undefined)
    return [[first], 'is for private tunnels; give a private_key_file, or leave it out']
  const own = troubleOfOwn({ network_key, record, private_key_file })
  if (own !== undefined) return [['record'], own]
  for (const [index, peer] of peers.entries()) {
    const theirs = troubleOfPeers(peer, network_key)
    if (theirs !== undefined) return [['peers', index, 'record'], theirs]
  }
  return undefined
}

/** The rules of this host's own record, if it has any. */
function rulesOf(record: SignedRecord | undefined): AccessRule[] | undefined {
  return record === undefined || record.allow.length === 0 ? undefined : record.allow.map(parseRuleLine)
}

function conflictOfRules({ allow, mode, private_key_file }: Settings): Conflict | undefined {
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

export function isConflict(settled: Settings | Conflict): settled is Conflict {
  return Array.isArray(settled)
}

const NO_PEER_SETTINGS = { name: undefined, addresses: [], prefixes: undefined, macs: [] }

function nameOf({ host, port }: Remote): string {
  return port === DEFAULT_PORT ? host : formatEndpoint({ address: host, port })
}

function conflictOfDevice({
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
  const again = firstTwice(local.map(({ address }) => ipaddr.parse(address).toNormalizedString()))
  if (again >= 0) return [['local'], `"${local[again].address}" is given twice; leave one of them out`]
  return undefined
}

/** @param silent the index of one of several peers of which nothing is said; -1 if there is none */
function conflictOfPeers(
  settings: Settings,
  pathOf: (index: number) => SettingPath,
  silent: number,
): Conflict | undefined {
  const { peers, mode, private_key_file } = settings
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
  return texts.findIndex((it, index) => texts.indexOf(it) < index)
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

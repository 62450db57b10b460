import * as z from 'zod'
import { accessRuleSchema } from './access-rule.js'
import {
  DEFAULT_PORT,
  type Prefix,
  parseListen,
  parseLocalAddress,
  parseNameServer,
  parsePeerAddress,
  parsePrefix,
  type Remote,
} from './addresses.js'
import { parseDiscovery } from './discovery.js'
import { readKeyFile } from './key-file.js'
import { parseMetrics } from './metrics-place.js'
import { parseNetworkKey } from './network-key.js'
import { parsed } from './parsed.js'
import { parseRecordSetting } from './record-text.js'
import { parseTable } from './route-tables.js'
import { Secret } from './secret.js'
import { parsePeerEndpoint } from './service-name.js'
import {
  parseCryptoWorkers,
  parseDeviceName,
  parseFwMark,
  parseGroup,
  parseHostsSuffix,
  parseKeepalive,
  parseMtu,
  parseMtuRefresh,
  parseNamespace,
  parseOwnMac,
  parsePeerName,
  parsePublicKey,
  parseRelayLimit,
  parseVni,
} from './values.js'

/** A setting that is a text (or, in YAML, a plain number). A parser of values.ts or addresses.ts parses it. */
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

export const ENCAPS = ['auto', 'vxlan'] as const

export const TOS_MODES = ['off', 'inherit'] as const

export const WARM_UP_MODES = ['auto', 'off'] as const
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** Most peers: the number of rows in the tables in shared memory. */
export const MAX_PEERS = 4_096

/** Most addresses and prefixes of all peers together. Also the most MACs. */
export const MAX_OVERLAY = 16_384

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
      endpoint: text(parsePeerEndpoint, 'its name or address, and port').optional(),
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
  remote: text(parsePeerEndpoint, 'the other host: name or address, and port').optional(),
  // Who takes the last peer out of a file may leave the key behind, without a value.
  peers: z
    .preprocess(
      (value) => (value === null ? [] : value),
      list(peerSchema, 'host-b, host-c').max(MAX_PEERS, `give at most ${MAX_PEERS} peers`),
    )
    .describe('the other hosts, if there are several')
    .optional(),
  mode: choice(MODES).default('tap').describe('tap: Ethernet frames; tun: IP packets'),
  encap: choice(ENCAPS)
    .default('auto')
    .describe('auto: the frame itself, or sealed with keys; vxlan: VXLAN (RFC 7348)'),
  vni: text(parseVni, 'with encap vxlan: the number of the network').optional(),
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
  tos: choice(TOS_MODES)
    .default('off')
    .describe("inherit: a datagram has its packet's DSCP; off: none; either way it has the packet's ECN"),
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
  crypto_workers: text(
    parseCryptoWorkers,
    'private: threads that help to seal and to open; auto: none with fewer than four processors, 1 to 4 with more',
  ).default('auto'),
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
  hosts: text(
    parseHostsSuffix,
    'a domain, under which the peers have names in /etc/hosts while the tunnel is up',
  ).optional(),
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

/** What the schema makes of what is written. */
export type Parsed = z.output<typeof settingsSchema>
export type WrittenPeer = z.output<typeof peerSchema>

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

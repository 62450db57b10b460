import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { IPV6_MIN_MTU_BYTES } from '../wire/ip.js'
import {
  DEFAULT_PORT,
  parseDeviceName,
  parseListen,
  parseLocalAddress,
  parseMtu,
  parseOwnMac,
  parseRemote,
} from './values.js'

/** A setting that is written as a text (or, in YAML, a bare number) and parsed by one of values.ts. */
function text<T>(parse: (text: string) => T, description: string) {
  return z
    .union([z.string(), z.number()], { error: 'write a text or a number' })
    .transform((value, context) => {
      try {
        return parse(String(value))
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message })
        return z.NEVER
      }
    })
    .describe(description)
}

function choice<const T extends readonly string[]>(options: T) {
  return z.enum(options, { error: `use ${options.slice(0, -1).join(', ')} or ${options.at(-1)}` })
}

const flag = () => z.boolean({ error: 'use true or false' })

export const MODES = ['tap', 'tun'] as const
export const OFFLOAD_MODES = ['auto', 'off'] as const
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/**
 * Every setting there is: the keys of the YAML file, and the flags, where a key's `_` is a flag's `-`.
 * The two are one schema; a flag wins over the file.
 */
export const settingsSchema = z.strictObject({
  local: z
    .array(text(parseLocalAddress, ''), { error: 'write a list, such as [10.9.0.1/24]' })
    .min(1, 'give at least one overlay address, such as [10.9.0.1/24]')
    .describe('overlay addresses of this host, with prefix'),
  remote: text(parseRemote, 'the other host: name or address, and port'),
  mode: choice(MODES).default('tap').describe('tap: Ethernet frames; tun: IP packets'),
  dev: text(parseDeviceName, 'name of the device (default: tap0 or tun0)').optional(),
  listen: text(
    parseListen,
    `UDP address and port to listen on (default: ${DEFAULT_PORT}, on every address)`,
  ).default({
    address: undefined,
    port: DEFAULT_PORT,
  }),
  mac: text(
    parseOwnMac,
    "the device's MAC (default: made from this host and the overlay address)",
  ).optional(),
  mtu: text(
    parseMtu,
    'the device\'s MTU in bytes, or "safe" (default: what the egress interface carries)',
  ).optional(),
  offload: choice(OFFLOAD_MODES)
    .default('auto')
    .describe("auto: the kernel's offloads as far as they go; off: a frame at a time"),
  accept_any: flag().default(false).describe('take datagrams from any source, not the remote alone'),
  log_level: choice(LOG_LEVELS).default('info').describe('how much to say'),
  json: flag().default(false).describe('log JSON also on a terminal'),
})

/** What the tunnel is started with: every value parsed, every default filled in. */
export type Settings = z.output<typeof settingsSchema>

/**
 * What is wrong between settings that are each right, as [key, sentence's rest]; undefined when nothing is.
 */
export function conflict(settings: Settings): [key: string, message: string] | undefined {
  const { listen, local, mode, mac, mtu, remote } = settings
  if (mode === 'tun' && mac !== undefined)
    return ['mac', 'makes no sense with mode tun, which has no Ethernet; leave one of them out']
  const ipv6 = local.find(({ family }) => family === 'ipv6')
  if (ipv6 !== undefined && mtu === 'safe') {
    return [
      'mtu',
      `safe is below IPv6's least MTU of ${IPV6_MIN_MTU_BYTES} bytes, and ${ipv6.address} is IPv6; give a number or leave one of them out`,
    ]
  }
  if (ipv6 !== undefined && typeof mtu === 'number' && mtu < IPV6_MIN_MTU_BYTES) {
    return [
      'mtu',
      `${mtu} is below IPv6's least MTU of ${IPV6_MIN_MTU_BYTES} bytes, and ${ipv6.address} is IPv6; give at least ${IPV6_MIN_MTU_BYTES} or leave one of them out`,
    ]
  }
  const seen = new Set<string>()
  for (const { address } of local) {
    const key = ipaddr.parse(address).toNormalizedString()
    if (seen.has(key)) return ['local', `"${address}" is given twice; leave one of them out`]
    seen.add(key)
  }
  if (ipaddr.isValid(remote.host)) {
    if (listen.address !== undefined && !reaches(listen.address, remote.host)) {
      return [
        'listen',
        `"${listen.address}" and the remote "${remote.host}" are not of one family, IPv4 or IPv6; leave the address out, or give one like the remote's`,
      ]
    }
    const inside = local.find((it) => contains(it, remote.host))
    if (inside !== undefined) {
      return [
        'remote',
        `"${remote.host}" lies inside the overlay network ${inside.address}/${inside.prefixLength}, so the tunnel's own datagrams would go into the tunnel; choose another overlay network`,
      ]
    }
  }
  return undefined
}

/** Whether a socket that listens on `own` can send to `other`: one of the same family, or on `::`, any. */
function reaches(own: string, other: string): boolean {
  const [a, b] = [own, other].map((address) => ipaddr.parse(address.split('%')[0]))
  return a.kind() === b.kind() || (a.kind() === 'ipv6' && a.range() === 'unspecified')
}

/** Whether `address` is in the network of an overlay address. */
export function contains(network: { address: string; prefixLength: number }, address: string): boolean {
  const base = ipaddr.parse(network.address)
  const other = ipaddr.parse(address.split('%')[0])
  return base.kind() === other.kind() && other.match(base, network.prefixLength)
}

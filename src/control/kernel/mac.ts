import { createHash } from 'node:crypto'
import { formatPrefix, type LocalAddress } from '../../config/addresses.js'
import { formatMac, isGroupMac, type MacAddress, parseMac } from '../../wire/ethernet.js'
import { type HostIdentity, isSameHost } from './host-identity.js'

/** What tells one tunnel of this host from another. */
export interface NetworkIdentity {
  readonly local: readonly LocalAddress[]
  readonly device: string
  /** The network namespace, unless it is the host's own. */
  readonly namespace: string
}

/** Where MAC addresses are kept. */
export interface MacStore {
  read(name: string): string | undefined
  /** @returns false if nothing can be kept */
  write(name: string, text: string): boolean
}

/**
 * The device's MAC address. It stays the same when this host restarts, so that what its neighbours remember stays
 * right. It is random and kept in `store`, with the identity of the host that made it. A clone of this host finds
 * another identity there than its own, and makes its own address.
 *
 * If nothing can be kept, the address is made from the identity of the host.
 * @param random random bytes
 */
export function ownMac(
  network: NetworkIdentity,
  host: HostIdentity,
  store: MacStore,
  random: (bytes: number) => Uint8Array,
): MacAddress {
  const name = fileOf(network)
  const kept = parseKept(store.read(name))
  if (kept !== undefined && isSameHost(kept.host, host)) {
    // An interface may have come or gone since.
    const seen = [...new Set([...kept.host.permanentMacs, ...host.permanentMacs])]
    if (seen.length > kept.host.permanentMacs.length)
      store.write(name, format(kept.mac, { ...host, permanentMacs: seen }))
    return kept.mac
  }
  const mac = unicast(random(6))
  return store.write(name, format(mac, host)) ? mac : hashedMac(network, host)
}

/** A MAC address made from the identities of host and network. */
export function hashedMac(network: NetworkIdentity, host: HostIdentity): MacAddress {
  const { machine, permanentMacs, hostName } = host
  const hash = createHash('sha256').update(machine ?? hostName)
  for (const mac of [...permanentMacs].sort()) hash.update(`|${mac}`)
  return unicast(hash.update(`|${keyOf(network)}`).digest())
}

/** The addresses are the network's own. If there are none, only the device tells one network from another. */
function keyOf({ local, device, namespace }: NetworkIdentity): string {
  if (local.length === 0) return `${device} ${namespace}`
  return local.map(formatPrefix).join(' ')
}

function fileOf(network: NetworkIdentity): string {
  return `mac-${createHash('sha256').update(keyOf(network)).digest('hex').slice(0, 16)}.json`
}

/** Locally administered, and unicast. */
function unicast([a, b, c, d, e, f]: Uint8Array): MacAddress {
  return [(a & 0xfc) | 0x02, b, c, d, e, f]
}

function format(mac: MacAddress, { machine, permanentMacs }: HostIdentity): string {
  return `${JSON.stringify({ mac: formatMac(mac), machine: machine ?? null, permanent_macs: permanentMacs })}\n`
}

/** What was kept; undefined if there is nothing, or nothing of use. */
function parseKept(text: string | undefined): { mac: MacAddress; host: HostIdentity } | undefined {
  if (text === undefined) return undefined
  try {
    const kept: { mac?: unknown; machine?: unknown; permanent_macs?: unknown } = JSON.parse(text)
    const mac = parseMac(String(kept.mac))
    const { machine, permanent_macs: macs } = kept
    if (mac === undefined || isGroupMac(mac) || !Array.isArray(macs)) return undefined
    const host = {
      machine: typeof machine === 'string' ? machine : undefined,
      permanentMacs: macs.map(String),
    }
    return { mac, host: { ...host, hostName: '' } }
  } catch {
    return undefined
  }
}

import type { PeerOperation, SetOperation } from '../../command/wireguard/operation.js'
import { addressBits, formatPrefix, isAddress, type Network, type Prefix } from '../../config/addresses.js'
import { MAX_OVERLAY, MAX_PEERS, type PeerSettings } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import { ENOSPC } from '../../linux/errno.js'
import { type NetworkOwner, NetworkOwners } from './network-owners.js'

/** The shortest part of a public key that is a name. */
const NAME_CHARACTERS = 8

/** The peers that a `set` asks for. */
export interface WantedPeers {
  readonly peers: readonly PeerSettings[]
  /** The public keys, in base64, of those whose endpoint is given: they are there from now on. */
  readonly placed: ReadonlySet<string>
}

/** A peer while the lines of a `set` are gone through. */
interface Draft extends NetworkOwner {
  settings: PeerSettings
}

/**
 * What a `set` makes of the peers that there are. A peer whose public key was there before keeps its name, whatever
 * happens to it.
 * @param running the settings of the peers that there are
 * @param ownKey the public key that this host has then, if it has one. No peer can have it: one that there is goes, and
 *   its lines do nothing
 * @returns or ENOSPC if that is too much for the tables
 */
export function wantedPeers(
  running: readonly PeerSettings[],
  set: SetOperation,
  ownKey: Uint8Array | undefined,
): WantedPeers | number {
  const isOwn = (key: Buffer | undefined) => ownKey !== undefined && key?.equals(ownKey) === true
  const others = running.filter(({ public_key }) => !isOwn(public_key))
  const before = new Map(others.map((settings) => [keyOf(settings), settings]))
  const drafts = new Map<string, Draft>(
    set.replacePeers ? [] : [...before].map(([key, settings]) => [key, draftOf(settings)]),
  )
  // Kept along the lines: to look through all peers for each line would take seconds if there are many.
  const names = new Set([...before.values()].map(({ name }) => name))
  const owners = new NetworkOwners(drafts.values())
  const placed = new Set<string>()
  for (const operation of set.peers) {
    if (isOwn(operation.publicKey)) continue
    const key = formatKey(operation.publicKey)
    let draft = drafts.get(key)
    if (operation.remove) {
      if (draft !== undefined) {
        owners.takeAll(draft)
        if (!before.has(key)) names.delete(draft.settings.name)
      }
      drafts.delete(key)
      placed.delete(key)
      continue
    }
    if (draft === undefined) {
      if (operation.updateOnly) continue
      const name = before.get(key)?.name ?? nameFor(key, names)
      names.add(name)
      draft = draftOf(newPeer(name, operation.publicKey))
      drafts.set(key, draft)
    }
    if (operation.endpoint !== undefined) placed.add(key)
    change(draft, operation, owners)
  }
  const all = [...drafts.values()]
  const networks = all.reduce((sum, draft) => sum + draft.networks.size, 0)
  if (all.length > MAX_PEERS || networks > MAX_OVERLAY) return ENOSPC
  return { peers: all.map(settled), placed }
}

function change(draft: Draft, operation: PeerOperation, owners: NetworkOwners): void {
  const { presharedKey, endpoint, persistentKeepaliveS, replaceAllowedIps, allowedIps } = operation
  draft.settings = {
    ...draft.settings,
    ...(presharedKey === undefined ? {} : { preshared_key_file: presharedKey ?? undefined }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(persistentKeepaliveS === undefined ? {} : { persistent_keepalive: persistentKeepaliveS }),
  }
  if (replaceAllowedIps) owners.takeAll(draft)
  for (const network of allowedIps) owners.give(draft, network)
}

function draftOf(settings: PeerSettings): Draft {
  const networks = new Map(allowedIpsOf(settings).map((network) => [formatPrefix(network), network]))
  return { settings, networks, isMoved: false }
}

function settled({ settings, networks, isMoved }: Draft): PeerSettings {
  if (!isMoved || isSame(allowedIpsOf(settings), networks)) return settings
  const prefixes = [...networks.values()].map(asPrefix)
  return { ...settings, addresses: [], prefixes, everything: false }
}

function isSame(before: readonly Network[], now: ReadonlyMap<string, Network>): boolean {
  return before.length === now.size && before.every((it) => now.has(formatPrefix(it)))
}

function asPrefix({ address, prefixLength }: Network): Prefix {
  return { address, prefixLength, family: address.includes(':') ? 'ipv6' : 'ipv4' }
}

/** The networks that are a peer's, in the words of wg(8). */
export function allowedIpsOf({ addresses, prefixes, everything }: PeerSettings): readonly Network[] {
  if (everything)
    return [
      { address: '0.0.0.0', prefixLength: 0 },
      { address: '::', prefixLength: 0 },
    ]
  const hosts = addresses.map((address) => ({
    address,
    prefixLength: addressBits(address.includes(':') ? 'ipv6' : 'ipv4'),
  }))
  return [...hosts, ...prefixes]
}

function newPeer(name: string, publicKey: Buffer): PeerSettings {
  return {
    name,
    addresses: [],
    prefixes: [],
    macs: [],
    everything: false,
    endpoint: undefined,
    public_key: publicKey,
    preshared_key_file: undefined,
    persistent_keepalive: undefined,
  }
}

/** The beginning of a public key, as far as no other peer has that name. */
function nameFor(key: string, taken: ReadonlySet<string>): string {
  let length = NAME_CHARACTERS
  while (taken.has(key.slice(0, length)) && length < key.length) length++
  return key.slice(0, length)
}

/** Every peer of a private tunnel has a public key. */
function keyOf({ public_key }: PeerSettings): string {
  return public_key === undefined ? '' : formatKey(public_key)
}

/** The endpoint that the settings give, if it is an address. */
export function endpointIn({ endpoint }: PeerSettings) {
  return endpoint !== undefined && isAddress(endpoint.host)
    ? { address: endpoint.host, port: endpoint.port }
    : undefined
}

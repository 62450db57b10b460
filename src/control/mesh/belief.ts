import { MAX_OVERLAY, MAX_PEERS, type PeerSettings, type Settings } from '../../config/schema.js'
import { networksOf, peerNetworks } from '../../config/told-networks.js'
import { addressBits, formatPrefix, parsePeerName } from '../../config/values.js'
import { formatKey } from '../../key-text.js'
import { formatMac, type MacAddress } from '../../wire/ethernet.js'
import type { ToldMember } from '../../wire/introduction.js'
import { macFault } from './macs.js'
import { isPartOf, isWithin, type NumericNetwork, numeric, overlaps } from './networks.js'
import { type Judged, judge, type Signing } from './signed-belief.js'
import type { Pin, Refusal, Told } from './told.js'

export interface Belief {
  /** The peers beside those of the settings. */
  readonly members: readonly PeerSettings[]
  readonly refusals: readonly Refusal[]
  /** What follows from signatures; undefined if this host has no network key. */
  readonly judged: Judged | undefined
}

export interface Known {
  /** What a person has written. It is never changed by what is told. */
  readonly settings: Pick<Settings, 'peers' | 'local' | 'mode'>
  /** This host's public key, in base64. */
  readonly ownKey: string | undefined
  /** Of this host's device, in mode tap. */
  readonly ownMac?: ArrayLike<number> | undefined
  /** What names were believed with before. */
  readonly pins: ReadonlyMap<string, Pin>
  /** Undefined if introducers are believed without signatures. */
  readonly signing: Signing | undefined
  /** Whether a host can have this public key. */
  readonly isPossible: (settings: PeerSettings) => boolean
}

/**
 * Whom to believe, on the word of introducers:
 *
 * - What the settings say of a peer stays as it is.
 * - With a network key, only members with good records are believed (signed-belief.ts).
 * - Without one, a name keeps the key with which it was known first. With one, only a later record gives it another one.
 * - A member has only addresses in this host's overlay networks, or in those of its introducer. It has none that this
 *   host or another peer has.
 * - Of two introducers, the first one that has told of a member is believed; of two records, the later one.
 *
 * @param told in the order in which they were told first
 */
export function believe(told: readonly Told[], known: Known): Belief {
  const { peers, local } = known.settings
  const state: State = {
    ...known,
    members: new Map(),
    all: peers.map(placed),
    hosts: local.map(({ address, family }) => numeric({ address, prefixLength: addressBits(family) })),
    overlay: local.map(numeric),
  }
  const isOther = (key: string) => key !== known.ownKey && !peers.some((peer) => isOf(peer, key))
  const others = told.filter(({ member }) => isOther(formatKey(member.publicKey)))
  const judged = known.signing && judge(others, known.signing, known.pins)
  const refusals: Refusal[] = [...(judged?.refusals ?? [])]
  for (const each of judged?.told ?? others) {
    const key = formatKey(each.member.publicKey)
    const found = examine(each, key, state)
    if ('why' in found) refusals.push({ key, by: each.by, ...found })
    else if (!state.members.has(key)) {
      const { macs, faults } = macsOf(each.member, state)
      for (const fault of faults)
        refusals.push({
          key,
          by: each.by,
          why: `${each.by} introduces ${found.name} with ${fault}`,
          isLoud: true,
        })
      const member = { ...found, macs }
      state.members.set(key, member)
      state.all.push(placed(member))
    }
  }
  return { members: [...state.members.values()], refusals, judged }
}

interface State extends Known {
  /** Those that are believed so far, by public key. */
  readonly members: Map<string, PeerSettings>
  /** The same, and the peers of the settings. */
  readonly all: Placed[]
  /** This host's overlay addresses, and their networks. */
  readonly hosts: readonly NumericNetwork[]
  readonly overlay: readonly NumericNetwork[]
}

interface Placed {
  readonly peer: PeerSettings
  readonly networks: readonly NumericNetwork[]
}

const placed = (peer: PeerSettings): Placed => ({ peer, networks: networksOf(peer).map(numeric) })

type No = Pick<Refusal, 'why' | 'isLoud'>

const no = (why: string, isLoud = false): No => ({ why, isLoud })

/** @returns the settings of the peer that it would be, or why it is refused */
function examine({ by, member }: Told, key: string, state: State): PeerSettings | No {
  const settings = peerOf(member, by, state)
  if (typeof settings === 'string') return no(`${by} introduces ${quoted(member.name)} ${settings}`)
  const { name } = settings
  const before = state.members.get(key)
  if (before !== undefined) {
    if (before.name === name && sameNetworks(before, settings)) return before
    return no(
      `${by} introduces ${name} (${key}) in another way than ${before.introduced_by} does, which told of it first; ${before.introduced_by} is believed`,
    )
  }
  const other = keyOf(name, state)
  if (other !== undefined && other !== key)
    return no(
      `${by} introduces ${name} with the key ${key}, but ${name} is known to have ${other}: somebody may want to be taken for ${name}; if ${name} has a new key, write it into the settings of this host`,
      true,
    )
  const wrong = conflictOf(placed(settings).networks, by, state)
  if (wrong !== undefined) return no(`${by} introduces ${name} with ${wrong}`, true)
  const overlay = state.all.reduce((sum, it) => sum + it.networks.length, networksOf(settings).length)
  if (state.all.length >= MAX_PEERS || overlay > MAX_OVERLAY)
    return no(
      `there is no room for ${name}, whom ${by} introduces: ${MAX_PEERS} peers and ${MAX_OVERLAY} of their addresses and prefixes are the most`,
    )
  if (!state.isPossible(settings)) return no(`${by} introduces ${name} with a key that no host can have`)
  return settings
}

/** The MACs of a member, without those that it cannot have. In mode tun there are none. */
function macsOf({ macs = [] }: ToldMember, { all, ownMac, settings }: State) {
  if (settings.mode === 'tun') return { macs: [], faults: [] }
  const owners = all.map(({ peer }) => peer)
  const judged = macs.map((mac) => [mac, macFault(mac, owners, ownMac)] as const)
  return {
    macs: judged.flatMap(([mac, fault]) => (fault === undefined ? [[...mac] as unknown as MacAddress] : [])),
    faults: judged.flatMap(([mac, fault]) =>
      fault === undefined ? [] : `the MAC ${formatMac(mac)}, ${fault}`,
    ),
  }
}

/** The key that a name is known with. Of a name with a record, that has been looked at already. */
function keyOf(name: string, { all, pins, signing }: State): string | undefined {
  const found = all.find(({ peer }) => peer.name === name)?.peer.public_key
  if (found !== undefined) return formatKey(found)
  return signing === undefined ? pins.get(name)?.key : undefined
}

/** The rest of a sentence, if one of the networks cannot be a member's; undefined if all can. */
function conflictOf(networks: readonly NumericNetwork[], by: string, state: State): string | undefined {
  const { all, hosts, overlay, settings } = state
  const introducer = all.find(({ peer }) => peer.name === by)?.networks ?? []
  for (const network of networks) {
    const own = hosts.find((it) => isWithin(it, network))
    if (own !== undefined) return `${network.text}, but this host has ${own.text}`
    // A part of what the introducer has, it may give to others.
    for (const { peer, networks: others } of all)
      for (const it of others)
        if (overlaps(network, it) && !(peer.name === by && isPartOf(network, it)))
          return `${network.text}, but ${peer.name} has ${it.text}`
    const isOurs = [...overlay, ...introducer].some((it) => isWithin(network, it))
    // In mode tap the addresses only say who is asked for them by ARP.
    if (!isOurs && settings.mode === 'tun')
      return `${network.text}, which is neither in an overlay network of this host nor in a prefix of ${by}`
  }
  return undefined
}

/** The settings of a member, or what is wrong with it: the rest of a sentence. */
function peerOf({ publicKey, name, networks, record }: ToldMember, by: string, state: State) {
  try {
    const { addresses, prefixes } = peerNetworks(networks)
    if (state.settings.mode === 'tap' && prefixes.length > 0)
      return `with the prefix ${formatPrefix(prefixes[0])}, and in mode tap a peer has only addresses`
    return {
      name: parsePeerName(name),
      endpoint: undefined,
      addresses,
      prefixes,
      macs: [],
      everything: false,
      public_key: Buffer.from(publicKey),
      preshared_key_file: undefined,
      persistent_keepalive: undefined,
      introduced_by: by,
      // A record that nobody has looked at says nothing.
      ...(state.signing === undefined ? {} : { record }),
    }
  } catch (error) {
    if (error instanceof RangeError) return `in a way that makes no sense: ${error.message}`
    throw error
  }
}

function sameNetworks(a: PeerSettings, b: PeerSettings): boolean {
  const text = (it: PeerSettings) => networksOf(it).map(formatPrefix).join()
  return text(a) === text(b)
}

function isOf({ public_key }: PeerSettings, key: string): boolean {
  return public_key !== undefined && formatKey(public_key) === key
}

const quoted = (name: string) => JSON.stringify(name)

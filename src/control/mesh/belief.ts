import { MAX_OVERLAY, MAX_PEERS, type PeerSettings, type Settings } from '../../config/schema.js'
import { addressBits } from '../../config/values.js'
import { formatKey } from '../../key-text.js'
import { formatMac, type MacAddress } from '../../wire/ethernet.js'
import { Believed, networksAsNumbers } from './believed.js'
import { macFault } from './macs.js'
import { isWithin, type NumericNetwork, numeric } from './networks.js'
import { keyOfTold, prepare } from './prepared.js'
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
    believed: new Believed(peers),
    hosts: local.map(({ address, family }) => numeric({ address, prefixLength: addressBits(family) })),
    overlay: local.map(numeric),
  }
  const own = new Set(
    peers.flatMap(({ public_key }) => (public_key === undefined ? [] : formatKey(public_key))),
  )
  if (known.ownKey !== undefined) own.add(known.ownKey)
  const others = told.filter(({ member }) => !own.has(keyOfTold(member)))
  const judged = known.signing && judge(others, known.signing, known.pins)
  const refusals: Refusal[] = [...(judged?.refusals ?? [])]
  for (const each of judged?.told ?? others) {
    const { by } = each
    const found = examine(each, state)
    if ('why' in found) refusals.push({ key: keyOfTold(each.member), by, ...found })
    else if (!state.members.has(found.key)) refusals.push(...join(each, found, state))
  }
  return { members: [...state.members.values()].map(({ settings }) => settings), refusals, judged }
}

interface State extends Known {
  /** Those that are believed so far, by public key. */
  readonly members: Map<string, Member>
  /** The same, and the peers of the settings. */
  readonly believed: Believed
  /** This host's overlay addresses, and their networks. */
  readonly hosts: readonly NumericNetwork[]
  readonly overlay: readonly NumericNetwork[]
}

interface Member {
  readonly key: string
  readonly settings: PeerSettings
  /** As text. */
  readonly networks: string
}

type No = Pick<Refusal, 'why' | 'isLoud'>

const no = (why: string, isLoud = false): No => ({ why, isLoud })

/** @returns the member, or why it is refused */
function examine(told: Told, state: State): Member | No {
  const { by, member } = told
  const { believed, signing } = state
  const { mode } = state.settings
  const { key, settings, networks } = prepare(told, { mode, isSigned: signing !== undefined })
  if (typeof settings === 'string') return no(`${by} introduces ${quoted(member.name)} ${settings}`)
  const { name } = settings
  const before = state.members.get(key)
  if (before !== undefined) {
    if (before.settings.name === name && before.networks === networks) return before
    const first = before.settings.introduced_by
    return no(
      `${by} introduces ${name} (${key}) in another way than ${first} does, which told of it first; ${first} is believed`,
    )
  }
  const other = keyOf(name, state)
  if (other !== undefined && other !== key)
    return no(
      `${by} introduces ${name} with the key ${key}, but ${name} is known to have ${other}: somebody may want to be taken for ${name}; if ${name} has a new key, write it into the settings of this host`,
      true,
    )
  const numbers = networksAsNumbers(settings)
  const wrong = conflictOf(numbers, by, state)
  if (wrong !== undefined) return no(`${by} introduces ${name} with ${wrong}`, true)
  if (believed.count >= MAX_PEERS || believed.networks.count + numbers.length > MAX_OVERLAY)
    return no(
      `there is no room for ${name}, whom ${by} introduces: ${MAX_PEERS} peers and ${MAX_OVERLAY} of their addresses and prefixes are the most`,
    )
  if (!state.isPossible(settings)) return no(`${by} introduces ${name} with a key that no host can have`)
  return { key, settings, networks }
}

/** Believes a member, with those of its MACs that it can have. @returns what is wrong with the others */
function join({ by, member }: Told, { key, settings, networks }: Member, state: State): Refusal[] {
  const { name } = settings
  const { macs, faults } = macsOf(member, state)
  const now = { key, settings: withMacs(settings, macs), networks }
  state.members.set(key, now)
  state.believed.add(now.settings, key)
  return faults.map((fault) => ({ key, by, why: `${by} introduces ${name} with ${fault}`, isLoud: true }))
}

/** The same object for the same MACs, so that it is seen at once that nothing has changed. */
const variants = new WeakMap<PeerSettings, { readonly text: string; readonly settings: PeerSettings }>()

function withMacs(settings: PeerSettings, macs: MacAddress[]): PeerSettings {
  if (macs.length === 0) return settings
  const text = macs.join()
  const before = variants.get(settings)
  if (before?.text === text) return before.settings
  const now = { ...settings, macs }
  variants.set(settings, { text, settings: now })
  return now
}

/** The MACs of a member, without those that it cannot have. In mode tun there are none. */
function macsOf({ macs = [] }: Told['member'], { believed, ownMac, settings }: State) {
  if (settings.mode === 'tun') return { macs: [], faults: [] }
  const judged = macs.map((mac) => [mac, macFault(mac, (it) => believed.ownerOf(it), ownMac)] as const)
  return {
    macs: judged.flatMap(([mac, fault]) => (fault === undefined ? [[...mac] as unknown as MacAddress] : [])),
    faults: judged.flatMap(([mac, fault]) =>
      fault === undefined ? [] : `the MAC ${formatMac(mac)}, ${fault}`,
    ),
  }
}

/** The key that a name is known with. Of a name with a record, that has been looked at already. */
function keyOf(name: string, { believed, pins, signing }: State): string | undefined {
  return believed.keyOf(name) ?? (signing === undefined ? pins.get(name)?.key : undefined)
}

/** The rest of a sentence, if one of the networks cannot be a member's; undefined if all can. */
function conflictOf(networks: readonly NumericNetwork[], by: string, state: State): string | undefined {
  const { believed, hosts, overlay, settings } = state
  for (const network of networks) {
    const own = hosts.find((it) => isWithin(it, network))
    if (own !== undefined) return `${network.text}, but this host has ${own.text}`
    // A part of what the introducer has, it may give to others.
    const other = believed.networks.overlapping(network, by)
    if (other !== undefined) return `${network.text}, but ${other.owner} has ${other.network.text}`
    // In mode tap the addresses only say who is asked for them by ARP.
    if (settings.mode === 'tap' || overlay.some((it) => isWithin(network, it))) continue
    if (!believed.networksOf(by).some((it) => isWithin(network, it)))
      return `${network.text}, which is neither in an overlay network of this host nor in a prefix of ${by}`
  }
  return undefined
}

const quoted = (name: string) => JSON.stringify(name)

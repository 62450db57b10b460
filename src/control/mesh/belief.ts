import { isDeepStrictEqual } from 'node:util'
import { addressBits } from '../../config/addresses.js'
import { MAX_OVERLAY, MAX_PEERS, type PeerSettings, type Settings } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import { formatMac, type MacAddress } from '../../wire/ethernet.js'
import type { ToldMember } from '../../wire/introduction.js'
import type { Told } from '../discovery/told.js'
import { Believed, networksAsNumbers } from './believed.js'
import { macFault } from './macs.js'
import { isWithin, type NumericNetwork, numeric } from './networks.js'
import { keyOfTold, prepare } from './prepared.js'
import type { Pin, Refusal } from './refusal.js'
import { type Judged, judge, judgeAlso, type Signing } from './signed-belief.js'

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
  return new Judgement(told, known).belief
}

/** What {@link believe} gives, which can grow: whoever has nothing to do with the others needs no look at all of them. */
export class Judgement {
  readonly #state: State
  #belief: Belief

  /** @param told in the order in which they were told first */
  constructor(told: readonly Told[], known: Known) {
    const { peers, local } = known.settings
    const own = new Set(
      peers.flatMap(({ public_key }) => (public_key === undefined ? [] : formatKey(public_key))),
    )
    if (known.ownKey !== undefined) own.add(known.ownKey)
    const others = told.filter(({ member }) => !own.has(keyOfTold(member)))
    const state: State = {
      ...known,
      members: new Map(),
      believed: new Believed(peers),
      hosts: local.map(({ address, family }) => numeric({ address, prefixLength: addressBits(family) })),
      overlay: local.map(numeric),
      own,
      keys: new Set(others.map(({ member }) => keyOfTold(member))),
      names: new Set(others.map(({ member }) => member.name)),
    }
    this.#state = state
    const judged = known.signing && judge(others, known.signing, known.pins)
    const refusals: Refusal[] = [...(judged?.refusals ?? [])]
    for (const each of judged?.told ?? others) {
      const { by } = each
      const found = examine(each, state)
      if ('why' in found) refusals.push({ key: keyOfTold(each.member), by, ...found })
      else if (!state.members.has(found.key)) refusals.push(...join(each, found, state))
    }
    this.#belief = { members: settingsOf(state), refusals, judged }
  }

  get belief(): Belief {
    return this.#belief
  }

  /**
   * One more is told, or one is told again, and all else is as before.
   * @returns whether what is believed now is known; else all must be judged anew, and this judgement is of no more use
   */
  grows(told: Told, signing: Signing | undefined): boolean {
    const { by, member } = told
    const key = keyOfTold(member)
    const { own, keys, names, members } = this.#state
    // What was remembered of names since then may decide otherwise between those that do not agree.
    if (this.#belief.judged?.latest.hasObjected) return false
    if (own.has(key)) return true
    const before = members.get(key)
    if (before !== undefined) return before.by === by && isSameMember(before.member, member)
    if (keys.has(key) || names.has(member.name)) return false
    const { judged } = this.#belief
    const isJudged = judged && signing && judgeAlso(judged, told, signing)
    if (isJudged === undefined && signing !== undefined) return false
    const found = examine(told, this.#state)
    if ('why' in found || macsOf(member, this.#state).faults.length > 0) return false
    join(told, found, this.#state)
    keys.add(key)
    names.add(member.name)
    this.#belief = { ...this.#belief, members: settingsOf(this.#state), judged: isJudged }
    return true
  }
}

function settingsOf({ members }: State): PeerSettings[] {
  return [...members.values()].map(({ settings }) => settings)
}

/** Whether two say the same of a member but for its endpoints. */
function isSameMember(a: ToldMember, b: ToldMember): boolean {
  const { endpoints: _, ...first } = a
  const { endpoints: __, ...second } = b
  return isDeepStrictEqual(first, second)
}

interface State extends Known {
  /** Those that are believed so far, by public key. */
  readonly members: Map<string, Member>
  /** The same, and the peers of the settings. */
  readonly believed: Believed
  /** This host's overlay addresses, and their networks. */
  readonly hosts: readonly NumericNetwork[]
  readonly overlay: readonly NumericNetwork[]
  /** The public keys of this host and of the peers of the settings, in base64. */
  readonly own: ReadonlySet<string>
  /** The public keys and the names of all that were told of others. */
  readonly keys: Set<string>
  readonly names: Set<string>
}

interface Found {
  readonly key: string
  readonly settings: PeerSettings
  /** As text. */
  readonly networks: string
}

type Member = Found & Told

type No = Pick<Refusal, 'why' | 'isLoud'>

const no = (why: string, isLoud = false): No => ({ why, isLoud })

/** @returns the member, or why it is refused */
function examine(told: Told, state: State): Found | No {
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
      `${by} introduces more members than there is room for: ${MAX_PEERS} peers and ${MAX_OVERLAY} of their addresses and prefixes are the most`,
    )
  if (!state.isPossible(settings)) return no(`${by} introduces ${name} with a key that no host can have`)
  return { key, settings, networks }
}

/** Believes a member, with those of its MACs that it can have. @returns what is wrong with the others */
function join({ by, member }: Told, { key, settings, networks }: Found, state: State): Refusal[] {
  const { name } = settings
  const { macs, faults } = macsOf(member, state)
  const now = { key, settings: withMacs(settings, macs), networks, by, member }
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

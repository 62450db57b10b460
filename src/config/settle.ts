import type { SignedRecord } from '../wire/signed-record.js'
import { type AccessRule, parseRuleLine } from './access-rule.js'
import {
  type Conflict,
  conflictOfDevice,
  conflictOfDiscovery,
  conflictOfIntroductions,
  conflictOfKeys,
  conflictOfPeers,
  conflictOfRecords,
  conflictOfRules,
  type SettingPath,
} from './conflicts.js'
import { namesOf } from './peer-names.js'
import { filledByRecord } from './record-peer.js'
import type { Parsed, Settings, WrittenPeer } from './schema.js'
import { conflictOfVxlan, withCommonPort } from './vxlan.js'

const NO_PEER_SETTINGS = { name: undefined, addresses: [], prefixes: undefined, macs: [] }

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
      endpoint: withCommonPort(peer.endpoint, rest),
      prefixes: peer.prefixes ?? [],
      everything: given.length === 1 && saysNothing(peer) && !peer.introducer,
    })),
  }
  const silent = given.findIndex((peer) => saysNothing(peer) && (given.length > 1 || peer.introducer))
  const pathOf = (index: number): SettingPath => (peers === undefined ? ['remote'] : ['peers', index])
  return (
    conflictOfDevice(settings) ??
    conflictOfVxlan(settings, pathOf) ??
    conflictOfIntroductions(settings, peers === undefined) ??
    conflictOfDiscovery(settings) ??
    conflictOfRecords(settings) ??
    conflictOfKeys(settings, peers === undefined) ??
    conflictOfRules(settings) ??
    conflictOfPeers(settings, pathOf, silent) ??
    settings
  )
}

export function isConflict(settled: Settings | Conflict): settled is Conflict {
  return Array.isArray(settled)
}

/** The rules of this host's own record, if it has any. */
function rulesOf(record: SignedRecord | undefined): AccessRule[] | undefined {
  return record === undefined || record.allow.length === 0 ? undefined : record.allow.map(parseRuleLine)
}

/** The values without those that are undefined. */
function definedOf<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** Whether the settings say nothing of the overlay addresses of a peer. */
function saysNothing({ addresses, prefixes }: Pick<WrittenPeer, 'addresses' | 'prefixes'>): boolean {
  return addresses.length === 0 && prefixes === undefined
}

import { addressBits, formatPrefix, type Network } from '../../config/addresses.js'
import { networksOf } from '../../config/told-networks.js'
import { formatKey } from '../../key-text.js'
import type { Peer } from '../peer/peer.js'
import type { PeerSource } from '../status.js'
import type { Line, Member } from './book.js'

/** A host of the network, as `udptun-fast members` shows it. */
export interface MemberReport {
  readonly name: string
  readonly source: PeerSource
  readonly addresses: readonly string[]
  /** As this host knows them, for its rules of access. */
  readonly groups: readonly string[]
  /** In base64; null in a tunnel without keys, and of an invitation. */
  readonly public_key: string | null
  /** In base64: with it the member signs where it is. Null if this host does not know it. */
  readonly signing_key: string | null
  /** In ISO 8601; null if that is not known here. */
  readonly joined: string | null
  readonly seen: string | null
  /** Of an invitation, and of a client of WireGuard that has not come yet: until when it must. */
  readonly until: string | null
  /** `direct`: there is a session with it; `relayed`: an introducer carries that; `away`: there is none. */
  readonly way: 'direct' | 'relayed' | 'away'
  /** Whether it has a signed record; null if this host does not need one to introduce it. */
  readonly signed: boolean | null
}

/** @param of what this host has written down of a member, by its public key */
export function reportMembers(
  peers: readonly Peer[],
  of: (key: string) => Member | undefined,
  nowMs: number,
  isSigned: (peer: Peer) => boolean | undefined,
  groupsOf: (peer: Peer) => Iterable<string>,
): MemberReport[] {
  const members = peers.filter(({ settings }) => settings.invited !== 'line' && settings.invited !== 'spent')
  return members.map((peer) => {
    const { name, heard_s, source, privacy, relayed } = peer.status()
    const { public_key } = peer.settings
    const key = public_key === undefined ? null : formatKey(public_key)
    const known = key === null ? undefined : of(key)
    const seenMs = heard_s === null ? known?.seenMs : nowMs - heard_s * 1000
    const isUp = peer.state === 'up' && privacy?.handshake_s !== null
    return {
      name,
      source,
      addresses: networksOf(peer.settings).map(textOf),
      groups: [...groupsOf(peer)],
      public_key: key,
      signing_key: known?.signingKey ?? null,
      joined: timeOf(known?.joinedMs),
      seen: timeOf(seenMs),
      until: timeOf(known?.untilMs),
      way: !isUp ? 'away' : relayed === null ? 'direct' : 'relayed',
      signed: isSigned(peer) ?? null,
    }
  })
}

/** The invitations by which a newcomer may still join. They have no keys of a host yet. */
export function reportInvitations(open: readonly Line[]): MemberReport[] {
  return open.map(({ name, addresses, groups, untilMs }) => ({
    name,
    source: 'invitation',
    addresses,
    groups,
    public_key: null,
    signing_key: null,
    joined: null,
    seen: null,
    until: timeOf(untilMs),
    way: 'away',
    signed: null,
  }))
}

function textOf(network: Network): string {
  const bits = addressBits(network.address.includes(':') ? 'ipv6' : 'ipv4')
  return network.prefixLength === bits ? network.address : formatPrefix(network)
}

function timeOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}

import type { PeerSettings, Settings } from '../../config/schema.js'
import { networksOf } from '../../config/told-networks.js'
import { formatKey } from '../../key-text.js'
import { numeric, overlaps } from '../mesh/networks.js'
import type { Book, Line, Member } from './book.js'

/** A peer that the book gives. */
export interface BookPeer {
  /** Without the preshared key. */
  readonly settings: PeerSettings
  /** In base64. */
  readonly presharedKey: string
}

/** The peers that the book gives beside those of the settings. */
export interface BookPeers {
  /** The most important first. */
  readonly peers: readonly BookPeer[]
  /** Sentences about members that a person has others instead of. */
  readonly refused: readonly string[]
}

/**
 * The settings of members and lines. What a person has written comes first: a member with the name, the key or an address
 * of a peer of the settings is none.
 *
 * @param open those lines of the book with which a newcomer may come
 */
export function peersOf(
  { members, lines }: Book,
  settings: Pick<Settings, 'peers'>,
  open: readonly Line[],
): BookPeers {
  const keys = new Set(settings.peers.flatMap(({ public_key }) => (public_key ? formatKey(public_key) : [])))
  const refused: string[] = []
  const some = members.filter((member) => {
    // A person may write a member into the settings.
    if (keys.has(member.publicKey)) return false
    const rival = settings.peers.find((peer) => areRivals(peer, member))
    if (rival !== undefined)
      refused.push(
        `${rival.name} of the settings has the name or an address of the invited member ${member.name}, so ${member.name} is no peer; change the settings, or take it out with: udptun-fast remove ${member.name}`,
      )
    return rival === undefined
  })
  const spent = lines.filter((it) => !open.includes(it))
  return {
    refused,
    peers: [
      ...some.map((it) => memberPeer(it)),
      ...open.map((it) => linePeer(it, 'line')),
      ...spent.map((it) => linePeer(it, 'spent')),
    ],
  }
}

function areRivals(peer: PeerSettings, member: Member): boolean {
  if (peer.name === member.name) return true
  const own = networksOf(memberPeer(member).settings).map(numeric)
  // A prefix around it is no rival: the longest one counts.
  return networksOf(peer)
    .map(numeric)
    .some((it) => own.some((other) => it.prefixLength === other.prefixLength && overlaps(it, other)))
}

function memberPeer(member: Member): BookPeer {
  return peerWith(member, {
    name: member.name,
    addresses: [...member.addresses],
    groups: [...member.groups],
    invited: member.isWireGuard ? 'client' : 'member',
  })
}

/** It has no addresses, so that it carries nothing. */
function linePeer(line: Line, invited: 'line' | 'spent'): BookPeer {
  return peerWith(line, { name: nameOfLine(line), addresses: [], invited })
}

/** No member has such a name. */
function nameOfLine({ name, publicKey }: Line): string {
  return `${name}:${publicKey.slice(0, 6)}`
}

function peerWith(
  { publicKey, presharedKey }: Pick<Member, 'publicKey' | 'presharedKey'>,
  more: Pick<PeerSettings, 'name' | 'addresses' | 'groups' | 'invited'>,
): BookPeer {
  return {
    settings: {
      endpoint: undefined,
      prefixes: [],
      macs: [],
      everything: false,
      public_key: Buffer.from(publicKey, 'base64'),
      preshared_key_file: undefined,
      persistent_keepalive: undefined,
      ...more,
    },
    presharedKey,
  }
}

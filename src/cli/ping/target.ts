import { contains, isAddress, parsePrefix } from '../../config/addresses.js'
import { nearest } from '../../config/nearest.js'
import type { PeerStatus, StatusReport } from '../../control/status.js'
import { UserError, usageError } from '../../errors.js'

/** Whom to ask, and how. */
export interface PingTarget {
  readonly peer: PeerStatus
  /** The overlay address to send ICMP echoes to; undefined: the tunnel asks by its own control frames. */
  readonly icmpTo: string | undefined
}

type Report = Pick<StatusReport, 'device' | 'mode' | 'privacy' | 'peers'>

/**
 * Finds the peer that a person means: by its name, its host, its endpoint, or an address inside the tunnel.
 * @param asked undefined: the only peer
 * @throws UserError
 */
export function pingTarget(report: Report, asked: string | undefined): PingTarget {
  const { device, peers } = report
  if (peers.length === 0) throw new UserError(`${device} has no peer`)
  const [only] = peers
  if (asked === undefined) {
    if (peers.length === 1) return targetOf(report, only)
    const names = peers.map(({ name }) => name)
    throw usageError(
      `${device} has several peers (${some(names)}); name one, such as: udptun-fast ping ${names[0]}`,
    )
  }
  const named = namedPeer(peers, asked)
  if (named !== undefined) return targetOf(report, named)
  const inside = isAddress(asked) ? peerWith(peers, asked) : undefined
  if (inside !== undefined) return targetOf(report, inside, asked)
  throw new UserError(unknownPeer(device, peers, asked))
}

function namedPeer(peers: readonly PeerStatus[], asked: string): PeerStatus | undefined {
  const by = (...keys: ((peer: PeerStatus) => string | null)[]) =>
    keys.map((key) => peers.find((peer) => key(peer) === asked)).find((it) => it !== undefined)
  return by(
    ({ name }) => name,
    ({ host }) => host,
    ({ endpoint }) => endpoint,
    ({ endpoint }) => endpoint?.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') ?? null,
  )
}

/** The peer whose overlay address or longest prefix has an address. */
function peerWith(peers: readonly PeerStatus[], address: string): PeerStatus | undefined {
  const networks = peers.flatMap((peer) => peer.overlay.map((text) => ({ peer, network: parsePrefix(text) })))
  return networks
    .filter(({ network }) => contains(network, address))
    .sort((a, b) => b.network.prefixLength - a.network.prefixLength)[0]?.peer
}

function unknownPeer(device: string, peers: readonly PeerStatus[], asked: string): string {
  const names = peers.map(({ name }) => name)
  const near = nearest(asked, names)
  const which = near === undefined ? `its peers are ${some(names)}` : `the nearest is "${near}"`
  return `${device} has no peer "${asked}"; ${which}`
}

/** At most so many names are listed. */
const MOST_NAMES = 8

function some(names: readonly string[]): string {
  const more = names.length - MOST_NAMES
  return `${names.slice(0, MOST_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/**
 * An end that answers keepalives is asked by one. Others, such as WireGuard peers, are asked by ICMP, if an overlay
 * address of theirs is known.
 * @param address the one that was asked for
 * @throws UserError
 */
function targetOf({ mode, privacy }: Report, peer: PeerStatus, address?: string): PingTarget {
  const icmpTo = address ?? overlayAddress(peer)
  const { keepalives } = peer
  if (keepalives === true) return { peer, icmpTo: undefined }
  // Any WireGuard peer may be there.
  const mayBeOther = keepalives === false || (mode === 'tun' && privacy !== null)
  if (mayBeOther && icmpTo !== undefined) return { peer, icmpTo }
  if (keepalives === false)
    throw new UserError(
      `${peer.name} answers no keepalives, and no overlay address of it is known; name one: udptun-fast ping <address>, or give it "addresses" in the settings`,
    )
  return { peer, icmpTo: undefined }
}

/** The first single address among the addresses and prefixes of a peer. */
function overlayAddress({ overlay }: PeerStatus): string | undefined {
  const single = overlay.find((text) => !text.includes('/') || /:.*\/128$|\.\d+\/32$/.test(text))
  return single?.replace(/\/.*$/, '')
}

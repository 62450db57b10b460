import ipaddr from 'ipaddr.js'
import { addressBits, contains, formatPrefix, type LocalAddress, type Prefix } from '../config/addresses.js'
import type { PeerSettings } from '../config/schema.js'
import type { Refusal } from '../host/host-routes.js'

export interface RouteQuestion {
  /** What the settings give to the peers. */
  readonly prefixes: readonly Prefix[]
  /** The overlay addresses of this host. Nobody sends anything for them by the device. */
  readonly local: readonly LocalAddress[]
  /** The addresses where the peers are now. */
  readonly endpoints: readonly string[]
  /** Whether the kernel sends packets for this address by the tunnel's device. */
  readonly leavesByDevice: (address: string) => boolean
}

/** The networks of the peers whose packets the kernel does not send by the tunnel's device. */
export interface MissingRoutes {
  /** A route by the device is all that they need. */
  readonly simple: readonly Prefix[]
  /**
   * Networks of all addresses, and those that contain a peer's endpoint. A route by the device alone would lead the
   * tunnel's own datagrams into the tunnel.
   */
  readonly around: readonly Prefix[]
}

type Routed = Pick<PeerSettings, 'addresses' | 'prefixes'>

/** The settings of a peer that stays as it is are the same object, and there may be thousands. */
const known = new WeakMap<Routed, readonly (readonly [text: string, prefix: Prefix])[]>()

/** The prefixes and addresses of the peers, each once, by their texts. */
export function prefixesOf(peers: readonly Routed[]): Map<string, Prefix> {
  const all = new Map<string, Prefix>()
  for (const peer of peers) for (const [text, prefix] of prefixesOfOne(peer)) all.set(text, prefix)
  return all
}

function prefixesOfOne(peer: Routed) {
  const before = known.get(peer)
  if (before !== undefined) return before
  const prefixes = [...peer.addresses.map(prefixOfHost), ...peer.prefixes]
  const now = prefixes.map((it) => [formatPrefix(it), it] as const)
  known.set(peer, now)
  return now
}

function prefixOfHost(address: string): Prefix {
  const family = ipaddr.parse(address).kind()
  return { address, family, prefixLength: addressBits(family) }
}

/**
 * Asks for two addresses of each prefix, because somebody may have set two routes, each for one half of it. A
 * narrower route that leads elsewhere is not noticed.
 */
export function missingRoutes({ prefixes, local, endpoints, leavesByDevice }: RouteQuestion): MissingRoutes {
  const own = new Set(local.map(({ address }) => ipaddr.parse(address).toString()))
  const missing = prefixes.filter((prefix) =>
    samplesOf(prefix).some((address) => !own.has(address) && !leavesByDevice(address)),
  )
  const isAround = (prefix: Prefix) =>
    prefix.prefixLength === 0 || endpoints.some((endpoint) => contains(prefix, endpoint))
  return {
    simple: missing.filter((prefix) => !isAround(prefix)),
    around: missing.filter(isAround),
  }
}

/** The addresses at a quarter and at three quarters of a prefix; of a very small one, all of its addresses. */
function samplesOf({ address, family, prefixLength }: Prefix): string[] {
  const bytes = ipaddr.parse(address).toByteArray()
  const hostBits = addressBits(family) - prefixLength
  const withBits = (...bits: number[]) => {
    const changed = [...bytes]
    for (const bit of bits) changed[bit >>> 3] |= 0x80 >>> (bit & 7)
    return ipaddr.fromByteArray(changed).toString()
  }
  if (hostBits === 0) return [withBits()]
  if (hostBits === 1) return [withBits(), withBits(prefixLength)]
  return [withBits(prefixLength + 1), withBits(prefixLength, prefixLength + 1)]
}

/**
 * What to tell a person: which routes are missing, and how to set them. Undefined if none is missing.
 * @param refused why routes could not be made, by network
 */
export function sentenceOf(
  { simple, around }: MissingRoutes,
  device: string,
  refused: ReadonlyMap<string, Refusal> = new Map(),
): string | undefined {
  // To add a route where another one is would be refused again.
  const isTaken = (prefix: Prefix) => refused.get(formatPrefix(prefix))?.isTaken === true
  const all = around.filter(({ prefixLength }) => prefixLength === 0)
  const parts = around.filter(({ prefixLength }) => prefixLength > 0)
  const free = simple.filter((it) => !isTaken(it))
  const taken = simple.filter(isTaken)
  const sentences = [
    ...(all.length === 0
      ? []
      : [
          `nothing is tunnelled by ${list(all)}, because no default route leads to ${device}: traffic keeps going out by the old default route, unencrypted`,
        ]),
    ...(parts.length === 0
      ? []
      : [
          `nothing is tunnelled by ${list(parts)}, because no route leads to ${device}${parts.every(isTaken) ? '' : "; the peer's endpoint lies inside, so give it a route of its own before you add that one"}`,
        ]),
    ...(free.length === 0
      ? []
      : [
          `no route leads to ${device} for ${list(free)}, so nothing is tunnelled there; set what is missing with: ${free.map((it) => `ip route add ${formatPrefix(it)} dev ${device}`).join('; ')}`,
        ]),
    ...(taken.length === 0
      ? []
      : [
          `no route leads to ${device} for ${list(taken)}, so nothing is tunnelled there: another route is in the way, which you find with: ${taken.map(showCommand).join('; ')}`,
        ]),
  ]
  if (sentences.length === 0) return undefined
  const remedy = [...simple, ...around].some(isTaken)
    ? `; remove what is in the way, and then: udptun-fast reload ${device}`
    : ''
  // What is said already needs no other reason.
  return `${sentences.join('. Also, ')}${reasons([...free, ...around], refused)}${remedy}`
}

function reasons(prefixes: readonly Prefix[], refused: ReadonlyMap<string, Refusal>): string {
  const all = prefixes.map(formatPrefix).flatMap((name) => {
    const refusal = refused.get(name)
    return refusal === undefined ? [] : [`${name}: ${refusal.why}`]
  })
  return all.length === 0 ? '' : ` (refused: ${all.join('; ')})`
}

/** If ip(8) is not told the family, it shows routes of IPv4 only. */
function showCommand(prefix: Prefix): string {
  return `ip ${prefix.family === 'ipv6' ? '-6 ' : ''}route show ${formatPrefix(prefix)}`
}

/** The same, while the device is down. */
export function sentenceOfDown({ simple, around }: MissingRoutes, device: string): string | undefined {
  const missing = [...around, ...simple]
  if (missing.length === 0) return undefined
  const leak = around.some(({ prefixLength }) => prefixLength === 0)
    ? ': traffic goes out by the old default route, unencrypted'
    : ''
  return `${device} is down, and so the kernel has removed its routes. Nothing is tunnelled by ${list(missing)}${leak}`
}

function list(prefixes: readonly Prefix[]): string {
  return prefixes.map(formatPrefix).join(', ')
}

import ipaddr from 'ipaddr.js'
import type { PeerSettings } from '../../config/schema.js'
import { addressBits, isAddress, type Network } from '../../config/values.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import {
  type Claims,
  ENDPOINT_KIND,
  MAX_MEMBER_BYTES,
  MAX_TOLD_ENDPOINTS,
  MAX_TOLD_MACS,
  type ToldEndpoint,
  type ToldMember,
  type ToldNetwork,
  writeMember,
} from '../../wire/introduction.js'

/** A peer, as an introducer knows it. */
export interface KnownMember {
  readonly settings: PeerSettings
  /** Where it is, or was last; undefined if that was never known. */
  readonly endpoint: Endpoint | undefined
  /** What it says of itself, as far as that is believed; undefined if it has said nothing. */
  readonly claims?: Claims | undefined
}

/**
 * How an introducer tells its peer to others; undefined if it has no public key, or so many networks that it does not
 * fit.
 */
export function toldOf({ settings, endpoint, claims }: KnownMember): ToldMember | undefined {
  const { public_key, name, addresses, prefixes, macs } = settings
  if (public_key === undefined) return undefined
  const networks = [...addresses.map(hostNetwork), ...prefixes].map(
    ({ address, prefixLength }): ToldNetwork => ({ address: bytesOf(address), prefixLength }),
  )
  const told: ToldMember = {
    publicKey: Uint8Array.from(public_key),
    name,
    networks,
    endpoints: endpointsOf(settings, endpoint, claims?.endpoints ?? []),
    macs: (macs.length > 0 ? macs.map((it) => Uint8Array.from(it)) : (claims?.macs ?? [])).slice(
      0,
      MAX_TOLD_MACS,
    ),
  }
  if (networks.length > 0xff) return undefined
  if (writeMember(told).length <= MAX_MEMBER_BYTES) return told
  // What it says itself is worth less than its networks.
  return claims === undefined ? undefined : toldOf({ settings, endpoint })
}

/** Where this host sees it, the endpoint of the settings, if it is an address, and what it says itself. */
function endpointsOf(
  { endpoint: configured }: PeerSettings,
  seen: Endpoint | undefined,
  claimed: readonly ToldEndpoint[],
): ToldEndpoint[] {
  const all = [
    ...(seen === undefined ? [] : [{ ...seen, kinds: ENDPOINT_KIND.seen }]),
    ...(configured !== undefined && isAddress(configured.host)
      ? [{ address: configured.host, port: configured.port, kinds: 0 }]
      : []),
  ]
  // A zone says nothing to another host, and so does an address that has one.
  const some = all.filter(({ address }) => !address.includes('%'))
  const told = [...some.map((it) => ({ ...it, address: bytesOf(it.address) })), ...claimed]
  return told
    .filter((it, at) => told.findIndex((other) => isSame(it, other)) === at)
    .map((it) => ({ ...it, kinds: kindsOf(it, told) }))
    .slice(0, MAX_TOLD_ENDPOINTS)
}

function kindsOf(endpoint: ToldEndpoint, all: readonly ToldEndpoint[]): number {
  return all.reduce((bits, it) => (isSame(it, endpoint) ? bits | (it.kinds ?? 0) : bits), 0)
}

function isSame(a: ToldEndpoint, b: ToldEndpoint): boolean {
  return a.port === b.port && Buffer.from(a.address).equals(b.address)
}

function hostNetwork(address: string): Network {
  return { address, prefixLength: addressBits(address.includes(':') ? 'ipv6' : 'ipv4') }
}

function bytesOf(address: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(address).toByteArray())
}

export function networkOf({ address, prefixLength }: ToldNetwork): Network {
  return { address: ipaddr.fromByteArray([...address]).toString(), prefixLength }
}

function endpointOf({ address, port }: ToldEndpoint): Endpoint {
  return { address: ipaddr.process(ipaddr.fromByteArray([...address]).toString()).toString(), port }
}

/** Where no host is that others could reach, or where more than one is (with ipaddr.js's names). */
const NO_PLACES: readonly string[] = ['loopback', 'linkLocal', 'multicast', 'broadcast', 'unspecified']

/** The endpoints of a member at which it may be. */
export function placesOf({ endpoints }: ToldMember): Endpoint[] {
  return endpoints.map(endpointOf).filter(({ address }) => !NO_PLACES.includes(ipaddr.parse(address).range()))
}

/** The networks that the settings give to a peer. Of one that has everything, none is told. */
export function networksOf({ addresses, prefixes }: PeerSettings): Network[] {
  return [...addresses.map(hostNetwork), ...prefixes]
}

import ipaddr from 'ipaddr.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import { type Claims, ENDPOINT_KIND, MAX_CLAIMS, type ToldEndpoint } from '../../wire/introduction.js'
import type { HostAddress } from '../network.js'
import { familyOf } from '../peer/underlay.js'
import { isPlace } from './member.js'

/** What a host knows of its own places. */
export interface OwnPlaces {
  /** The addresses of its interfaces but for the tunnel's own device. */
  readonly addresses: readonly HostAddress[]
  /** Where its data socket is bound. */
  readonly listen: Endpoint
  /** The addresses that it sends from to its introducers. */
  readonly sources: readonly (string | undefined)[]
  /** A mapping that a router has made for it. */
  readonly mapping: Endpoint | undefined
  /** Of its device, in mode tap. */
  readonly mac: Uint8Array | undefined
}

/**
 * What a host says of itself. Of many addresses, those with which it speaks to the introducers come first, then IPv6
 * ones that are good everywhere, then the others. Temporary and deprecated ones come last.
 */
export function claimsOf({ addresses, listen, sources, mapping, mac }: OwnPlaces): Claims {
  const isAny = ipaddr.parse(listen.address.split('%')[0]).range() === 'unspecified'
  const own = addresses
    .filter(({ address, ready, global }) => ready && global && isTold(address))
    .filter(({ address }) => (isAny ? canHear(listen.address, address) : address === listen.address))
  const rated = own.map((it, at) => ({ it, at, rating: ratingOf(it, sources) }))
  rated.sort((a, b) => a.rating - b.rating || a.at - b.at)
  const found = rated.map(({ it }) => told({ address: it.address, port: listen.port }, ENDPOINT_KIND.own))
  const mapped = mapping === undefined ? [] : [told(mapping, ENDPOINT_KIND.mapped)]
  return { endpoints: [...mapped, ...found].slice(0, MAX_CLAIMS), macs: mac === undefined ? [] : [mac] }
}

function isTold(address: string): boolean {
  return !address.includes('%') && isPlace(address)
}

/** A socket that is bound to `::` hears both families. */
function canHear(listen: string, address: string): boolean {
  return familyOf(listen) === 'ipv6' || familyOf(address) === 'ipv4'
}

function ratingOf({ address, deprecated, secondary }: HostAddress, sources: OwnPlaces['sources']): number {
  if (sources.includes(address)) return 0
  if (deprecated) return 4
  if (familyOf(address) === 'ipv6' && ipaddr.parse(address).range() !== 'uniqueLocal')
    return secondary ? 2 : 1
  return secondary ? 3 : 2
}

const told = ({ address, port }: Endpoint, kinds: number): ToldEndpoint => ({
  address: Uint8Array.from(ipaddr.parse(address).toByteArray()),
  port,
  kinds,
})

/** Whether two claims say the same. */
export function sameClaims(a: Claims | undefined, b: Claims): boolean {
  return textOf(a) === textOf(b)
}

function textOf(claims: Claims | undefined): string {
  return JSON.stringify(
    claims && [
      claims.endpoints.map(({ address, port, kinds }) => [...address, port, kinds]),
      claims.macs.map((it) => [...it]),
    ],
  )
}

/** Whether a member is behind a NAT: it is seen at an address that none of its interfaces has. Undefined: not known. */
export function isBehindNat(endpoints: readonly ToldEndpoint[]): boolean | undefined {
  const has = (bit: number) => endpoints.filter(({ kinds = 0 }) => (kinds & bit) !== 0)
  const seen = has(ENDPOINT_KIND.seen)
  const own = has(ENDPOINT_KIND.own)
  if (seen.length === 0 || own.length === 0) return undefined
  return !seen.some(({ address }) => own.some((it) => Buffer.from(it.address).equals(address)))
}

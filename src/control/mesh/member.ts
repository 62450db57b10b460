import ipaddr from 'ipaddr.js'
import { isAddress } from '../../config/addresses.js'
import type { PeerSettings } from '../../config/schema.js'
import { bytesOfAddress, toldNetworks } from '../../config/told-networks.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import {
  type Claims,
  ENDPOINT_KIND,
  MAX_MEMBER_BYTES,
  MAX_TOLD_ENDPOINTS,
  MAX_TOLD_MACS,
  type ToldEndpoint,
  type ToldMember,
  writeMember,
} from '../../wire/introduction.js'
import type { SignedRecord } from '../../wire/signed-record.js'

/** A peer, as an introducer knows it. */
export interface KnownMember {
  readonly settings: PeerSettings
  /** Where it is, or was last; undefined if that was never known. */
  readonly endpoint: Endpoint | undefined
  /** What its network's key says of it; undefined if this host has no record of it. */
  readonly record?: SignedRecord | undefined
  /** What it says of itself, as far as that is believed; undefined if it has said nothing. */
  readonly claims?: Claims | undefined
}

/**
 * How an introducer tells its peer to others; undefined if it has no public key, or so many networks that it does not
 * fit. If there is a record, that is told, and nothing of the settings but where it is.
 */
export function toldOf({ settings, endpoint, record, claims }: KnownMember): ToldMember | undefined {
  const endpoints = endpointsOf(settings, endpoint, claims?.endpoints ?? [])
  const macs = macsOf(settings, claims)
  if (record !== undefined) {
    const { publicKey, name, networks } = record
    return fitting({ publicKey, name, networks, endpoints, macs, record })
  }
  const { public_key, name } = settings
  if (public_key === undefined) return undefined
  const networks = toldNetworks(settings)
  if (networks.length > 0xff) return undefined
  return fitting({ publicKey: Uint8Array.from(public_key), name, networks, endpoints, macs })
}

function macsOf({ macs }: PeerSettings, claims: Claims | undefined): Uint8Array[] {
  const all = macs.length > 0 ? macs.map((it) => Uint8Array.from(it)) : (claims?.macs ?? [])
  return all.slice(0, MAX_TOLD_MACS)
}

/** The member with as many of its endpoints as there is room for, the first ones; undefined if it does not fit at all. */
function fitting(told: ToldMember): ToldMember | undefined {
  if (writeMember(told).length <= MAX_MEMBER_BYTES) return told
  return told.endpoints.length === 0
    ? undefined
    : fitting({ ...told, endpoints: told.endpoints.slice(0, -1) })
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
  const told = [...some.map((it) => ({ ...it, address: bytesOfAddress(it.address) })), ...claimed]
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

function endpointOf({ address, port }: ToldEndpoint): Endpoint {
  return { address: ipaddr.process(ipaddr.fromByteArray([...address]).toString()).toString(), port }
}

/** Where no host is that others could reach, or where more than one is (with ipaddr.js's names). */
const NO_PLACES: readonly string[] = ['loopback', 'linkLocal', 'multicast', 'broadcast', 'unspecified']

/** Whether a host that has this address can be reached there by others. */
export function isPlace(address: string): boolean {
  return !NO_PLACES.includes(ipaddr.process(address).range())
}

/** This is asked ten times a second for each member, and what is told stays the same object. */
const places = new WeakMap<ToldMember, readonly Endpoint[]>()

/** The endpoints of a member at which it may be. */
export function placesOf(told: ToldMember): readonly Endpoint[] {
  const known = places.get(told)
  if (known !== undefined) return known
  const found = told.endpoints.map(endpointOf).filter(({ address }) => isPlace(address))
  places.set(told, found)
  return found
}

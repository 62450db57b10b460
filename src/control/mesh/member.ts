import ipaddr from 'ipaddr.js'
import type { PeerSettings } from '../../config/schema.js'
import { bytesOfAddress, toldNetworks } from '../../config/told-networks.js'
import { isAddress } from '../../config/values.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import {
  MAX_MEMBER_BYTES,
  MAX_TOLD_ENDPOINTS,
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
  readonly record: SignedRecord | undefined
}

/**
 * How an introducer tells its peer to others; undefined if it has no public key, or so many networks that it does not
 * fit. If there is a record, that is told, and nothing of the settings but where it is.
 */
export function toldOf({ settings, endpoint, record }: KnownMember): ToldMember | undefined {
  const endpoints = endpointsOf(settings, endpoint)
  if (record !== undefined) {
    const { publicKey, name, networks } = record
    return { publicKey, name, networks, endpoints, record }
  }
  const { public_key, name } = settings
  if (public_key === undefined) return undefined
  const networks = toldNetworks(settings)
  const told: ToldMember = { publicKey: Uint8Array.from(public_key), name, networks, endpoints }
  if (networks.length > 0xff || writeMember(told).length > MAX_MEMBER_BYTES) return undefined
  return told
}

/** The endpoint of the settings, if it is an address, and where this host sees it. */
function endpointsOf({ endpoint: configured }: PeerSettings, seen: Endpoint | undefined): ToldEndpoint[] {
  const all = [
    ...(seen === undefined ? [] : [seen]),
    ...(configured !== undefined && isAddress(configured.host)
      ? [{ address: configured.host, port: configured.port }]
      : []),
  ]
  // A zone says nothing to another host, and so does an address that has one.
  const some = all.filter(({ address }) => !address.includes('%'))
  const told = some.map(({ address, port }) => ({ address: bytesOfAddress(address), port }))
  return told
    .filter((it, at) => told.findIndex((other) => isSame(it, other)) === at)
    .slice(0, MAX_TOLD_ENDPOINTS)
}

function isSame(a: ToldEndpoint, b: ToldEndpoint): boolean {
  return a.port === b.port && Buffer.from(a.address).equals(b.address)
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

import ipaddr from 'ipaddr.js'
import { AF_INET, type AF_INET6 } from './constants.js'
import { if_nametoindex } from './libc.js'
import { sockaddr_in, sockaddr_in6 } from './structs.js'

/** Address and port of a UDP socket. */
export interface Endpoint {
  /** An IPv4 or IPv6 address. A link-local one includes its interface: `fe80::1%eth0`. */
  readonly address: string
  readonly port: number
}

/** `AF_INET6` sockets here are dual-stack: IPv4 endpoints are IPv4-mapped addresses (RFC 4291, 2.5.5.2). */
export type SocketFamily = typeof AF_INET | typeof AF_INET6

/** Bytes of an encoded name of any family. A shorter name is followed by zeros. */
export const SOCKADDR_BYTES = sockaddr_in6.size

/** The address length that the kernel needs for this family. */
export function sockaddrLength(family: SocketFamily): number {
  return family === AF_INET ? sockaddr_in.size : sockaddr_in6.size
}

/**
 * Encodes `endpoint` for a socket of `family`, padded to {@link SOCKADDR_BYTES}. Two names are the same
 * endpoint exactly when all these bytes are equal.
 * @throws RangeError for an IPv6 endpoint on an `AF_INET` socket, or a zone that is not an interface
 */
export function encodeSockaddr(family: SocketFamily, endpoint: Endpoint): Uint8Array {
  const [text, zone] = endpoint.address.split('%') as [string, string?]
  const parsed = ipaddr.parse(text)
  if (family === AF_INET && parsed.kind() === 'ipv6')
    throw new RangeError(`${endpoint.address}: this host has no IPv6`)
  let scopeId = 0
  if (zone !== undefined && family !== AF_INET) {
    scopeId = /^\d+$/.test(zone) ? Number(zone) : if_nametoindex(zone)
    if (scopeId === 0) throw new RangeError(`${endpoint.address}: there is no interface ${zone}`)
  }
  return encodeAddress(family, parsed.toByteArray(), endpoint.port, scopeId)
}

/** The first bytes of an IPv4-mapped IPv6 address. */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/**
 * Like {@link encodeSockaddr}, but from the bytes of the address: 4 (IPv4) or 16.
 * @param scopeId the interface of a link-local address
 */
export function encodeAddress(
  family: SocketFamily,
  address: ArrayLike<number>,
  port: number,
  scopeId = 0,
): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(sockaddr_in.sin_family, family, true)
  view.setUint16(sockaddr_in.sin_port, port)
  if (family === AF_INET) {
    bytes.set(address, sockaddr_in.sin_addr)
    return bytes
  }
  if (address.length === 4) bytes.set(MAPPED, sockaddr_in6.sin6_addr)
  bytes.set(address, sockaddr_in6.sin6_addr + 16 - address.length)
  view.setUint32(sockaddr_in6.sin6_scope_id, scopeId, true)
  return bytes
}

/** The endpoint in a name from the kernel or {@link encodeSockaddr}. IPv4-mapped addresses become IPv4. */
export function decodeSockaddr(bytes: Uint8Array): Endpoint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const port = view.getUint16(sockaddr_in.sin_port)
  if (view.getUint16(sockaddr_in.sin_family, true) === AF_INET) {
    const address = ipaddr.fromByteArray([...bytes.subarray(sockaddr_in.sin_addr, sockaddr_in.sin_addr + 4)])
    return { address: address.toString(), port }
  }
  const address = ipaddr.fromByteArray([
    ...bytes.subarray(sockaddr_in6.sin6_addr, sockaddr_in6.sin6_addr + 16),
  ]) as ipaddr.IPv6
  if (address.isIPv4MappedAddress()) return { address: address.toIPv4Address().toString(), port }
  const zone = view.getUint32(sockaddr_in6.sin6_scope_id, true)
  return { address: zone === 0 ? address.toString() : `${address.toString()}%${zone}`, port }
}

/**
 * Bytes of a *local address*: one of this host, whatever the socket's family. An IPv4 address is IPv4-mapped. All
 * zeros: not known.
 */
export const LOCAL_BYTES = 16

/** An address as a local address. A zone is left out. */
export function encodeLocal(address: string): Uint8Array {
  const bytes = new Uint8Array(LOCAL_BYTES)
  const parsed = ipaddr.parse(address.split('%')[0]).toByteArray()
  if (parsed.length === 4) bytes.set(MAPPED)
  bytes.set(parsed, LOCAL_BYTES - parsed.length)
  return bytes
}

/** The address in a local address; undefined if it is not known. */
export function decodeLocal(local: Uint8Array): string | undefined {
  if (local.every((byte) => byte === 0)) return undefined
  return ipaddr.process(ipaddr.fromByteArray([...local]).toString()).toString()
}

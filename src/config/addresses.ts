import ipaddr from 'ipaddr.js'
import { looksLikeKey } from '../key-text.js'

/**
 * Addresses, networks and endpoints, as a person writes them. Each parser returns a value or throws a RangeError. Its
 * message is the rest of a sentence that starts with the name of the setting.
 */

/** An overlay address with the prefix length of its network. */
export interface LocalAddress {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly prefixLength: number
}

/** The remote: a host name or an address, and its UDP port. */
export interface Remote {
  readonly host: string
  readonly port: number
}

/**
 * Where to listen: on an address, on the address that an interface has, or on all addresses. Port 0: the kernel
 * chooses one.
 */
export interface Listen {
  readonly address: string | undefined
  /** The name of an interface. */
  readonly interface?: string
  readonly port: number
}

export const DEFAULT_PORT = 5149

const HOST_NAME =
  /^(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/** Whether a text can be the name of a host, or a domain (RFC 1123, 2.1), or have the underscores that DNS allows. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text)
}

export function parsePort(text: string, least: 0 | 1 = 1): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port >= least && port <= 65535))
    throw new RangeError(`"${text}" is not a port; use a number from ${least} to 65535`)
  return port
}

/** Whether `text` is an address: IPv4 only as four decimal numbers, IPv6 with or without a zone. */
export function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text)
}

/** A network, or an address in its network, as a person writes it. */
export interface Network {
  readonly address: string
  readonly prefixLength: number
}

/** `10.9.0.1/24`, `fd00::1/64`. */
export function formatPrefix({ address, prefixLength }: Network): string {
  return `${address}/${prefixLength}`
}

/** `192.0.2.1:5149` or `[2001:db8::1]:5149`. */
export function formatEndpoint({
  address,
  port,
}: {
  readonly address: string
  readonly port: number
}): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** Whether `address`, which may have a zone, is in the network. */
export function contains(network: Network, address: string): boolean {
  const base = ipaddr.parse(network.address)
  const other = ipaddr.parse(address.split('%')[0])
  return base.kind() === other.kind() && other.match(base, network.prefixLength)
}

/** The bits of an address: the longest prefix. */
export function addressBits(family: 'ipv4' | 'ipv6'): number {
  return family === 'ipv4' ? 32 : 128
}

/** `10.9.0.1`, `10.9.0.1/24`, `fd00::1/64`, in its shortest form. Without a prefix: /24 for IPv4, /64 for IPv6. */
export function parseLocalAddress(text: string): LocalAddress {
  const [address, prefix, ...rest] = text.split('/')
  if (rest.length > 0 || !isAddress(address) || address.includes('%')) {
    throw new RangeError(`"${text}" is not an overlay address; write one such as 10.9.0.1/24 or fd00::1/64`)
  }
  const parsed = ipaddr.parse(address)
  const family = parsed.kind()
  const longest = addressBits(family)
  const fallback = family === 'ipv4' ? 24 : 64
  const prefixLength =
    prefix === undefined ? fallback : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
  if (!(prefixLength >= 1 && prefixLength <= longest)) {
    throw new RangeError(
      `"${text}" has the prefix "${prefix}"; for ${address} use a number from 1 to ${longest}`,
    )
  }
  refuseRanges(text, address, ['multicast', 'broadcast', 'unspecified', 'loopback'])
  // The kernel lists it so, and it is compared with that.
  return { address: parsed.toString(), family, prefixLength }
}

/** Refuses an address in these ranges (with ipaddr.js's names). No single host can have such an address. */
function refuseRanges(text: string, address: string, ranges: readonly string[]): void {
  const range = ipaddr.parse(address).range()
  if (!ranges.includes(range)) return
  const article = range === 'unspecified' ? 'an' : 'a'
  throw new RangeError(
    `"${text}" is ${article} ${range} address, which no host can have on a network; choose another`,
  )
}

/** `host-b`, `198.51.100.2:5149`, `2001:db8::2`, `[2001:db8::2]:5149`. */
export function parseRemote(text: string): Remote {
  const { host, port } = splitPort(text)
  // Without this check, a key that lacks its last character would be sent to name servers.
  if (looksLikeKey(host))
    throw new RangeError(
      'this looks like a key, and a remote must stand here; write a host name or an address',
    )
  if (host === '' || !(isAddress(host) || (isHostName(host) && !/^[\d.]+$/.test(host)))) {
    throw new RangeError(
      `"${text}" is not a remote; write a host name or an address, such as host-b, 198.51.100.2:${DEFAULT_PORT} or [2001:db8::2]:${DEFAULT_PORT}`,
    )
  }
  if (isAddress(host)) refuseRanges(text, host, ['multicast', 'broadcast', 'unspecified'])
  return { host, port: port === undefined ? DEFAULT_PORT : parsePort(port) }
}

/** A network of addresses, such as `10.9.3.0/24`. An address without a prefix is a network of one. */
export interface Prefix {
  /** Its first address: the bits after the prefix are zero. */
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly prefixLength: number
}

/** `10.9.3.0/24`, `fd00:9:3::/64`, `0.0.0.0/0`, `10.9.0.3`. */
export function parsePrefix(text: string): Prefix {
  const [address, prefix, ...rest] = text.split('/')
  if (rest.length > 0 || !isAddress(address) || address.includes('%')) {
    throw new RangeError(`"${text}" is not a prefix; write one such as 10.9.3.0/24 or fd00:9:3::/64`)
  }
  const parsed = ipaddr.parse(address)
  const longest = addressBits(parsed.kind())
  const prefixLength = prefix === undefined ? longest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
  if (!(prefixLength <= longest)) {
    throw new RangeError(
      `"${text}" has the prefix "${prefix}"; for ${address} use a number from 0 to ${longest}`,
    )
  }
  const bytes = parsed.toByteArray().map((byte, index) => {
    const bits = Math.min(Math.max(prefixLength - index * 8, 0), 8)
    return byte & (0xff << (8 - bits))
  })
  const first = ipaddr.fromByteArray(bytes)
  return { address: first.toString(), family: first.kind(), prefixLength }
}

/** An overlay address of a peer, in its shortest form. */
export function parsePeerAddress(text: string): string {
  if (!isAddress(text) || text.includes('%')) {
    throw new RangeError(`"${text}" is not an overlay address of a peer; write one such as 10.9.0.3`)
  }
  refuseRanges(text, text, ['multicast', 'broadcast', 'unspecified', 'loopback'])
  return ipaddr.parse(text).toString()
}

/** Names of interfaces that cannot be mistaken for an address: with a letter, and no stranger characters. */
const INTERFACE_NAME = /^(?=.*[a-z])[\w.-]{1,15}$/i

/** `5149`, `192.0.2.1:5149`, `[2001:db8::1]:5149`, `ppp0:5149`; port 0 is a free one. */
export function parseListen(text: string): Listen {
  if (/^\d+$/.test(text)) return { address: undefined, port: parsePort(text, 0) }
  const { host, port } = splitPort(text)
  const isInterface = !isAddress(host) && INTERFACE_NAME.test(host)
  if (port === undefined || !(isAddress(host) || isInterface)) {
    throw new RangeError(
      `"${text}" is not a place to listen; write a port, or an address or an interface and a port, such as ${DEFAULT_PORT}, 192.0.2.1:${DEFAULT_PORT} or ppp0:${DEFAULT_PORT}`,
    )
  }
  if (isInterface) return { address: undefined, interface: host, port: parsePort(port, 0) }
  return { address: host, port: parsePort(port, 0) }
}

/** @returns the port undefined if there is none, or if `text` is an IPv6 address without brackets */
export function splitPort(text: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  if (bracketed !== null) return { host: bracketed[1], port: bracketed[2] }
  const colons = text.split(':').length - 1
  if (colons !== 1) return { host: text, port: undefined }
  const [host, port] = text.split(':')
  return { host, port }
}

/** A name server, as an address, or a domain in which names are searched. */
export function parseNameServer(text: string): string {
  if (isAddress(text) || (isHostName(text) && !/^[\d.]+$/.test(text))) return text
  throw new RangeError(`"${text}" is neither the address of a name server nor a domain to search`)
}

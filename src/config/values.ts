import { looksLikeKey, parseKey } from '../key-text.js'
import { isGroupMac, type MacAddress, parseMac } from '../wire/ethernet.js'
import { MAX_VNI } from '../wire/vxlan.js'
import { isHostName } from './addresses.js'

/**
 * The texts that a person writes, and their values. Each parser returns a value or throws a RangeError. Its
 * message is the rest of a sentence that starts with the name of the setting.
 */

/** The number of a VXLAN network. */
export function parseVni(text: string): number {
  const vni = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN
  if (!(vni <= MAX_VNI)) throw new RangeError(`"${text}" is not a VNI; use a number from 0 to ${MAX_VNI}`)
  return vni
}

/** The name of a peer in status and log. */
export function parsePeerName(text: string): string {
  if (!/^[!-~]{1,63}$/.test(text)) {
    throw new RangeError(`"${text}" is not a peer's name; use 1 to 63 ASCII characters without spaces`)
  }
  if (looksLikeKey(text))
    throw new RangeError('this looks like a key, and anybody can see a name; write another one')
  return text
}

/** The name of a group of members. */
export function parseGroup(text: string): string {
  if (/^[a-z0-9][a-z0-9._-]{0,62}$/i.test(text)) return text
  throw new RangeError(`"${text}" is not the name of a group; use 1 to 63 letters, figures, ".", "_" and "-"`)
}

/** A public key in base64, as `udptun-fast pubkey` and `wg pubkey` print it. */
export function parsePublicKey(text: string): Buffer {
  const key = parseKey(text)
  if (key === undefined) {
    throw new RangeError(
      `"${text}" is not a public key, which has 44 characters; the other host tells its own with: udptun-fast pubkey < its.key`,
    )
  }
  return key
}

/** Seconds; 0 is off. */
export function parseKeepalive(text: string): number {
  const seconds = text === 'off' ? 0 : /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds <= 65535))
    throw new RangeError(`"${text}" is not a time; use a number of seconds from 1 to 65535, or off`)
  return seconds
}

/** A MAC that a single device can have. */
export function parseOwnMac(text: string): MacAddress {
  const mac = parseMac(text)
  if (mac === undefined)
    throw new RangeError(`"${text}" is not a MAC; write six bytes such as 02:00:00:00:00:01`)
  if (isGroupMac(mac)) {
    throw new RangeError(
      `"${text}" is a group address, which no device can have; make the first byte even, such as 02`,
    )
  }
  if (mac.every((byte) => byte === 0))
    throw new RangeError(
      `"${text}" is all zeros, which no device can have; write another such as 02:00:00:00:00:01`,
    )
  return mac
}

/** The name of a network device, within the kernel's rules (`dev_valid_name`). */
export function parseDeviceName(text: string): string {
  if (!/^[!-~]{1,15}$/.test(text) || /[/:%]/.test(text) || text === '.' || text === '..') {
    throw new RangeError(
      `"${text}" is not a device name; use 1 to 15 ASCII characters without spaces, "/", ":" and "%"`,
    )
  }
  return text
}

/** A network namespace: a name of ip-netns(8), or an absolute path. */
export function parseNamespace(text: string): string {
  const isName = /^[^/\s]{1,255}$/.test(text) && text !== '.' && text !== '..'
  if (isName || /^\/[^\0]+$/.test(text)) return text
  throw new RangeError(
    `"${text}" is no network namespace; write a name of ip netns, or an absolute path such as /proc/4711/ns/net`,
  )
}

/** The largest MTU that a tap accepts (the kernel's `ETH_MAX_MTU` minus an Ethernet header). */
export const MAX_MTU_BYTES = 65_521

/** The longest time between two searches for path MTUs: a day. */
const MAX_REFRESH_S = 86_400

/** Seconds between two searches for path MTUs. */
export function parseMtuRefresh(text: string): number {
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds >= 1 && seconds <= MAX_REFRESH_S)) {
    throw new RangeError(`"${text}" is not a time; write seconds from 1 to ${MAX_REFRESH_S}`)
  }
  return seconds
}

/** Whether a text is one label of a host's name in DNS (RFC 1123, 2.1). */
export function isHostLabel(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(text)
}

/** The domain under which peers have names. */
export function parseHostsSuffix(text: string): string {
  const suffix = text.toLowerCase()
  const last = suffix.split('.').at(-1)
  if (isHostName(suffix) && !suffix.endsWith('.') && !suffix.includes('_') && last !== 'localhost')
    return suffix
  throw new RangeError(`"${text}" is not a domain for the names of peers; write one such as office.internal`)
}

/** The greatest mark of packets. */
const MAX_MARK = 0xffff_ffff

/** The mark of packets (ip-rule(8)), decimal or hexadecimal; `off` and 0 for none. */
export function parseFwMark(text: string): number {
  const mark = text.toLowerCase() === 'off' ? 0 : /^(0x[\da-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN
  if (!(mark <= MAX_MARK))
    throw new RangeError(`"${text}" is not a mark; use a number from 0 to 0xffffffff, or off`)
  return mark
}

/** The most that is relayed for one member: a number that no machine reaches. */
const MAX_RELAY_MBITS = 1_000_000

/** In Mbit/s. */
export function parseRelayLimit(text: string): number {
  const mbits = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN
  if (!(mbits <= MAX_RELAY_MBITS))
    throw new RangeError(`"${text}" is not a limit; write Mbit/s from 0 to ${MAX_RELAY_MBITS}`)
  return mbits
}

/** Most crypto workers. */
const MAX_CRYPTO_WORKERS = 16

export function parseCryptoWorkers(text: string): number | 'auto' {
  if (text === 'auto') return text
  const count = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN
  if (!(count <= MAX_CRYPTO_WORKERS))
    throw new RangeError(`"${text}" is no number of threads; write 0 to ${MAX_CRYPTO_WORKERS}, or auto`)
  return count
}

export function parseMtu(text: string): number | 'safe' | 'auto' {
  if (text === 'safe' || text === 'auto') return text
  const bytes = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (!(bytes >= 68 && bytes <= MAX_MTU_BYTES)) {
    throw new RangeError(`"${text}" is not an MTU; write bytes from 68 to ${MAX_MTU_BYTES}, auto or safe`)
  }
  return bytes
}

import { looksLikeKey, parseKey } from '../key-text.js'
import {
  formatPrefix,
  parseLocalAddress,
  parseNameServer,
  parsePort,
  parsePrefix,
  parseRemote,
} from './addresses.js'
import { Secret } from './secret.js'
import { parseKeepalive, parseMtu } from './values.js'

/**
 * The values of a file for wg-quick(8). Each parser takes what wg(8) takes and returns a value or throws a
 * RangeError. Its message is the rest of a sentence that starts with the name of the key.
 */

/** @returns null for a key of zeros, which in wg(8) means that there is none */
export function parseSecretKey(bytes: Uint8Array): Secret | null {
  const key = parseKey(bytes)
  if (key === undefined)
    throw new RangeError('this is not a key, which has 44 characters; check that all of it is there')
  return key.every((byte) => byte === 0) ? null : new Secret(key)
}

/** An endpoint always has a port, behind the last colon. IPv6 addresses may stand in brackets. */
export function parseEndpoint(text: string): string {
  const parts = /^\[([^\]]*)\]:([^:]+)$/.exec(text) ?? /^([^[].*):([^:]+)$/.exec(text)
  if (parts === null)
    throw new RangeError(
      'there is no port, and wg does not take that either; write one, such as host-b:51820 or [2001:db8::2]:51820',
    )
  const [, host, port] = parts
  if (looksLikeKey(host)) throw new RangeError('this looks like a key; write a host name or an address')
  const remote = parseRemote(host.includes(':') ? `[${host}]` : host)
  return `[${remote.host}]:${parsePort(port)}`
}

/** 0: a port that the kernel chooses. */
export function parseListenPort(text: string): string {
  return String(parsePort(text, 0))
}

/** Addresses with commas or white space between them. One without a prefix stands for one host. */
export function parseAddresses(text: string): string[] {
  const addresses = text.split(/[\s,]+/).filter((it) => it !== '')
  const whole = addresses.map((it) => (it.includes('/') ? it : `${it}/${it.includes(':') ? 128 : 32}`))
  for (const address of whole) parseLocalAddress(address)
  return whole
}

/** Networks with commas between them, in their shortest form. */
export function parseAllowedIps(text: string): string[] {
  return text.split(',').map((it) => {
    if (it === '')
      throw new RangeError('an address is missing beside a comma, and wg does not take that either')
    return formatPrefix(parsePrefix(it))
  })
}

/** @returns undefined where nothing is written: the MTU follows the path */
export function parseDeviceMtu(text: string): number | undefined {
  if (text === '') return undefined
  const mtu = /^\d+$/.test(text) ? parseMtu(text) : undefined
  if (typeof mtu !== 'number') throw new RangeError(`"${text}" is not an MTU; write bytes, or leave it out`)
  return mtu
}

export function parseKeepaliveS(text: string): number {
  return parseKeepalive(text.toLowerCase())
}

/** Whether wg-quick would write the file. */
export function parseSaveConfig(text: string): boolean {
  const lower = text.toLowerCase()
  if (lower !== 'true' && lower !== 'false') throw new RangeError(`"${text}" is neither true nor false`)
  return lower === 'true'
}

/** Name servers and search domains, with commas or white space between them. */
export function parseNameServers(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .filter((it) => it !== '')
    .map(parseNameServer)
}

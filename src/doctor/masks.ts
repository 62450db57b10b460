import { createHash } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { withoutKeyRuns } from '../key-text.js'
import { maskWithColons } from './colons.js'

/** A key of 32 bytes in base64, as wg(8) writes it. */
const KEY = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=/g

/**
 * Replaces each key by the beginning of its hash: both ends' reports say which keys are the same, and no key can be
 * computed from it. Whatever else looks like a key is hidden.
 */
export function maskKeys(text: string): string {
  return withoutKeyRuns(
    text.replace(KEY, (key) => `key-${createHash('sha256').update(key).digest('hex').slice(0, 8)}`),
  )
}

const IPV4 = /(?<![0-9A-Za-z.])(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z]|\.\d)/g

/** Says nothing of anybody: unspecified, loopback, broadcast and multicast. */
const COMMON: ReadonlySet<string> = new Set(['unspecified', 'loopback', 'broadcast', 'multicast'])

/** Masks addresses. The same address always gets the same mask. */
export class AddressMasks {
  readonly #masks = new Map<string, string>()

  /** `text` with a mask in place of each IPv4, IPv6 and link-layer address. Ports and prefix lengths stay. */
  mask(text: string): string {
    return maskWithColons(text, (address) =>
      isIPv6(address) ? this.#ip(address) : this.#mac(address),
    ).replace(IPV4, (found) => (isIPv4(found) ? this.#ip(found) : found))
  }

  #mac(found: string): string {
    return /^(00:)+00$|^(ff:)+ff$/i.test(found) ? found : this.#of('mac', found.toLowerCase())
  }

  #ip(found: string): string {
    const address = ipaddr.process(found)
    return COMMON.has(address.range()) ? found : this.#of(address.kind(), address.toString())
  }

  #of(kind: string, value: string): string {
    const known = this.#masks.get(value)
    if (known !== undefined) return known
    const mask = `${kind}-${this.#masks.size + 1}`
    this.#masks.set(value, mask)
    return mask
  }
}

/** A copy of a plain value, in which all strings are changed, keys of objects too. */
export function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((it) => mapStrings(it, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [change(key), mapStrings(it, change)]))
}

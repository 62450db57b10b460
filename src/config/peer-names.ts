import { formatKey } from '../key-text.js'
import { DEFAULT_PORT, formatEndpoint, type Remote } from './addresses.js'
import type { WrittenPeer } from './schema.js'

/** The shortest part of a public key that is a name. */
const KEY_NAME_CHARACTERS = 8

/**
 * The names of the peers. One without a name is called by its endpoint; if it has none, or shares it with another
 * peer, by the beginning of its public key, as far as that differs from the others'.
 */
export function namesOf(peers: readonly Pick<WrittenPeer, 'name' | 'endpoint' | 'public_key'>[]): string[] {
  const endpoints = peers.map(({ endpoint }) => (endpoint === undefined ? undefined : nameOf(endpoint)))
  const keys = peers.map(({ public_key }) => (public_key === undefined ? '' : formatKey(public_key)))
  return peers.map(({ name }, index) => {
    const [endpoint, key] = [endpoints[index], keys[index]]
    const shared = endpoints.indexOf(endpoint) !== endpoints.lastIndexOf(endpoint)
    if (name !== undefined) return name
    if (endpoint !== undefined && (key === '' || !shared)) return endpoint
    let length = KEY_NAME_CHARACTERS
    while (keys.some((other, at) => at !== index && other !== key && other.startsWith(key.slice(0, length))))
      length++
    return key.slice(0, length)
  })
}

/** What a peer is called by its endpoint. */
export function nameOf({ host, port }: Remote): string {
  return port === DEFAULT_PORT ? host : formatEndpoint({ address: host, port })
}

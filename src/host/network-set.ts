import ipaddr from 'ipaddr.js'
import type { Network } from '../config/addresses.js'

type Family = 'ipv4' | 'ipv6'

/** Networks, to ask which of them contain another one. A question looks once for each prefix length in use. */
export class NetworkSet {
  readonly #byLength: Record<Family, Map<number, Map<string, Network>>> = { ipv4: new Map(), ipv6: new Map() }

  constructor(networks: Iterable<Network> = []) {
    for (const network of networks) this.add(network)
  }

  add(network: Network): void {
    const [family, bytes] = bytesOf(network)
    const lengths = this.#byLength[family]
    const same = lengths.get(network.prefixLength) ?? new Map()
    lengths.set(network.prefixLength, same.set(keyOf(bytes, network.prefixLength), network))
  }

  /** Those that contain the whole network, or are it. */
  containing(network: Network): Network[] {
    const [family, bytes] = bytesOf(network)
    const { prefixLength } = network
    return [...this.#byLength[family]].flatMap(([length, networks]) => {
      const found = length <= prefixLength ? networks.get(keyOf(bytes, length)) : undefined
      return found === undefined ? [] : [found]
    })
  }
}

type Numeric = readonly [Family, Buffer]

/** The networks of peers that stay are the same objects, and all of them are looked at whenever one is new. */
const known = new WeakMap<Network, Numeric>()

function bytesOf(network: Network): Numeric {
  const before = known.get(network)
  if (before !== undefined) return before
  const parsed = ipaddr.parse(network.address)
  const now = [parsed.kind(), Buffer.from(parsed.toByteArray())] as const
  known.set(network, now)
  return now
}

/** The bits of a network. */
function keyOf(bytes: Buffer, prefixLength: number): string {
  const whole = prefixLength >> 3
  const rest = prefixLength & 7
  const part = rest === 0 ? '' : `.${bytes[whole] >> (8 - rest)}`
  return `${bytes.toString('hex', 0, whole)}${part}`
}

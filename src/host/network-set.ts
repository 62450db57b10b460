import ipaddr from 'ipaddr.js'
import type { Network } from '../config/values.js'

type Family = 'ipv4' | 'ipv6'

/** Networks, to ask which of them contain another one. A question looks once for each prefix length in use. */
export class NetworkSet {
  readonly #byLength: Record<Family, Map<number, Map<string, Network>>> = { ipv4: new Map(), ipv6: new Map() }

  constructor(networks: Iterable<Network> = []) {
    for (const network of networks) this.add(network)
  }

  add(network: Network): void {
    const [family, bytes] = bytesOf(network.address)
    const lengths = this.#byLength[family]
    const same = lengths.get(network.prefixLength) ?? new Map()
    lengths.set(network.prefixLength, same.set(keyOf(bytes, network.prefixLength), network))
  }

  /** Those that contain the whole network, or are it. */
  containing({ address, prefixLength }: Network): Network[] {
    const [family, bytes] = bytesOf(address)
    return [...this.#byLength[family]].flatMap(([length, networks]) => {
      const found = length <= prefixLength ? networks.get(keyOf(bytes, length)) : undefined
      return found === undefined ? [] : [found]
    })
  }
}

function bytesOf(address: string): [Family, Buffer] {
  const parsed = ipaddr.parse(address)
  return [parsed.kind(), Buffer.from(parsed.toByteArray())]
}

/** The bits of a network. */
function keyOf(bytes: Buffer, prefixLength: number): string {
  const whole = prefixLength >> 3
  const rest = prefixLength & 7
  const part = rest === 0 ? '' : `.${bytes[whole] >> (8 - rest)}`
  return `${bytes.toString('hex', 0, whole)}${part}`
}

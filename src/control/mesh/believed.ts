import type { PeerSettings } from '../../config/schema.js'
import { networksOf } from '../../config/told-networks.js'
import { formatKey } from '../../key-text.js'
import { NetworkIndex } from './network-index.js'
import { type NumericNetwork, numeric } from './networks.js'

/** The peers of the settings never change, and a member that is told as before is the same object. */
const networks = new WeakMap<PeerSettings, readonly NumericNetwork[]>()

/** The networks of a peer as numbers. */
export function networksAsNumbers(peer: PeerSettings): readonly NumericNetwork[] {
  const known = networks.get(peer)
  if (known !== undefined) return known
  const found = networksOf(peer).map(numeric)
  networks.set(peer, found)
  return found
}

/** The peers that there are, to be asked who has something. Whoever was added first has it. */
export class Believed {
  readonly #byName = new Map<string, PeerSettings>()
  readonly #keys = new Map<PeerSettings, string>()
  readonly #macs = new Map<number, string>()
  readonly networks = new NetworkIndex()

  constructor(peers: readonly PeerSettings[]) {
    for (const peer of peers) this.add(peer)
  }

  get count(): number {
    return this.#keys.size
  }

  /** @param key its public key in base64, if it is known already */
  add(peer: PeerSettings, key = peer.public_key && formatKey(peer.public_key)): void {
    if (!this.#byName.has(peer.name)) this.#byName.set(peer.name, peer)
    this.#keys.set(peer, key ?? '')
    for (const network of networksAsNumbers(peer)) this.networks.add(network, peer.name)
    for (const mac of peer.macs) {
      const number = macNumber(mac)
      if (!this.#macs.has(number)) this.#macs.set(number, peer.name)
    }
  }

  /** The public key of a name, in base64; undefined if nobody is called so. */
  keyOf(name: string): string | undefined {
    const peer = this.#byName.get(name)
    return peer && (this.#keys.get(peer) || undefined)
  }

  /** What the peer of this name has, as numbers. */
  networksOf(name: string): readonly NumericNetwork[] {
    const peer = this.#byName.get(name)
    return peer === undefined ? [] : networksAsNumbers(peer)
  }

  /** The name of the peer that has this MAC. */
  ownerOf(mac: ArrayLike<number>): string | undefined {
    return this.#macs.get(macNumber(mac))
  }
}

function macNumber(mac: ArrayLike<number>): number {
  let number = 0
  for (let at = 0; at < mac.length; at++) number = number * 256 + mac[at]
  return number
}

import { formatPrefix, type Network } from '../../config/addresses.js'

/** Who has networks while the lines of a `set` are gone through. */
export interface NetworkOwner {
  /** Its networks by their texts. */
  readonly networks: Map<string, Network>
  /** Whether they are others than those in its settings. */
  isMoved: boolean
}

/**
 * Whose each network is. There may be thousands of owners, so nobody looks through all of them for one network. The
 * settings may give one network to several; as soon as a line gives it to somebody, it is nobody else's.
 */
export class NetworkOwners {
  readonly #byText = new Map<string, Set<NetworkOwner>>()

  constructor(all: Iterable<NetworkOwner>) {
    for (const owner of all) for (const text of owner.networks.keys()) this.#ownersOf(text).add(owner)
  }

  /** The network is this owner's from now on. */
  give(owner: NetworkOwner, network: Network): void {
    const text = formatPrefix(network)
    const owners = this.#ownersOf(text)
    for (const other of owners) {
      if (other === owner) continue
      other.networks.delete(text)
      other.isMoved = true
      owners.delete(other)
    }
    if (owner.networks.has(text)) return
    owner.isMoved = true
    owner.networks.set(text, network)
    owners.add(owner)
  }

  /** The owner has no networks any more. */
  takeAll(owner: NetworkOwner): void {
    owner.isMoved = true
    for (const text of owner.networks.keys()) this.#byText.get(text)?.delete(owner)
    owner.networks.clear()
  }

  #ownersOf(text: string): Set<NetworkOwner> {
    let owners = this.#byText.get(text)
    if (owners === undefined) {
      owners = new Set()
      this.#byText.set(text, owners)
    }
    return owners
  }
}

import { isPartOf, type NumericNetwork } from './networks.js'

/** A network, and who has it. */
export interface Owned {
  readonly network: NumericNetwork
  /** The name of a peer. */
  readonly owner: string
  /** Its place in the order in which all were added. */
  readonly order: number
}

/** The networks of one family: by prefix length and by what is the same in all of their addresses; and sorted. */
interface Family {
  readonly lengths: Map<number, Map<bigint, Owned[]>>
  /** By first address. It is made when it is first asked for, because hosts have only single addresses. */
  sorted: Owned[] | undefined
}

/**
 * Networks and their owners. Of two that have addresses in common, one is a part of the other. So whatever a network
 * overlaps is found by a look for each shorter length, and a search among the longer ones.
 */
export class NetworkIndex {
  readonly #families = new Map<number, Family>()
  #count = 0

  /** How many there are. */
  get count(): number {
    return this.#count
  }

  add(network: NumericNetwork, owner: string): void {
    const family = this.#families.get(network.bits) ?? { lengths: new Map(), sorted: undefined }
    this.#families.set(network.bits, family)
    const same = family.lengths.get(network.prefixLength) ?? new Map<bigint, Owned[]>()
    family.lengths.set(network.prefixLength, same)
    const key = keyOf(network, network.prefixLength)
    const owned = { network, owner, order: this.#count++ }
    const owners = same.get(key)
    if (owners === undefined) same.set(key, [owned])
    else owners.push(owned)
    family.sorted?.splice(placeOf(family.sorted, network.value), 0, owned)
  }

  /**
   * The first one that was added of those that have addresses in common with `network`.
   * @param giver whose larger networks do not count; undefined: all do
   */
  overlapping(network: NumericNetwork, giver?: string): Owned | undefined {
    const family = this.#families.get(network.bits)
    if (family === undefined) return undefined
    let first: Owned | undefined
    const look = (it: Owned) => {
      const isGiven = it.owner === giver && isPartOf(network, it.network)
      if (!isGiven && (first === undefined || it.order < first.order)) first = it
    }
    let hasLonger = false
    for (const [length, same] of family.lengths) {
      if (length > network.prefixLength) hasLonger = true
      else same.get(keyOf(network, length))?.forEach(look)
    }
    if (hasLonger) this.#within(family, network, look)
    return first
  }

  #within(family: Family, network: NumericNetwork, look: (it: Owned) => void): void {
    family.sorted ??= [...family.lengths.values()]
      .flatMap((same) => [...same.values()].flat())
      .sort((a, b) => (a.network.value < b.network.value ? -1 : a.network.value > b.network.value ? 1 : 0))
    const key = keyOf(network, network.prefixLength)
    const from = key << BigInt(network.bits - network.prefixLength)
    for (let at = placeOf(family.sorted, from); at < family.sorted.length; at++) {
      const it = family.sorted[at]
      if (keyOf(it.network, network.prefixLength) !== key) return
      if (it.network.prefixLength > network.prefixLength) look(it)
    }
  }
}

/** What the first `length` bits of all addresses of a network are; its own length is not less. */
function keyOf({ value, bits }: NumericNetwork, length: number): bigint {
  return value >> BigInt(bits - length)
}

/** The first place in a sorted list whose network does not begin before `value`. */
function placeOf(sorted: readonly Owned[], value: bigint): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle].network.value < value) low = middle + 1
    else high = middle
  }
  return low
}

const MULTIPLIER = 0x9e3779b1 | 0

export interface Route {
  /** 4 or 16 bytes. The bits behind the prefix are ignored. */
  readonly address: ArrayLike<number>
  readonly prefixLength: number
  readonly row: number
}

/** Adds one more word to a hash. */
export function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, MULTIPLIER)
  return mixed ^ (mixed >>> 15)
}

/** The hash of a prefix, of which the place is taken. */
export function hashOf(key: Iterable<number>, length: number): number {
  let hash = length
  for (const word of key) hash = mix(hash, word)
  return hash
}

/** A route, ready to be written into a table (routes.ts). */
export interface Prefix {
  /** The address in words; the bits behind the prefix are zero. */
  readonly key: readonly number[]
  readonly length: number
  readonly row: number
  /** Of the key and the length. */
  readonly text: string
  readonly hash: number
}

/** The routes whose addresses have `words` words, each prefix once. */
export function prefixesOf(routes: readonly Route[], words: number): Map<string, Prefix> {
  const prefixes = new Map<string, Prefix>()
  for (const route of routes) {
    if (route.address.length !== words * 4) continue
    const prefix = prefixOf(route)
    prefixes.set(prefix.text, prefix)
  }
  return prefixes
}

/** Whoever sets routes gives the same objects again, as long as they stay. */
const known = new WeakMap<Route, Prefix>()

function prefixOf(route: Route): Prefix {
  const before = known.get(route)
  if (before !== undefined) return before
  const { address, prefixLength: length, row } = route
  const view = new DataView(Uint8Array.from(Array.from(address)).buffer)
  const key = maskOf(length, address.length / 4).map((mask, word) => view.getInt32(word * 4) & mask)
  const prefix = { key, length, row, text: `${key}/${length}`, hash: hashOf(key, length) }
  known.set(route, prefix)
  return prefix
}

/** A mask with `length` bits set from the front, in `words` words. */
export function maskOf(length: number, words: number): readonly number[] {
  return Array.from({ length: words }, (_, word) => {
    const bits = Math.min(32, Math.max(0, length - 32 * word))
    return bits === 0 ? 0 : -1 << (32 - bits)
  })
}

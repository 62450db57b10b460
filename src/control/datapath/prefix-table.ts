import type { Route } from '../../memory/prefixes.js'
import type { KernelPath } from './kernel-path.js'

interface Known {
  readonly route: Route
  readonly carried: boolean
}

/**
 * Keeps the kernel's table of prefixes like the router's. It has all of them, because a longer prefix of a peer that the
 * workers carry must not be found as a shorter one of a peer that the kernel carries.
 */
export class PrefixTable {
  readonly #path: KernelPath
  readonly #known = new Map<string, Known>()

  constructor(path: KernelPath) {
    this.#path = path
  }

  /** @param routes of two with the same prefix, the later one counts @param isCarried whether the kernel carries a row */
  follow(routes: readonly Route[], isCarried: (row: number) => boolean): void {
    const wanted = new Map(routes.map((route) => [nameOf(route), route]))
    for (const [name, route] of wanted) {
      const carried = isCarried(route.row)
      const known = this.#known.get(name)
      if (known?.route.row === route.row && known.carried === carried) continue
      this.#path.setPrefix(route, carried)
      this.#known.set(name, { route, carried })
    }
    for (const [name, { route }] of this.#known) {
      if (wanted.has(name)) continue
      this.#path.removePrefix(route)
      this.#known.delete(name)
    }
  }
}

/** The same for all routes to one prefix. */
function nameOf({ address, prefixLength }: Route): string {
  const bits = Array.from(address, (byte) => byte.toString(2).padStart(8, '0')).join('')
  return `${bits.slice(0, prefixLength)}/${bits.length}`
}

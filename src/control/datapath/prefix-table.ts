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
    // First the new ones, so that nothing is without its peer meanwhile. If there is room for them only afterwards, then they come last.
    const crowded = [...wanted].filter(([name, route]) => !this.#set(name, route, isCarried(route.row)))
    for (const [name, { route }] of this.#known) {
      if (wanted.has(name)) continue
      this.#path.removePrefix(route)
      this.#known.delete(name)
    }
    for (const [name, route] of crowded) this.#set(name, route, isCarried(route.row))
  }

  /** @returns false if there is no room. It is tried again at the next look */
  #set(name: string, route: Route, carried: boolean): boolean {
    const known = this.#known.get(name)
    if (known?.route.row === route.row && known.carried === carried) return true
    if (!this.#path.setPrefix(route, carried)) return false
    this.#known.set(name, { route, carried })
    return true
  }
}

/** The same for all routes to one prefix. */
function nameOf({ address, prefixLength }: Route): string {
  const bits = Array.from(address, (byte) => byte.toString(2).padStart(8, '0')).join('')
  return `${bits.slice(0, prefixLength)}/${bits.length}`
}

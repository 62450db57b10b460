import type { IpFamily } from '../../wire/ip.js'
import { PathMtu, type PathMtuOptions } from './path-mtu.js'

/** The least time between two searches, for a peer that moves from address to address. */
export const SEARCH_INTERVAL_MS = 5_000

/** Where a path leads, and the MTU of its first interface. */
export interface Path {
  readonly family: IpFamily
  readonly address: string
  readonly ceilingBytes: number
  /** The size in bytes of the IP packet that carries the shortest control frame. */
  readonly leastBytes: number
}

/** What is the same for every path. */
export type PathFollowerOptions = Omit<PathMtuOptions, keyof Path | 'previousBytes'>

/**
 * The path MTU to one peer that may move. Each new address gets a {@link PathMtu}, but not many of them in a
 * row. While the new path is not known, the least that the paths before carried is used.
 */
export class PathFollower {
  readonly #options: PathFollowerOptions
  #pathMtu: PathMtu | undefined
  #address: string | undefined
  #previousBytes: number | undefined
  #begunMs = Number.NEGATIVE_INFINITY

  constructor(options: PathFollowerOptions) {
    this.#options = options
  }

  /** Undefined while no search runs. */
  get pathMtu(): PathMtu | undefined {
    return this.#pathMtu
  }

  /** Where the search looks; undefined while none runs. */
  get address(): string | undefined {
    return this.#address
  }

  /** What the path is known to carry, or what the paths before carried; undefined if nothing is known. */
  get knownBytes(): number | undefined {
    const path = this.#pathMtu
    if (path === undefined) return this.#previousBytes
    return path.how === 'assumed' ? undefined : path.mtuBytes
  }

  /**
   * Starts a search for this path, unless one runs already or was begun less than {@link SEARCH_INTERVAL_MS}
   * ago.
   */
  follow(path: Path): void {
    const nowMs = this.#options.clock.nowMs()
    if (this.#pathMtu !== undefined || nowMs < this.#begunMs + SEARCH_INTERVAL_MS) return
    this.#begunMs = nowMs
    this.#address = path.address
    this.#pathMtu = new PathMtu({ ...this.#options, ...path, previousBytes: this.#previousBytes })
    this.#previousBytes = undefined
  }

  /**
   * From now on the path is another one.
   * @param knownBytes what this one carried
   */
  leave(knownBytes = this.knownBytes): void {
    this.#previousBytes = knownBytes
    this.#pathMtu?.close()
    this.#pathMtu = undefined
    this.#address = undefined
  }

  close(): void {
    this.#pathMtu?.close()
  }
}

import type { IpFamily } from '../../wire/ip.js'
import { PathMtu, type PathMtuOptions } from './path-mtu.js'

/** A path of a peer that moves from address to address is looked into so often at the most. */
export const SEARCH_INTERVAL_MS = 5_000

/** Where a path goes, and what its first interface carries. */
export interface Path {
  readonly family: IpFamily
  readonly address: string
  readonly ceilingBytes: number
}

/**
 * The path MTU to one peer, wherever it is: a {@link PathMtu} for each address that it moves to, though not for
 * many of them in a row. Until what a new path carries is known, the least holds that those before carried.
 */
export class PathFollower {
  readonly #options: Pick<PathMtuOptions, 'refreshMs' | 'send' | 'onChange'>
  #pathMtu: PathMtu | undefined
  #previousBytes: number | undefined
  #begunMs = Number.NEGATIVE_INFINITY

  constructor(options: Pick<PathMtuOptions, 'refreshMs' | 'send' | 'onChange'>) {
    this.#options = options
  }

  /** Undefined while nothing is found out. */
  get pathMtu(): PathMtu | undefined {
    return this.#pathMtu
  }

  /** What is known to be carried, or was by the paths before; undefined where that is nothing. */
  get knownBytes(): number | undefined {
    const path = this.#pathMtu
    if (path === undefined) return this.#previousBytes
    return path.how === 'assumed' ? undefined : path.mtuBytes
  }

  /** Finds out what the path carries, if that is not being done, and was not begun a moment ago. */
  follow(path: Path, nowMs: number): void {
    if (this.#pathMtu !== undefined || nowMs < this.#begunMs + SEARCH_INTERVAL_MS) return
    this.#begunMs = nowMs
    this.#pathMtu = new PathMtu({ ...this.#options, ...path, previousBytes: this.#previousBytes })
    this.#previousBytes = undefined
  }

  /** The path is another one from now on. */
  leave(): void {
    this.#previousBytes = this.knownBytes
    this.#pathMtu?.close()
    this.#pathMtu = undefined
  }

  close(): void {
    this.#pathMtu?.close()
  }
}

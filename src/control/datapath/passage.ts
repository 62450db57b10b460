import type { KernelPath, KernelWay } from './kernel-path.js'

/** How often netfilter is asked about a way. */
const ASK_MS = 1_000

/**
 * A peer of which no control frame comes through the socket for so long may be shut out by netfilter, so the programs
 * take nothing from it. It is longer than a proof holds, so that the peer's own program has stopped before.
 */
const HEARD_MS = 8_000

/**
 * What this host does to datagrams of sockets on the way to and from one peer: the programs would pass by it. The clock
 * is passed in.
 */
export class Passage {
  #ends: string | undefined
  #translated = false
  #askedMs = Number.NEGATIVE_INFINITY
  #heardMs = Number.NEGATIVE_INFINITY

  /** A control frame has come through the socket: netfilter lets the peer in. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs
  }

  isHeard(nowMs: number): boolean {
    return nowMs - this.#heardMs < HEARD_MS
  }

  /**
   * Why the kernel must not carry what goes this way now; undefined if nothing is in the way. A new way is always looked
   * at in full. @param isPolicied whether an IPsec policy is for a way @throws KernelError
   */
  hindrance(
    path: Pick<KernelPath, 'isTranslated'>,
    isPolicied: (way: KernelWay) => boolean,
    way: KernelWay,
    nowMs: number,
  ): 'ipsec' | 'nat' | undefined {
    if (isPolicied(way)) return 'ipsec'
    const ends = `${way.interface} ${way.source} ${way.destination} ${way.destinationPort}`
    if (ends !== this.#ends || nowMs - this.#askedMs >= ASK_MS) {
      this.#ends = ends
      this.#askedMs = nowMs
      this.#translated = path.isTranslated(way)
    }
    return this.#translated ? 'nat' : undefined
  }
}

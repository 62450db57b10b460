/** For this long, what was sent by the former way may still come. */
const HOLD_MS = 3_000

/**
 * The place that a peer was moved away from by this end. Two ends that both follow each datagram would move each other
 * to and fro, because each still hears by the former way what the other one has sent before.
 */
export class LeftPlace {
  #sockaddr: Uint8Array | undefined
  #untilMs = 0

  /** The peer has left this place, given as a socket address. */
  leave(sockaddr: Uint8Array, nowMs: number): void {
    this.#sockaddr = sockaddr
    this.#untilMs = nowMs + HOLD_MS
  }

  /** Whether what comes from this place does not move the peer there. */
  holds(sockaddr: Uint8Array, nowMs: number): boolean {
    if (this.#sockaddr === undefined || nowMs >= this.#untilMs) return false
    return Buffer.from(this.#sockaddr).equals(sockaddr)
  }
}

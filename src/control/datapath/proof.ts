/** How often a peer is greeted, and its way is probed. */
const PROBE_MS = 1_000

/** A way without an answer for so long carries nothing any more: two probes may be lost. */
const PROOF_MS = 3_500

/**
 * Whether the kernel's own datapath carries frames to one peer. A probe goes that very way, and a keepalive through the
 * sockets. Both must be answered, so that a firewall that closes the port stops both. The clock is passed in.
 */
export class Proof {
  #probe: bigint | undefined
  #hello: bigint | undefined
  #first = false
  #sentMs = Number.NEGATIVE_INFINITY
  #probeMs = Number.NEGATIVE_INFINITY
  #helloMs = Number.NEGATIVE_INFINITY

  /** Whether both were answered lately. */
  holds(nowMs: number): boolean {
    return nowMs - this.#probeMs < PROOF_MS && this.#helloHolds(nowMs)
  }

  /**
   * Whether the way may be probed: with the first keepalive, and later only while they are answered. An end that hears
   * nothing by its socket has its workers take the probe, as any frame.
   */
  mayProbe(nowMs: number): boolean {
    return this.#first || this.#helloHolds(nowMs)
  }

  isDue(nowMs: number): boolean {
    return nowMs - this.#sentMs >= PROBE_MS
  }

  /** A keepalive has been sent, with this token. */
  greeted(token: bigint, nowMs: number): void {
    this.#hello = token
    this.#first = this.#sentMs === Number.NEGATIVE_INFINITY
    this.#sentMs = nowMs
  }

  /** A probe has been sent, with this token. */
  probed(token: bigint): void {
    this.#probe = token
  }

  /** An answer has come. Each counts once. */
  probeAnswered(token: bigint, nowMs: number): void {
    if (token !== this.#probe) return
    this.#probe = undefined
    this.#probeMs = nowMs
  }

  helloAnswered(token: bigint, nowMs: number): void {
    if (token !== this.#hello) return
    this.#hello = undefined
    this.#helloMs = nowMs
  }

  /** The way has changed: all of it must be proved again. */
  reset(): void {
    this.#probe = undefined
    this.#hello = undefined
    this.#sentMs = Number.NEGATIVE_INFINITY
    this.#probeMs = Number.NEGATIVE_INFINITY
    this.#helloMs = Number.NEGATIVE_INFINITY
  }

  #helloHolds(nowMs: number): boolean {
    return nowMs - this.#helloMs < PROOF_MS
  }
}

/** One round of probes, as {@link PathMtuSearch} sends it, and what its answers tell of the round trip. */

/**
 * One packet that must be sent now. When the far end has acknowledged it, the caller hands this object back.
 */
export interface Probe {
  /** The size of the whole IP packet in bytes; 0 for a marker, the shortest packet there is. */
  readonly sizeBytes: number
  readonly round: number
  /** Whether it is the last of its round. */
  readonly last: boolean
  readonly sentMs: number
}

export interface Round {
  readonly number: number
  readonly sentMs: number
  /** The markers that were sent, how many were answered, and when the last marker was answered. */
  readonly markers: number
  answered: number
  answeredMs: number | undefined
}

/** There are markers at both ends of a round, and after every so many probes. */
const MARKER_EVERY = 6
/** If fewer of a round's markers are answered, there was congestion. */
const ENOUGH = 0.8

/** Makes the packets of a round, in the order in which they are sent: `sizes`, with markers at both ends and between. */
export function beginRound(
  sizes: readonly number[],
  number: number,
  nowMs: number,
): { readonly round: Round; readonly probes: readonly Probe[] } {
  const spaced = sizes.flatMap((size, index) => ((index + 1) % MARKER_EVERY === 0 ? [size, 0] : size))
  const all = sizes.length === 0 ? [0] : [0, ...spaced, 0]
  const markers = all.filter((size) => size === 0).length
  const last = all.length - 1
  return {
    round: { number, sentMs: nowMs, markers, answered: 0, answeredMs: undefined },
    probes: all.map((sizeBytes, index) => ({
      sizeBytes,
      round: number,
      sentMs: nowMs,
      last: index === last,
    })),
  }
}

/** Whether the path lost so few short packets that the round tells something of sizes. */
export function answeredEnough({ answered, markers }: Round): boolean {
  return answered >= Math.ceil(markers * ENOUGH)
}

/** How long a round takes to the far end and back: a running mean. */
export class RoundTrip {
  #meanMs = 0

  took(ms: number): void {
    this.#meanMs = this.#meanMs === 0 ? ms : 0.75 * this.#meanMs + 0.25 * ms
  }

  /** How long answers may still overtake each other after the last one. */
  get graceMs(): number {
    return Math.min(Math.max(this.#meanMs / 4, 10), 100)
  }

  /** How long we wait for a round's last marker. @param silent the rounds in a row without an answer */
  timeoutMs(silent: number): number {
    return Math.min(Math.max(3 * this.#meanMs, 200) * 2 ** silent, 2_000)
  }
}

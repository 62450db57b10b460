import type { Clock } from '../clock.js'

/** How many questions to one peer may wait for their answers. Of more, the oldest ones do not count. */
const MOST_WAITING = 8

/**
 * The weight of a new measurement in the smoothed value (RFC 6298, 2). A shorter one counts more, because all that
 * disturbs a measurement, such as an end that has just started, makes it longer.
 */
const WEIGHT = 1 / 8
const SHORTER_WEIGHT = 1 / 2

interface Row {
  /** When each question was sent, by its token, the oldest first. */
  readonly sent: Map<bigint, number>
  smoothedMs: number | undefined
}

/** How long a short control frame takes to each peer and back, measured by those that are sent anyway. */
export class RoundTrips {
  readonly #clock: Clock
  readonly #rows = new Map<number, Row>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A question with this token goes to the peer in this row now. */
  sent(row: number, token: bigint): void {
    const { sent } = this.#of(row)
    const [oldest] = sent.keys()
    if (sent.size >= MOST_WAITING && oldest !== undefined) sent.delete(oldest)
    sent.set(token, this.#clock.nowMs())
  }

  /** The peer has answered the question with this token. An answer counts once. */
  answered(row: number, token: bigint): void {
    const { sent } = this.#of(row)
    const sentMs = sent.get(token)
    if (sentMs === undefined) return
    sent.delete(token)
    this.took(row, this.#clock.nowMs() - sentMs)
  }

  /** Something else to the peer and back took `ms`. */
  took(row: number, ms: number): void {
    const of = this.#of(row)
    const before = of.smoothedMs ?? ms
    of.smoothedMs = before + (ms < before ? SHORTER_WEIGHT : WEIGHT) * (ms - before)
  }

  /** Milliseconds; undefined if nothing was answered yet. */
  smoothedMs(row: number): number | undefined {
    return this.#rows.get(row)?.smoothedMs
  }

  /** The peer of this row is elsewhere, or another one. */
  forget(row: number): void {
    this.#rows.delete(row)
  }

  #of(row: number): Row {
    const known = this.#rows.get(row)
    if (known !== undefined) return known
    const made: Row = { sent: new Map(), smoothedMs: undefined }
    this.#rows.set(row, made)
    return made
  }
}

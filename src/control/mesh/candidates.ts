/** How good the way to a candidate is, the best first. `lan`: without a router between. `relayed`: by an introducer. */
export const RANKS = ['lan', 'ipv6', 'outer', 'relayed'] as const
export type Rank = (typeof RANKS)[number]

/** A place where a peer may be. */
export interface Candidate {
  /** Its endpoint as a text: what tells it from others. */
  readonly key: string
  readonly rank: Rank
}

/** What is known of the way in use at one moment. */
export interface WayNow {
  readonly nowMs: number
  /** Where the peer is; undefined if it is only reached through a relay. */
  readonly present: Candidate | undefined
  /** Whether something has come from it, and frames or keepalives gone to it, since the last moment. */
  readonly heard: boolean
  readonly sent: boolean
  /** How long a message there and back takes; undefined if that is not known. */
  readonly roundTripMs: number | undefined
  /** Whether one more check may go elsewhere than to the way in use. */
  readonly allows: () => boolean
}

export interface Duty {
  /** The candidates that a check goes to now. */
  readonly checks: readonly Candidate[]
  /** Where the peer is from now on; undefined if it stays. */
  readonly move: Candidate | undefined
}

/** The pauses between the checks of a candidate that would be better than the way in use. The last one stays. */
const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000] as const

/** How long an answer says that a candidate is there. */
const FRESH_MS = 5_000

/** The way in use is checked if nothing comes for so long: after frames or a keepalive were sent, and without. */
const ASKED_MS = 2_000
const QUIET_MS = 22_000

/** How often it is checked then, and after how many checks without an answer it is lost. */
const DOUBT_MS = 500
const MISSED = 3

/** Of two candidates of one rank, the other one is better only if it is this much faster. */
const FASTER = 0.7
const FASTER_MS = 2

interface Known {
  readonly candidate: Candidate
  checks: number
  nextMs: number
  answeredMs: number
  roundTripMs: number
}

/**
 * Where a peer is best reached: when which candidate is checked, and when another way is taken. It sends nothing itself
 * (see checks.ts). One of two ends decides which of two good ways is used, so that they do not move each other to and
 * fro. The other end follows by WireGuard's roaming, and its checks open its own NAT. A way that is lost is left by both.
 */
export class Candidates {
  readonly #decides: boolean
  readonly #known = new Map<string, Known>()
  #askedMs: number | undefined
  #heardMs: number | undefined
  /** Checks of the way in use that nothing has come after, and when the next one is due. */
  #missed = 0
  #doubtMs = 0

  /** @param decides whether this end is the one that decides */
  constructor(decides: boolean) {
    this.#decides = decides
  }

  /** These are all candidates. The ones that are new are checked at once, and the others soon again. */
  set(candidates: readonly Candidate[], nowMs: number): void {
    const now = new Map(candidates.map((it) => [it.key, it]))
    for (const key of this.#known.keys()) if (!now.has(key)) this.#known.delete(key)
    const isNew = candidates.some(({ key }) => !this.#known.has(key))
    for (const candidate of candidates) {
      const before = this.#known.get(candidate.key)
      this.#known.set(candidate.key, {
        candidate,
        answeredMs: before?.answeredMs ?? Number.NEGATIVE_INFINITY,
        roundTripMs: before?.roundTripMs ?? Number.POSITIVE_INFINITY,
        // Whoever tells of other places all the time does not get more checks of the old ones for that.
        checks: before === undefined ? 0 : isNew ? Math.min(before.checks, 3) : before.checks,
        nextMs: before === undefined ? nowMs : isNew ? Math.min(before.nextMs, nowMs + 2_000) : before.nextMs,
      })
    }
  }

  /** This host's own addresses have changed: other candidates may answer now. */
  again(nowMs: number): void {
    for (const it of this.#known.values()) {
      it.checks = 0
      it.nextMs = nowMs
    }
  }

  /** Whether the way in use is lost, as far as is known. */
  get isLost(): boolean {
    return this.#missed > MISSED
  }

  /** A check of this candidate was answered. */
  answered(key: string, roundTripMs: number, nowMs: number): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.answeredMs = nowMs
    known.roundTripMs = roundTripMs
  }

  /** The peer is somewhere else now, by itself or by {@link tick}. */
  moved(nowMs: number): void {
    this.#heardMs = nowMs
    this.#askedMs = undefined
    this.#missed = 0
  }

  /** Must be called often. */
  tick(now: WayNow): Duty {
    const doubts = this.#doubt(now)
    const checks = [...this.#known.values()].filter((it) => this.#isDue(it, now)).map((it) => it.candidate)
    return {
      checks: doubts && now.present !== undefined ? [now.present, ...checks] : checks,
      move: this.#better(now),
    }
  }

  /** Whether the way in use must be checked now. */
  #doubt({ nowMs, heard, sent, present }: WayNow): boolean {
    if (heard || this.#heardMs === undefined || present === undefined) {
      this.moved(nowMs)
      return false
    }
    if (sent) this.#askedMs ??= nowMs
    const isQuiet = nowMs - this.#heardMs >= QUIET_MS || nowMs - (this.#askedMs ?? nowMs) >= ASKED_MS
    if (!isQuiet || nowMs < this.#doubtMs) return false
    this.#missed++
    this.#doubtMs = nowMs + DOUBT_MS
    // Before the last one is given up, the others begin to be asked.
    if (this.#missed === MISSED) this.again(nowMs)
    return true
  }

  #isDue(known: Known, { nowMs, present, allows }: WayNow): boolean {
    const { candidate } = known
    if (nowMs < known.nextMs || candidate.key === present?.key) return false
    const mayBeBetter = present === undefined || rankOf(candidate) <= rankOf(present)
    if (!mayBeBetter && this.#missed < MISSED) return false
    // A check that may not go now is still due.
    if (!allows()) return false
    const pauseMs = PAUSES_MS[Math.min(known.checks++, PAUSES_MS.length - 1)]
    known.nextMs = nowMs + pauseMs
    return true
  }

  #better({ nowMs, present, roundTripMs }: WayNow): Candidate | undefined {
    if (present !== undefined && !this.#decides && !this.isLost) return undefined
    const [best] = [...this.#known.values()]
      .filter((it) => nowMs - it.answeredMs < FRESH_MS && it.candidate.key !== present?.key)
      .sort((a, b) => rankOf(a.candidate) - rankOf(b.candidate) || a.roundTripMs - b.roundTripMs)
    if (best === undefined || present === undefined || this.isLost) return best?.candidate
    const ranks = rankOf(best.candidate) - rankOf(present)
    const isFaster =
      roundTripMs !== undefined && best.roundTripMs < Math.min(roundTripMs * FASTER, roundTripMs - FASTER_MS)
    return ranks < 0 || (ranks === 0 && isFaster) ? best.candidate : undefined
  }
}

const rankOf = ({ rank }: Candidate) => RANKS.indexOf(rank)

import type { Endpoint } from '../../linux/sockaddr.js'
import { Rates } from '../../rates.js'

/**
 * How many datagrams go in a second, and in one burst, to places where peers may be, of all peers together. Who tells of
 * a place may want them to go to somebody else.
 */
const TRIES_PER_SECOND = 16
const TRIES_BURST = 32

/** One budget for all that looks for peers. */
export const triesBudget = () => new Rates(1, TRIES_PER_SECOND, TRIES_BURST)

/** The pauses after each try of a peer. The last one stays. */
const PAUSES_MS = [500, 1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000] as const

interface Sought {
  list: readonly Endpoint[]
  /** The same as text. */
  places: string
  /** The place with which the next try begins. If the budget is short, the others come later. */
  first: number
  tries: number
  nextMs: number
}

/** A peer that is not reached directly. */
export interface Wanted {
  /** Its public key, in base64. */
  readonly key: string
  /** Where it may be. */
  readonly places: readonly Endpoint[]
  /** Whether it is looked for by way of an introducer, too. */
  readonly byRelay: boolean
}

/** Says when which peer is looked for, and where. There is one budget for all. */
export class Tries {
  readonly #budget: Rates
  readonly #sought = new Map<string, Sought>()
  readonly #jitter: () => number

  /** @param jitter a number from 0 to 1: pauses are so much longer, in fifths, so that ends do not go on in step */
  constructor(jitter: () => number, budget = triesBudget()) {
    this.#budget = budget
    this.#jitter = jitter
  }

  /**
   * Must be called often.
   * @param wanted all that are not reached directly now. One that is new, or may be at other places than before, has its turn at
   *   once
   * @returns those whose turn it is, with as many of their places as the budget allows
   */
  due(wanted: readonly Wanted[], nowMs: number): Wanted[] {
    const some: Due[] = []
    let known = 0
    for (const it of wanted) {
      const isSome = it.byRelay || it.places.length > 0
      const sought = isSome ? this.#seek(it, nowMs) : this.#sought.get(it.key)
      if (sought !== undefined) known++
      if (isSome && sought !== undefined && sought.nextMs <= nowMs) some.push([it, sought])
    }
    if (this.#sought.size > known) {
      const keys = new Set(wanted.map(({ key }) => key))
      for (const key of this.#sought.keys()) if (!keys.has(key)) this.#sought.delete(key)
    }
    const found: Wanted[] = []
    for (const [{ key, places, byRelay }, sought] of inTurns(some)) {
      const relayed = byRelay && this.#budget.allows(0, nowMs)
      const inTurn = [...places.slice(sought.first), ...places.slice(0, sought.first)]
      const allowed = inTurn.filter(() => this.#budget.allows(0, nowMs))
      if (allowed.length === 0 && !relayed) break
      sought.first = (sought.first + allowed.length) % Math.max(places.length, 1)
      const pauseMs = PAUSES_MS[Math.min(sought.tries++, PAUSES_MS.length - 1)]
      sought.nextMs = nowMs + pauseMs * (1 + this.#jitter() / 5)
      found.push({ key, places: allowed, byRelay: relayed })
    }
    return found
  }

  #seek({ key, places }: Wanted, nowMs: number): Sought {
    const before = this.#sought.get(key)
    if (before?.list === places) return before
    const text = places.map(({ address, port }) => `${address} ${port}`).join()
    if (before?.places === text) {
      before.list = places
      return before
    }
    // Whoever tells of other places all the time does not get more tries for that.
    const tries = before?.tries ?? 0
    // Nor does one whose turn has not come yet lose its place.
    const nextMs = Math.min(before?.nextMs ?? nowMs, nowMs)
    const first = (before?.first ?? 0) % Math.max(places.length, 1)
    const now = { list: places, places: text, first, tries: Math.min(tries, 2), nextMs }
    this.#sought.set(key, now)
    return now
  }
}

/** So often one is tried before it is one of those that may be away for long. */
const NEW_TRIES = 3

type Due = readonly [Wanted, Sought]

/**
 * If the budget is not enough for all, who has waited longest is first. But one that is new and one that was tried often take
 * turns, and of the new ones, who was tried least is first. Otherwise, with thousands that do not answer, somebody who has just come would wait for minutes.
 */
function* inTurns(all: readonly Due[]): Generator<Due> {
  const waited = [...all].sort(([, a], [, b]) => a.nextMs - b.nextMs)
  const fresh = waited.filter(([, { tries }]) => tries < NEW_TRIES).sort(([, a], [, b]) => a.tries - b.tries)
  const others = waited.filter(([, { tries }]) => tries >= NEW_TRIES)
  for (let at = 0; at < Math.max(fresh.length, others.length); at++) {
    if (at < fresh.length) yield fresh[at]
    if (at < others.length) yield others[at]
  }
}

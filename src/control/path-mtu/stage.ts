/** A size is too big if it gets no answer in this many rounds in which short packets are answered. */
const ROUNDS = 3
/**
 * How many copies of each size the first, second and third such round has. At 5% loss, all are lost once in a
 * million.
 */
const COPIES = [1, 2, 3] as const
/** The size just above the result is tried again, slowly. So one burst of loss cannot decide. */
const RAISE_ROUNDS = 4
const RAISE_SPACING_MS = 100
/** Rounds that verify the size in use are spaced, too, so that one burst of loss does not end its use. */
export const VERIFY_SPACING_MS = 100
const SEARCH_SPACING_MS = 25
/** If a round lost some of its markers, there was congestion. Only every so many of such rounds counts. */
const MUDDY_ROUNDS = 5

/** What a stage is to find out. */
export type Purpose = 'base' | 'search' | 'verify' | 'raise'

/** Some rounds that test the same sizes. */
export interface Stage {
  readonly purpose: Purpose
  /** The sizes under test. */
  sizes: number[]
  readonly rounds: number
  readonly spacingMs: number
  /** For `verify`: look for larger sizes afterwards. */
  readonly thenRaise: boolean
  /** The number of the last round before this stage. */
  readonly after: number
  /**
   * The rounds that counted, the rounds with too much loss to count, and the rounds in a row without an answer.
   */
  counted: number
  muddy: number
  silent: number
  /** When the next round may begin. */
  nextMs: number
}

/**
 * @param thenRaise for `verify`: look for larger sizes afterwards
 * @param after the number of the last round before this stage
 */
export function beginStage(
  purpose: Purpose,
  sizes: number[],
  thenRaise: boolean,
  after: number,
  nowMs: number,
): Stage {
  const raising = purpose === 'raise'
  const rounds = purpose === 'base' ? 1 : raising ? RAISE_ROUNDS : ROUNDS
  const spacingMs = raising ? RAISE_SPACING_MS : purpose === 'verify' ? VERIFY_SPACING_MS : SEARCH_SPACING_MS
  return {
    purpose,
    sizes,
    thenRaise,
    rounds,
    spacingMs,
    after,
    counted: 0,
    muddy: 0,
    silent: 0,
    nextMs: nowMs,
  }
}

/** How many copies of each size the next round of a stage has. */
export function copiesIn({ purpose, counted }: Stage): number {
  return purpose === 'raise' ? 1 : COPIES[Math.min(counted, COPIES.length - 1)]
}

/**
 * Counts a round that was answered.
 * @param clear whether the path lost few short packets
 * @returns whether it was the stage's last round
 */
export function isOver(stage: Stage, clear: boolean): boolean {
  if (!clear && ++stage.muddy % MUDDY_ROUNDS !== 0) return false
  return ++stage.counted >= stage.rounds
}

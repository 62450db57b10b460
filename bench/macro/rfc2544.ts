/** One attempt at a rate. */
export interface Trial {
  /** Asked for. */
  readonly datagramsPerSecond: number
  /** What the generator really sent: it may not be able to send as fast as asked. */
  readonly sentPerSecond: number
  readonly lostShare: number
}

export interface SearchOptions {
  /** Where to begin: the fastest that can be offered. */
  readonly ceilingPerSecond: number
  /** Below this nothing is tried any more. */
  readonly floorPerSecond: number
  /** The largest share of lost datagrams that still passes. */
  readonly lossLimit: number
  /** Ends when what passed and what did not lie within this share of one another. */
  readonly resolution: number
}

/** A rate this much below the one asked for was held back by the generator, not by what is tested. */
const GENERATOR_SHORTFALL = 0.03

/**
 * The highest rate at which no more than the limit is lost (RFC 2544, 26.1): begins at the ceiling, halves
 * until a trial passes, then closes in from both sides. A trial that fails is repeated once, and only a second
 * failure counts: on a shared machine a loss may be somebody else's doing (the loss verification of ETSI GS
 * NFV-TST 009, 12.3.3).
 * @returns datagrams a second really sent in the fastest trial that passed; 0 where none did
 */
export async function highestRate(
  attempt: (datagramsPerSecond: number) => Promise<Trial>,
  { ceilingPerSecond, floorPerSecond, lossLimit, resolution }: SearchOptions,
): Promise<number> {
  const passes = ({ lostShare }: Trial) => lostShare <= lossLimit
  let passed = 0
  let failed = ceilingPerSecond
  let best = 0
  let rate = ceilingPerSecond
  while (rate >= floorPerSecond) {
    let trial = await attempt(rate)
    if (!passes(trial)) trial = await attempt(rate)
    if (passes(trial)) {
      passed = rate
      best = Math.max(best, trial.sentPerSecond)
      if (trial.sentPerSecond < rate * (1 - GENERATOR_SHORTFALL)) break
    } else {
      failed = rate
    }
    if (failed <= passed * (1 + resolution)) break
    rate = passed > 0 ? Math.sqrt(passed * failed) : failed / 2
  }
  return best
}

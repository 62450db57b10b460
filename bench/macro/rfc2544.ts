/** One attempt at a rate. */
export interface Trial {
  /** The requested rate. */
  readonly datagramsPerSecond: number
  /** The rate that the generator really sent. It may be lower than requested. */
  readonly sentPerSecond: number
  readonly lostShare: number
}

export interface SearchOptions {
  /** The first rate to try: the fastest that the generator can offer. */
  readonly ceilingPerSecond: number
  /** Rates below this are not tried. */
  readonly floorPerSecond: number
  /** The largest share of lost datagrams with which a trial still passes. */
  readonly lossLimit: number
  /** The search ends when the passed rate and the failed rate differ by at most this share. */
  readonly resolution: number
}

/** If the sent rate is this much below the requested rate, the generator is the limit, not the tested tunnel. */
const GENERATOR_SHORTFALL = 0.03

/**
 * The highest rate at which no more than the limit is lost (RFC 2544, 26.1). The search begins at the ceiling.
 * It halves the rate until a trial passes, then approaches the result from both sides. A failed trial is
 * repeated once, and only a second failure counts: on a shared machine, other work may cause a loss (the loss
 * verification of ETSI GS NFV-TST 009, 12.3.3).
 * @returns datagrams per second that the fastest passed trial really sent; 0 if none passed
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

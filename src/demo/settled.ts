/** The idle round trip is the median of so many pings. */
const IDLE_PINGS = 10

/** Pings end after this number, settled or not. */
const MOST_PINGS = 40

/** So many of the pings may take longer than {@link SPREAD} times the shortest one, because a machine has other work. */
const MAY_BE_LONG = 2
const SPREAD = 2

/**
 * The idle round trip, as soon as the times have settled. They are longer at first, because the workers warm up.
 * @param times round trips in milliseconds so far, in order; null for one that was lost
 * @returns the median of the last pings that came back, or null if none did; undefined if more pings are needed
 */
export function settledMs(times: readonly (number | null)[]): number | null | undefined {
  if (times.length < IDLE_PINGS) return undefined
  const last = times.slice(-IDLE_PINGS)
  const sorted = last.filter((it) => it !== null).toSorted((a, b) => a - b)
  const near = sorted.filter((it) => it <= sorted[0] * SPREAD).length
  if (near < IDLE_PINGS - MAY_BE_LONG && times.length < MOST_PINGS) return undefined
  return sorted[sorted.length >>> 1] ?? null
}

/**
 * How often the service manager must be told that this service is alive, in ms: half of what it waits for
 * (sd_watchdog_enabled(3)) would do. A quarter leaves a busy machine time for a slow answer.
 * @returns undefined if the service manager does not watch this process
 */
export function watchdogPeriodMs(
  { WATCHDOG_USEC, WATCHDOG_PID }: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | undefined {
  const us = Number(WATCHDOG_USEC)
  if (!/^\d+$/.test(WATCHDOG_USEC ?? '') || us === 0) return undefined
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(pid)) return undefined
  return Math.max(1, Math.min(us / 4_000, LONGEST_MS))
}

/** Node.js's timers take no more. */
const LONGEST_MS = 2 ** 31 - 1

/** Something that happens later, once or again and again. */
export interface Timer {
  /** It does not happen any more. May be called twice. */
  cancel(): void
}

/** Time, as main sees it. All times are in milliseconds. */
export interface Clock {
  /** Never jumps, and stands still while the host is suspended (`CLOCK_MONOTONIC`). */
  nowMs(): number
  /** Never jumps, and goes on while the host is suspended (`CLOCK_BOOTTIME`). Keys age by it. */
  bootMs(): number
  /** The calendar's time since 1970. Somebody may set it. */
  unixMs(): number
  after(ms: number, work: () => void): Timer
  every(ms: number, work: () => void): Timer
}

/** Waits. @throws the reason of `signal` when that is aborted */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const give = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', give)
      resolve()
    })
    signal?.addEventListener('abort', give, { once: true })
  })
}

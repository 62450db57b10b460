import type { NativeMemory } from '../linux/memory.js'
import { FLOOD } from './target.js'

/**
 * A limit on the frames a port may have sent everywhere (broadcasts, multicasts, frames for unknown addresses):
 * a token bucket a port, in shared memory, for the thread that forwards changes. Two 64-bit floats each: the
 * frames still allowed, and when they were counted last, in ms. One writer a port at a time: who holds the
 * lock of the ring that the port's frames come through.
 *
 * Generous, for a network of few hosts has a few broadcasts a second, and a multicast of 50 Mbit/s passes; but
 * a loop, or a host gone mad, is kept from taking the machine: each of these frames is sent once for every
 * peer, and with 20 of them this is 100,000 datagrams a second.
 */
export const STORM_FRAMES_PER_S = 5_000
export const STORM_BURST_FRAMES = 10_000

const BUCKET_BYTES = 16

export function stormBytes(peers: number): number {
  return (peers + 2) * BUCKET_BYTES
}

export class StormLimit {
  readonly #f64: Float64Array
  readonly #at: number
  readonly #nowMs: () => number

  /**
   * @param at offset of {@link stormBytes} in `memory`, a multiple of 8
   * @param nowMs a clock that all threads share; read only when a bucket is empty
   */
  constructor(memory: NativeMemory, at: number, nowMs: () => number = sharedClock()) {
    this.#f64 = memory.f64
    this.#at = at >>> 3
    this.#nowMs = nowMs
  }

  /** Whether `port` may send `frames` more frames everywhere; if so, they are counted. */
  allows(port: number, frames: number): boolean {
    const bucket = this.#at + (port - FLOOD) * 2
    if (this.#f64[bucket] < frames) this.#fill(bucket)
    if (this.#f64[bucket] < frames) return false
    this.#f64[bucket] -= frames
    return true
  }

  /** Main, while no frames come from `port`: it is another peer's from now on, who has sent nothing yet. */
  forget(port: number): void {
    const bucket = this.#at + (port - FLOOD) * 2
    this.#f64.fill(0, bucket, bucket + 2)
  }

  /** What a bucket would have gained since, it gains when it is found empty: it cannot hold more than it does. */
  #fill(bucket: number): void {
    const nowMs = this.#nowMs()
    const sinceMs = Math.max(0, nowMs - this.#f64[bucket + 1])
    this.#f64[bucket] = Math.min(
      STORM_BURST_FRAMES,
      this.#f64[bucket] + (sinceMs * STORM_FRAMES_PER_S) / 1000,
    )
    this.#f64[bucket + 1] = nowMs
  }
}

/** Milliseconds on a clock that goes steadily and is the same in all threads of this process. */
function sharedClock(): () => number {
  const originMs = performance.timeOrigin
  return () => originMs + performance.now()
}

import type { NativeMemory } from '../linux/memory.js'
import { FLOOD } from './target.js'

/**
 * A limit on the frames that a port may have sent everywhere (broadcasts, multicasts, frames for unknown
 * addresses). Each port has a token bucket. The buckets are in shared memory, because the forwarding thread
 * changes. A bucket is two 64-bit floats: the frames still allowed, and the time of the last refill in ms. A
 * port has one writer at a time: the thread that holds the lock of the ring through which the port's frames
 * come.
 *
 * The limit is generous. A network of few hosts has a few broadcasts a second, and a multicast of 50 Mbit/s
 * passes. But a loop, or a faulty host, cannot overload the machine. Each of these frames is sent once for
 * every peer. With 20 peers the limit is 100,000 datagrams a second.
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
   * @param nowMs a clock that all threads share; read only when a bucket has too few frames
   */
  constructor(memory: NativeMemory, at: number, nowMs: () => number = sharedClock()) {
    this.#f64 = memory.f64
    this.#at = at >>> 3
    this.#nowMs = nowMs
  }

  /** Whether `port` may send `frames` more frames everywhere. If so, they are counted. */
  allows(port: number, frames: number): boolean {
    const bucket = this.#at + (port - FLOOD) * 2
    if (this.#f64[bucket] < frames) this.#fill(bucket)
    if (this.#f64[bucket] < frames) return false
    this.#f64[bucket] -= frames
    return true
  }

  /**
   * Main, while no frames come from `port`: the port belongs to another peer from now on, which has sent
   * nothing yet.
   */
  forget(port: number): void {
    const bucket = this.#at + (port - FLOOD) * 2
    this.#f64.fill(0, bucket, bucket + 2)
  }

  /**
   * Refills a bucket when it has too few frames. It gains then what it would have gained since the last refill,
   * up to its limit.
   */
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

/** Milliseconds on a steady clock that is the same in all threads of this process. */
function sharedClock(): () => number {
  const originMs = performance.timeOrigin
  return () => originMs + performance.now()
}

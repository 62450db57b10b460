import type { NativeMemory } from '../linux/memory.js'
import { REJECT_AFTER_COUNTER } from '../wire/wireguard.js'

/**
 * Records which numbers of a keypair have already come. It is a sliding window as in RFC 6479: a ring of 32-bit
 * words. The next word ahead is always empty. So an advance clears words and never shifts bits. Numbers are 64
 * bits, in two words.
 *
 * Layout: the greatest number seen (two words, low first) on a cache line of its own, then the ring. A window
 * of zeros has seen nothing. There is no lock, because only the udp worker opens messages.
 */
const WORDS = 512
const HEADER_BYTES = 64

export const REPLAY_WINDOW_BYTES = HEADER_BYTES + WORDS * 4

/** A number that is this far behind the greatest one seen is too old: 16,352. */
export const REPLAY_WINDOW_SIZE = (WORDS - 1) * 32

export class ReplayWindow {
  readonly #u32: Uint32Array

  constructor(memory: NativeMemory) {
    this.#u32 = memory.u32
  }

  /** Resets the window at offset `at` to one that has seen nothing. */
  clear(at: number): void {
    this.#u32.fill(0, at >>> 2, (at + REPLAY_WINDOW_BYTES) >>> 2)
  }

  /** Whether the number is neither too old nor already seen. This check avoids useless opening. */
  isFresh(at: number, high: number, low: number): boolean {
    if (!isBelowLimit(high, low)) return false
    const ahead = this.#ahead(at, high, low)
    if (ahead > 0) return true
    return ahead > -REPLAY_WINDOW_SIZE && !this.#isSeen(at, low)
  }

  /** Marks a number as seen. False if it was not fresh. Call it only for authentic messages. */
  accept(at: number, high: number, low: number): boolean {
    if (!this.isFresh(at, high, low)) return false
    const u32 = this.#u32
    const ahead = this.#ahead(at, high, low)
    const ring = (at + HEADER_BYTES) >>> 2
    if (ahead > 0) {
      const last = u32[at >>> 2]
      const moved = ((last & 31) + Math.min(ahead, WORDS * 32)) >>> 5
      for (let i = 1; i <= moved && i <= WORDS; i++) u32[ring + (((last >>> 5) + i) & (WORDS - 1))] = 0
      u32[at >>> 2] = low
      u32[(at >>> 2) + 1] = high
    }
    u32[ring + wordOf(low)] |= 1 << (low & 31)
    return true
  }

  /** The number minus the greatest number before. Exact wherever it matters, because 53 bits are exact. */
  #ahead(at: number, high: number, low: number): number {
    const u32 = this.#u32
    return (high - u32[(at >>> 2) + 1]) * 2 ** 32 + (low - u32[at >>> 2])
  }

  #isSeen(at: number, low: number): boolean {
    return ((this.#u32[((at + HEADER_BYTES) >>> 2) + wordOf(low)] >>> (low & 31)) & 1) === 1
  }
}

function wordOf(low: number): number {
  return (low >>> 5) & (WORDS - 1)
}

function isBelowLimit(high: number, low: number): boolean {
  return high < REJECT_AFTER_COUNTER.high || low < REJECT_AFTER_COUNTER.low
}

import type { NativeMemory } from '../linux/memory.js'

/**
 * The kernel's offloads in use. Each has a word in the memory, which is 1 while the offload works. Main sets
 * the words before the workers start. A worker whose offload is refused clears the word, and it stays off.
 */
export const OFFLOADS = ['udp_segment', 'udp_gro', 'device_tso', 'device_uso'] as const

export type Offload = (typeof OFFLOADS)[number]

/** What each offload is for, in messages that say it is off. */
export const OFFLOAD_MEANING: Readonly<Record<Offload, string>> = {
  udp_segment: 'many datagrams sent in one call (UDP_SEGMENT)',
  udp_gro: 'many datagrams received in one call (UDP_GRO)',
  device_tso: 'TCP super-frames from and to the device (TSO)',
  device_uso: 'UDP super-frames from and to the device (USO)',
}

export class Offloads {
  readonly #i32: Int32Array
  readonly #word: number

  /** @param at offset of the words in `memory`, a multiple of 4 */
  constructor(memory: NativeMemory, at: number) {
    this.#i32 = memory.i32
    this.#word = at >>> 2
  }

  set(offload: Offload, on: boolean): void {
    Atomics.store(this.#i32, this.wordOf(offload), on ? 1 : 0)
  }

  isOn(offload: Offload): boolean {
    return this.isSet(this.wordOf(offload))
  }

  /** The argument of {@link isSet}, for callers that look often. */
  wordOf(offload: Offload): number {
    return this.#word + OFFLOADS.indexOf(offload)
  }

  isSet(word: number): boolean {
    return Atomics.load(this.#i32, word) === 1
  }
}

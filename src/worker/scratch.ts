import type { NativeMemory } from '../linux/memory.js'
import { SCRATCH_BYTES } from '../memory/plan.js'

/** Hands out a worker's own memory at start, for the structures that its system calls point at. */
export class Scratch {
  readonly memory: NativeMemory
  #next: number
  readonly #end: number

  constructor(memory: NativeMemory, at: number) {
    this.memory = memory
    this.#next = at
    this.#end = at + SCRATCH_BYTES
  }

  /**
   * Takes `bytes` zero bytes, which share no cache line with others.
   * @returns their offset
   * @throws RangeError if the scratch memory is too small
   */
  take(bytes: number): number {
    const at = this.#next
    this.#next += (bytes + 63) & -64
    if (this.#next > this.#end) throw new RangeError('the scratch memory is too small')
    return at
  }
}

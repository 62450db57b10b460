import type { NativeMemory } from '../linux/memory.js'
import type { WorkerRole } from './plan.js'
import { StateWord } from './plan.js'

/**
 * Tells main when the workers no longer hold anything from before a change. It works like read-copy-update
 * (Linux, Documentation/RCU/whatisRCU.rst). Main raises a number and rings both doorbells. Each worker repeats
 * the number when it sees its doorbell. At that moment the worker is not in the middle of anything. So it has
 * seen the change, has finished everything it decided before, and has dropped what it kept itself. Records that
 * it put into a ring are still there.
 *
 * A worker with an unsent batch may have to be rung again before it repeats the number (worker.ts).
 *
 * Three words of the state area: main's number, and the number that each worker has repeated. They wrap at
 * 2^32.
 */
export class Epoch {
  readonly #i32: Int32Array
  readonly #words: number

  /** @param state offset of the state words */
  constructor(memory: NativeMemory, state: number) {
    this.#i32 = memory.i32
    this.#words = state >>> 2
  }

  /**
   * Main: to be called after a change.
   * @returns the number that both workers must repeat; the caller must ring both doorbells
   */
  advance(): number {
    return (Atomics.add(this.#i32, this.#words + StateWord.epoch, 1) + 1) | 0
  }

  /** Main: whether both workers have repeated the number. */
  hasPassed(number: number): boolean {
    return [StateWord.tapEpoch, StateWord.udpEpoch].every(
      (word) => ((Atomics.load(this.#i32, this.#words + word) - number) | 0) >= 0,
    )
  }

  /** Worker: the number to repeat. Read it before dropping anything. */
  get now(): number {
    return Atomics.load(this.#i32, this.#words + StateWord.epoch)
  }

  /** Worker: repeats the number. */
  acknowledge(role: WorkerRole, number: number): void {
    const word = role === 'tap' ? StateWord.tapEpoch : StateWord.udpEpoch
    Atomics.store(this.#i32, this.#words + word, number)
  }
}

import type { NativeMemory } from '../linux/memory.js'
import { StateWord } from './plan.js'
import type { WorkerRole } from './worker.js'

/**
 * How main knows that the workers have let go of what they held when something was changed, as read-copy-update
 * does (Linux, Documentation/RCU/whatisRCU.rst): main raises a number and rings for both; each worker that has been
 * rung for, and so is not in the middle of anything, repeats the number. By then it has seen the change, has decided
 * nothing that it has not done by what was before, and has dropped what it kept itself. What it has put into a ring
 * is there still.
 *
 * Three words of the state area: main's number, and what each worker has repeated. They wrap at 2^32.
 */
export class Epoch {
  readonly #i32: Int32Array
  readonly #words: number

  /** @param state offset of the state words */
  constructor(memory: NativeMemory, state: number) {
    this.#i32 = memory.i32
    this.#words = state >>> 2
  }

  /** Main: after a change. @returns what both workers are to repeat; they are to be rung for */
  advance(): number {
    return (Atomics.add(this.#i32, this.#words + StateWord.epoch, 1) + 1) | 0
  }

  /** Main: whether both have. */
  hasPassed(number: number): boolean {
    return [StateWord.tapEpoch, StateWord.udpEpoch].every(
      (word) => ((Atomics.load(this.#i32, this.#words + word) - number) | 0) >= 0,
    )
  }

  /** Worker: the number to repeat; to be read before anything is dropped. */
  get now(): number {
    return Atomics.load(this.#i32, this.#words + StateWord.epoch)
  }

  /** Worker: repeats it. */
  acknowledge(role: WorkerRole, number: number): void {
    const word = role === 'tap' ? StateWord.tapEpoch : StateWord.udpEpoch
    Atomics.store(this.#i32, this.#words + word, number)
  }
}

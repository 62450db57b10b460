import type { NativeMemory } from '../linux/memory.js'
import { StateWord, type WorkerRole } from './plan.js'

/**
 * Tells main whether both workers still turn. Main raises a number and rings both doorbells. Each worker repeats the
 * number when it sees its doorbell, even if it cannot send what it has in hand. The epoch (epoch.ts) waits for that,
 * so it would call a worker stuck whose underlay is slow.
 *
 * Three words of the state area: main's number, and the number that each worker has repeated. They wrap at 2^32.
 */
export class Pulse {
  readonly #i32: Int32Array
  readonly #words: number

  /** @param state offset of the state words */
  constructor(memory: NativeMemory, state: number) {
    this.#i32 = memory.i32
    this.#words = state >>> 2
  }

  /**
   * Main: asks both workers. The caller must ring both doorbells.
   * @returns the question's number, for {@link hasAnswered}
   */
  ask(): number {
    return (Atomics.add(this.#i32, this.#words + StateWord.pulse, 1) + 1) | 0
  }

  /** Main: whether a worker has answered this question, or a later one. */
  hasAnswered(role: WorkerRole, question: number): boolean {
    return ((Atomics.load(this.#i32, this.#words + wordOf(role)) - question) | 0) >= 0
  }

  /** Worker: answers. */
  answer(role: WorkerRole): void {
    Atomics.store(
      this.#i32,
      this.#words + wordOf(role),
      Atomics.load(this.#i32, this.#words + StateWord.pulse),
    )
  }
}

function wordOf(role: WorkerRole): number {
  return role === 'tap' ? StateWord.tapPulse : StateWord.udpPulse
}

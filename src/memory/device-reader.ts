import type { NativeMemory } from '../linux/memory.js'
import { StateWord } from './plan.js'

/** Values of the word. The tap worker reads the device. */
const TAP = 0
/** The tap worker sleeps, so the udp worker may begin to read the device. */
const OFFERED = 1
/** The udp worker reads the device. */
const UDP = 2

/**
 * Which worker reads the device. Only this one may put records into the outbound ring. It is the tap worker. While
 * little comes, that one offers it before each sleep, and the udp worker may take it, and serves both fds. Then a
 * frame and its answer need one thread to wake, not two.
 *
 * One word of the state area ({@link StateWord.deviceReader}). The tap worker makes it OFFERED before a sleep, and TAP
 * after it. The udp worker makes it UDP if it is OFFERED, and OFFERED again when more comes.
 */
export class DeviceReader {
  readonly #i32: Int32Array
  readonly #word: number

  /** @param state offset of the state words */
  constructor(memory: NativeMemory, state: number) {
    this.#i32 = memory.i32
    this.#word = (state >>> 2) + StateWord.deviceReader
  }

  /** Tap worker, which reads the device: the other one may begin to. */
  offer(): void {
    Atomics.store(this.#i32, this.#word, OFFERED)
  }

  /** Tap worker, which has offered it: reads the device again, unless the other one does. */
  resume(): boolean {
    return Atomics.compareExchange(this.#i32, this.#word, OFFERED, TAP) === OFFERED
  }

  /** Udp worker: begins to read the device, if it is offered. */
  take(): boolean {
    return Atomics.compareExchange(this.#i32, this.#word, OFFERED, UDP) === OFFERED
  }

  /** Udp worker, which reads the device: offers it to the tap worker. The caller must ring that one's doorbell. */
  giveBack(): void {
    Atomics.store(this.#i32, this.#word, OFFERED)
  }
}

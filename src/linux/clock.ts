import { CLOCK_BOOTTIME } from './constants.js'
import { clock_gettime, must } from './libc.js'
import { NativeMemory } from './memory.js'
import { timespec } from './structs.js'

/**
 * The clock by which keys age: `CLOCK_BOOTTIME` (clock_gettime(2)), the time since the host was started, suspends
 * included. `performance.now()` is `CLOCK_MONOTONIC`, which stands still in a suspend. The kernel's vDSO answers,
 * without a system call; nothing is allocated.
 */
export class BootClock {
  /** One number: what it showed when it was looked at last. A number in memory is made anew by nobody. */
  readonly ms = new Float64Array(1)
  readonly #memory = NativeMemory.allocate(timespec.size)
  readonly #address = this.#memory.address(0)
  readonly #u32 = this.#memory.u32

  /** @throws KernelError where there is no such clock */
  constructor() {
    must('clock_gettime', () => clock_gettime(CLOCK_BOOTTIME, this.#address))
    this.look()
  }

  look(): void {
    clock_gettime(CLOCK_BOOTTIME, this.#address)
    // 2^32 seconds are 136 years.
    const seconds = this.#u32[timespec.tv_sec >>> 2]
    this.ms[0] = seconds * 1_000 + this.#u32[timespec.tv_nsec >>> 2] / 1e6
  }

  /** Looks, and tells. */
  now(): number {
    this.look()
    return this.ms[0]
  }
}

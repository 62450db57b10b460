import { CLOCK_BOOTTIME } from './constants.js'
import { clock_gettime, must } from './libc.js'
import { NativeMemory } from './memory.js'
import { timespec } from './structs.js'

/**
 * The clock for the age of keys: `CLOCK_BOOTTIME` (clock_gettime(2)), the time since the host's start. It also
 * counts while the host is suspended. `performance.now()` is `CLOCK_MONOTONIC`, which stops during a suspend.
 * The kernel's vDSO answers without a system call. Nothing is allocated.
 */
export class BootClock {
  /** One number: the milliseconds at the last look. It is in memory, so that reading it allocates nothing. */
  readonly ms = new Float64Array(1)
  readonly #memory = NativeMemory.allocate(timespec.size)
  readonly #address = this.#memory.address(0)
  readonly #u32 = this.#memory.u32

  /** @throws KernelError if there is no such clock */
  constructor() {
    must('clock_gettime', () => clock_gettime(CLOCK_BOOTTIME, this.#address))
    this.look()
  }

  look(): void {
    clock_gettime(CLOCK_BOOTTIME, this.#address)
    // The low 32 bits of the seconds are enough: 2^32 seconds are 136 years.
    const seconds = this.#u32[timespec.tv_sec >>> 2]
    this.ms[0] = seconds * 1_000 + this.#u32[timespec.tv_nsec >>> 2] / 1e6
  }

  /** Looks, and returns the time in milliseconds. */
  now(): number {
    this.look()
    return this.ms[0]
  }
}

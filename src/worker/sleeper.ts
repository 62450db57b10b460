import { POLLIN, POLLOUT } from '../linux/constants.js'
import { poll } from '../linux/libc.js'
import type { NativeMemory } from '../linux/memory.js'
import { pollfd } from '../linux/structs.js'
import type { Scratch } from './scratch.js'

const FDS = 4

/**
 * poll(2) on a source's fd, a doorbell and, if the worker waits for something there, a sink's fd, or one more that a sink
 * has.
 */
export class Sleeper {
  readonly #memory: NativeMemory
  readonly #source: number
  readonly #bell: number
  readonly #sink: number
  readonly #more: number
  readonly #address: bigint

  constructor(scratch: Scratch, sourceFd: number, bellFd: number, sinkFd: number) {
    const { memory } = scratch
    this.#memory = memory
    this.#source = scratch.take(FDS * pollfd.size)
    this.#bell = this.#source + pollfd.size
    this.#sink = this.#bell + pollfd.size
    this.#more = this.#sink + pollfd.size
    this.#address = memory.address(this.#source)
    memory.i32[(this.#source + pollfd.fd) >>> 2] = sourceFd
    memory.i32[(this.#bell + pollfd.fd) >>> 2] = bellFd
    memory.i32[(this.#sink + pollfd.fd) >>> 2] = sinkFd
    memory.u16[(this.#bell + pollfd.events) >>> 1] = POLLIN
    memory.u16[(this.#more + pollfd.events) >>> 1] = POLLOUT
  }

  /**
   * Sleeps until one of the events comes.
   * @param moreFd one more fd, which may be written to; -1 for none
   * @param timeoutMs -1 is without limit
   * @returns the events on the source's fd (`revents`), 0 for none
   */
  sleep(sourceEvents: number, sinkEvents: number, moreFd: number, timeoutMs: number): number {
    const { u16 } = this.#memory
    let fds = sinkEvents === 0 ? FDS - 2 : FDS - 1
    if (moreFd >= 0) {
      this.#memory.i32[(this.#more + pollfd.fd) >>> 2] = moreFd
      fds = FDS
    }
    u16[(this.#source + pollfd.events) >>> 1] = sourceEvents
    u16[(this.#sink + pollfd.events) >>> 1] = sinkEvents
    u16[(this.#bell + pollfd.revents) >>> 1] = 0
    u16[(this.#sink + pollfd.revents) >>> 1] = 0
    if (poll(this.#address, fds, timeoutMs) <= 0) return 0
    return u16[(this.#source + pollfd.revents) >>> 1]
  }

  /** The events on the sink's fd, at the end of the last sleep. */
  get sinkFound(): number {
    return this.#memory.u16[(this.#sink + pollfd.revents) >>> 1]
  }

  /** Whether the doorbell ended the last sleep. */
  get rung(): boolean {
    return this.#memory.u16[(this.#bell + pollfd.revents) >>> 1] !== 0
  }
}

import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from '../linux/constants.js'
import type { Doorbell } from '../linux/eventfd.js'
import { poll } from '../linux/libc.js'
import type { NativeMemory } from '../linux/memory.js'
import { pollfd } from '../linux/structs.js'
import { C } from './counters.js'
import { StateWord } from './plan.js'
import { BLOCKED, DONE, MORE, type Port, type Progress } from './port.js'
import type { Ring } from './ring.js'
import type { Scratch } from './scratch.js'

export interface LoopOptions {
  readonly port: Port
  /** What this worker fills. */
  readonly out: Ring
  /** What this worker drains. */
  readonly in: Ring
  /** Wakes this worker. */
  readonly bell: Doorbell
  /** Wakes the other one; rung by the rings, counted here. */
  readonly otherBell: Doorbell
  readonly scratch: Scratch
  readonly counters: Float64Array
  /** Offset of the state words. */
  readonly state: number
}

/** How long a worker with a full send buffer sleeps before it looks again by itself. */
const BLOCKED_POLL_MS = 50

/**
 * A worker's life: fill one ring from its fd, drain the other into it, a record at a time by turns; sleep in
 * poll on {fd, doorbell} when there is nothing to do; return when main says stop and rings.
 * @throws Error when the fd is of no more use
 */
export function runLoop(options: LoopOptions): void {
  const { port, out, in: inRing, bell, otherBell, counters } = options
  const { i32 } = options.scratch.memory
  const stop = (options.state >>> 2) + StateWord.stop
  const sleeper = new Sleeper(options.scratch, port.fd, bell, counters)
  let fdMayHave = true
  while (Atomics.load(i32, stop) === 0) {
    const filled: Progress = fdMayHave ? port.fill(out) : DONE
    fdMayHave = true
    const drained = port.drain(inRing)
    if (filled === MORE || drained === MORE) continue

    const full: boolean = filled === BLOCKED
    const blocked: boolean = drained === BLOCKED
    if (full) counters[C.ringFull]++
    counters[C.ringHighWaterBytes] = out.highWaterBytes
    counters[C.doorbells] = otherBell.rings
    if (!blocked && !inRing.consumerMaySleep()) continue
    if (!full || out.producerMaySleep(port.recordBytes)) {
      const events = (full ? 0 : POLLIN) | (blocked ? POLLOUT : 0)
      const found = sleeper.sleep(events, blocked ? BLOCKED_POLL_MS : -1)
      counters[C.wakeUps]++
      if ((found & POLLNVAL) !== 0) throw new Error('the file descriptor has been closed')
      if ((found & POLLERR) !== 0) port.handleError()
      fdMayHave = full || (found & (POLLIN | POLLERR | POLLHUP)) !== 0
    }
    inRing.consumerWoke()
    out.producerWoke()
  }
}

/** poll(2) on an fd and a doorbell. */
class Sleeper {
  readonly #memory: NativeMemory
  readonly #bell: Doorbell
  readonly #counters: Float64Array
  readonly #fds: number
  readonly #address: bigint

  constructor(scratch: Scratch, fd: number, bell: Doorbell, counters: Float64Array) {
    this.#memory = scratch.memory
    this.#counters = counters
    this.#bell = bell
    this.#fds = scratch.take(2 * pollfd.size)
    this.#address = this.#memory.address(this.#fds)
    this.#memory.i32[(this.#fds + pollfd.fd) >>> 2] = fd
    this.#memory.i32[(this.#fds + pollfd.size + pollfd.fd) >>> 2] = bell.fd
    this.#memory.u16[(this.#fds + pollfd.size + pollfd.events) >>> 1] = POLLIN
  }

  /** Returns what poll found on the fd (`revents`); silences the doorbell. `timeoutMs` -1 is forever. */
  sleep(events: number, timeoutMs: number): number {
    const { u16 } = this.#memory
    u16[(this.#fds + pollfd.events) >>> 1] = events
    this.#counters[C.syscalls]++
    if (poll(this.#address, 2, timeoutMs) <= 0) return 0
    if (u16[(this.#fds + pollfd.size + pollfd.revents) >>> 1] !== 0) {
      this.#bell.silence()
      this.#counters[C.syscalls]++
    }
    return u16[(this.#fds + pollfd.revents) >>> 1]
  }
}

import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from '../linux/constants.js'
import type { Doorbell } from '../linux/eventfd.js'
import { C } from './counters.js'
import { StateWord } from './plan.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink, type Source } from './port.js'
import type { Ring } from './ring.js'
import type { Scratch } from './scratch.js'
import { Sleeper } from './sleeper.js'

/** A way through the tunnel: from one fd into a ring and out of it to the other. */
export interface Way {
  readonly ring: Ring
  readonly sink: Sink
}

export interface LoopOptions {
  readonly source: Source
  /** Where this worker's source goes. */
  readonly own: Way
  /** Where the other worker's goes. */
  readonly other: Way
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
 * A worker's life: fill its ring from its source, a record at a time, and drain that record at once, while it
 * is in this core's cache and nobody need be woken for it, unless the other worker is draining the ring
 * already; help the other one in the same way; sleep in poll when there is nothing to do. Returns when main
 * says stop and rings.
 * @throws Error when an fd is of no more use
 */
export function runLoop(options: LoopOptions): void {
  const { source, bell, otherBell, counters } = options
  const { i32 } = options.scratch.memory
  const { ring } = options.own
  const stop = (options.state >>> 2) + StateWord.stop
  const sleeper = new Sleeper(options.scratch, source.fd, bell.fd, options.own.sink.fd)
  const own = new Drain(options.own)
  const other = new Drain(options.other)
  let sourceMayHave = true
  while (Atomics.load(i32, stop) === 0) {
    const filled: Progress = sourceMayHave && !own.blocked ? source.fill(ring) : DONE
    sourceMayHave = true
    own.run()
    other.run()
    if (filled === MORE && !own.blocked) continue

    const full: boolean = filled === BLOCKED
    if (full) counters[C.ringFull]++
    counters[C.ringHighWaterBytes] = ring.highWaterBytes
    counters[C.doorbells] = otherBell.rings
    if (full && !ring.producerMaySleep(source.recordBytes)) continue
    // What the other worker's sink writes to is what this worker's source reads from.
    const sourceEvents = (full || own.blocked ? 0 : POLLIN) | (other.blocked ? POLLOUT : 0)
    const timeoutMs = own.blocked || other.blocked ? BLOCKED_POLL_MS : -1
    const found = sleeper.sleep(sourceEvents, own.blocked ? POLLOUT : 0, timeoutMs)
    counters[C.wakeUps]++
    counters[C.syscalls]++
    if (sleeper.rung) {
      bell.silence()
      counters[C.syscalls]++
    }
    if ((found & POLLNVAL) !== 0) throw new Error('the file descriptor has been closed')
    if ((found & POLLERR) !== 0) source.handleError()
    sourceMayHave = full || (found & (POLLIN | POLLERR | POLLHUP)) !== 0
    ring.producerWoke()
  }
}

/** One worker's part in draining a ring that either worker may drain, one at a time. */
class Drain {
  /** The sink takes no more now; its record, and the ring's lock, stay with this worker until it does. */
  blocked = false
  readonly #ring: Ring
  readonly #sink: Sink

  constructor({ ring, sink }: Way) {
    this.#ring = ring
    this.#sink = sink
  }

  /** Drains what is there, unless the other worker does. */
  run(): void {
    while (this.blocked || (this.#ring.usedBytes !== 0 && this.#ring.tryLock())) {
      this.blocked = this.#sink.drain(this.#ring) === BLOCKED
      if (this.blocked) return
      this.#ring.unlock()
    }
  }
}

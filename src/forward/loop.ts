import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from '../linux/constants.js'
import type { Doorbell } from '../linux/eventfd.js'
import { C } from './counters.js'
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
  /** Called when main has rung, or the other worker. @returns whether that was to say that it is the end */
  readonly rung: () => boolean
}

/** How long a worker with a full send buffer sleeps before it looks again by itself. */
const BLOCKED_POLL_MS = 50

/** A worker that never sleeps looks at its doorbell every so many turns. */
const BELL_TURNS = 64

/**
 * What a worker does over and over: fill its ring from its source, a record at a time, and drain that record at
 * once, while it is in this core's cache and nobody need be woken for it, unless the other worker is draining
 * the ring already; help the other one in the same way; sleep in poll when there is nothing to do.
 */
export class Loop {
  readonly #source: Source
  readonly #ring: Ring
  readonly #own: Drain
  readonly #other: Drain
  readonly #bell: Doorbell
  readonly #otherBell: Doorbell
  readonly #sleeper: Sleeper
  readonly #counters: Float64Array
  readonly #rung: () => boolean
  #ended = false
  #sourceMayHave = true
  #turnsAwake = 0

  constructor(options: LoopOptions) {
    const { source, own, other, bell } = options
    this.#source = source
    this.#ring = own.ring
    this.#own = new Drain(own)
    this.#other = new Drain(other)
    this.#bell = bell
    this.#otherBell = options.otherBell
    this.#sleeper = new Sleeper(options.scratch, source.fd, bell.fd, own.sink.fd)
    this.#counters = options.counters
    this.#rung = options.rung
  }

  /** It has been told that it is the end, and is to be run no more. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * Goes around until it has slept in vain, or is told that it is the end. A loop in a function that is called
   * often: V8 compiles it before it is called for the last time, to stay in.
   * @param idleMs how long to sleep when there is nothing to do: -1 is until there is
   * @returns whether anything came
   * @throws Error when an fd is of no more use
   */
  run(idleMs: number): boolean {
    let came = false
    while (this.turn(idleMs)) came = true
    return came
  }

  /**
   * One time around: at the most a record filled, what is there drained, or a sleep.
   * @param idleMs how long to sleep when there is nothing to do: -1 is until there is
   * @returns false when nothing has come in that time, which is not counted either, or when it is the end
   * @throws Error when an fd is of no more use
   */
  turn(idleMs: number): boolean {
    const ring = this.#ring
    const own = this.#own
    const other = this.#other
    const counters = this.#counters
    const filled: Progress = this.#sourceMayHave && !own.blocked ? this.#source.fill(ring) : DONE
    this.#sourceMayHave = true
    own.run()
    other.run()
    const busy = filled === MORE && !own.blocked
    if (busy && ++this.#turnsAwake < BELL_TURNS) return true

    this.#turnsAwake = 0
    const full: boolean = filled === BLOCKED
    if (full) counters[C.ringFull]++
    counters[C.ringHighWaterBytes] = ring.highWaterBytes
    counters[C.doorbells] = this.#otherBell.rings
    if (full && !ring.producerMaySleep(this.#source.recordBytes)) return true
    // What the other worker's sink writes to is what this worker's source reads from.
    const sourceEvents = (full || own.blocked ? 0 : POLLIN) | (other.blocked ? POLLOUT : 0)
    const blocked = own.blocked || other.blocked
    const timeoutMs = busy ? 0 : blocked ? BLOCKED_POLL_MS : full ? -1 : idleMs
    const found = this.#sleeper.sleep(sourceEvents, own.blocked ? POLLOUT : 0, timeoutMs)
    const { rung } = this.#sleeper
    if (full) ring.producerWoke()
    this.#sourceMayHave = busy || full || (found & (POLLIN | POLLERR | POLLHUP)) !== 0
    if (found === 0 && !rung && !busy && timeoutMs === idleMs) return false

    counters[C.wakeUps]++
    counters[C.syscalls]++
    if (rung) {
      this.#bell.silence()
      counters[C.syscalls]++
      this.#ended = this.#rung()
      own.wake()
      other.wake()
    }
    if ((found & POLLNVAL) !== 0) throw new Error('the file descriptor has been closed')
    if ((found & POLLERR) !== 0) this.#source.handleError()
    return !this.#ended
  }
}

/** One worker's part in draining a ring that either worker may drain, one at a time. */
class Drain {
  /** The sink takes no more now; what it has in hand, and the ring's lock, stay with this worker until it does. */
  blocked = false
  readonly #ring: Ring
  readonly #sink: Sink

  constructor({ ring, sink }: Way) {
    this.#ring = ring
    this.#sink = sink
  }

  /** Drains what is there, unless the other worker does. */
  run(): void {
    while (this.blocked || (!this.#ring.isEmpty && this.#ring.tryLock())) {
      this.#drain()
      if (this.blocked) return
    }
  }

  /** The same, even where nothing is there: the sink may have something of its own, which may be blocked, too. */
  wake(): void {
    if (this.blocked || this.#ring.tryLock()) this.#drain()
  }

  #drain(): void {
    this.blocked = this.#sink.drain(this.#ring) === BLOCKED
    if (!this.blocked) this.#ring.unlock()
  }
}

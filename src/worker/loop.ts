import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from '../linux/constants.js'
import type { Doorbell } from '../linux/eventfd.js'
import { C } from '../memory/counters.js'
import type { Ring } from '../memory/ring.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink, type Source } from './port.js'
import type { Scratch } from './scratch.js'
import { Sleeper } from './sleeper.js'

/** A way through the tunnel: from one fd into a ring, and from the ring to the other fd. */
export interface Way {
  readonly ring: Ring
  readonly sink: Sink
}

export interface LoopOptions {
  readonly source: Source
  /** Where this worker's source puts its frames. */
  readonly own: Way
  /** Where the other worker's source puts its frames. */
  readonly other: Way
  /** Wakes this worker. */
  readonly bell: Doorbell
  /** Wakes the other worker. The rings ring it; its rings are counted here. */
  readonly otherBell: Doorbell
  readonly scratch: Scratch
  readonly counters: Float64Array
  /** Called after each poll, before anything that poll found is taken. The poll may have taken any time. */
  readonly woke: () => void
  /**
   * Called when main or the other worker has rung.
   * @returns whether the worker must stop
   */
  readonly rung: () => boolean
}

/** How long a worker with a full send buffer sleeps before it tries again by itself. */
const BLOCKED_POLL_MS = 50

/** A worker that never sleeps looks at its doorbell once in this many turns. */
const BELL_TURNS = 64

/**
 * What a worker repeats. It fills its ring from its source, one record at a time. It drains that record at
 * once, unless the other worker is already draining the ring. The record is then still in this core's cache,
 * and no other thread must be woken. The worker also helps to drain the other worker's ring. It sleeps in poll
 * when there is nothing to do.
 */
export class Loop {
  readonly #source: Source
  readonly #ring: Ring
  readonly #own: RingConsumer
  readonly #other: RingConsumer
  readonly #bell: Doorbell
  readonly #otherBell: Doorbell
  readonly #sleeper: Sleeper
  readonly #counters: Float64Array
  readonly #woke: () => void
  readonly #rung: () => boolean
  #ended = false
  #sourceMayHave = true
  #turnsAwake = 0

  constructor(options: LoopOptions) {
    const { source, own, other, bell } = options
    this.#source = source
    this.#ring = own.ring
    this.#own = new RingConsumer(own)
    this.#other = new RingConsumer(other)
    this.#bell = bell
    this.#otherBell = options.otherBell
    this.#sleeper = new Sleeper(options.scratch, source.fd, bell.fd, own.sink.fd)
    this.#counters = options.counters
    this.#woke = options.woke
    this.#rung = options.rung
  }

  /** The worker has been told to stop. The loop must not run again. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * Runs turns until a sleep brings nothing, or until the worker must stop. This loop is in a function that is
   * called often. So V8 compiles the function before the last call, which does not return until the end.
   * @param idleMs how long to sleep when there is nothing to do; -1 is without limit
   * @returns whether anything came
   * @throws Error if an fd is no longer usable
   */
  run(idleMs: number): boolean {
    let came = false
    while (this.turn(idleMs)) came = true
    return came
  }

  /**
   * One turn: it fills at most one record, drains what is there, or sleeps.
   * @param idleMs how long to sleep when there is nothing to do; -1 is without limit
   * @returns false if nothing came in that time, or if the worker must stop; a sleep that brought nothing is
   * not counted
   * @throws Error if an fd is no longer usable
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
    // This worker's source reads from the fd that the other worker's sink writes to.
    const sourceEvents = (full || own.blocked ? 0 : POLLIN) | (other.blocked ? POLLOUT : 0)
    const blocked = own.blocked || other.blocked
    const timeoutMs = busy ? 0 : blocked ? BLOCKED_POLL_MS : full ? -1 : idleMs
    const found = this.#sleeper.sleep(sourceEvents, own.blocked ? POLLOUT : 0, timeoutMs)
    this.#woke()
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

/** One worker's part in draining a ring. Either worker may drain it, but only one at a time. */
class RingConsumer {
  /**
   * The sink accepts nothing more now. Until it does, this worker keeps the unsent batch and the ring's lock.
   */
  blocked = false
  readonly #ring: Ring
  readonly #sink: Sink

  constructor({ ring, sink }: Way) {
    this.#ring = ring
    this.#sink = sink
  }

  /** Drains what is there, unless the other worker is draining it. */
  run(): void {
    while (this.blocked || (!this.#ring.isEmpty && this.#ring.tryLock())) {
      this.#drain()
      if (this.blocked) return
    }
  }

  /**
   * Like {@link run}, but also if the ring is empty: the sink may have frames of its own, which may block too.
   */
  wake(): void {
    if (this.blocked || this.#ring.tryLock()) this.#drain()
  }

  #drain(): void {
    this.blocked = this.#sink.drain(this.#ring) === BLOCKED
    if (!this.blocked) this.#ring.unlock()
  }
}

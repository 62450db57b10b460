import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from '../linux/constants.js'
import type { Doorbell } from '../linux/eventfd.js'
import { C } from '../memory/counters.js'
import type { DeviceReader } from '../memory/device-reader.js'
import type { Ring } from '../memory/ring.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink, type Source } from './port.js'
import { Quiet, SILENCE_MS } from './quiet.js'
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
  /** Which worker reads the device. Without it, that is always the tap worker. */
  readonly reader?: DeviceReader | undefined
  /** In the udp worker: reads the device while the tunnel is quiet. */
  readonly device?: Source | undefined
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

/** How long a worker sleeps that must come back to a ring which the other worker had. */
const OWED_POLL_MS = 1

/** A worker that never sleeps looks at its doorbell once in this many turns. */
const BELL_TURNS = 64

/**
 * What a worker repeats. It fills its ring from its source, one record at a time. It drains that record at
 * once, unless the other worker is already draining the ring. The record is then still in this core's cache,
 * and no other thread must be woken. The worker also helps to drain the other worker's ring. It sleeps in poll
 * when there is nothing to do. While little comes, the udp worker reads the device, too (device-reader.ts).
 */
export class Loop {
  /**
   * Whether one worker may serve both fds while little comes. Not during the warm-up, because its slices would then hold
   * up both ways, and the other thread could not help.
   */
  mayShare = true
  readonly #source: Source
  readonly #ring: Ring
  readonly #own: RingConsumer
  readonly #other: RingConsumer
  readonly #bell: Doorbell
  readonly #otherBell: Doorbell
  readonly #sleeper: Sleeper
  /** That of this worker's own sink. The sink may wait for another one (`blockedFd`). */
  readonly #sinkFd: number
  readonly #counters: Float64Array
  readonly #woke: () => void
  readonly #rung: () => boolean
  readonly #reader: DeviceReader | undefined
  readonly #device: Source | undefined
  readonly #otherRing: Ring
  readonly #quiet = new Quiet()
  /** Tap worker: it has offered the device, and has not looked since whether the other one has taken it. */
  #offered = false
  /** Whether this worker may read its source. */
  #reads = true
  /** Udp worker: it reads the device, too. */
  #readsDevice = false
  #deviceMayHave = false
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
    this.#sinkFd = own.sink.fd
    this.#sleeper = new Sleeper(options.scratch, source.fd, bell.fd, own.sink.fd)
    this.#counters = options.counters
    this.#woke = options.woke
    this.#rung = options.rung
    this.#reader = options.reader
    this.#device = options.device
    this.#otherRing = other.ring
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
    const quiet = this.#quiet
    if (this.#offered) this.#resume()
    let filled: Progress = DONE
    let filledBytes = 0
    if (this.#reads && this.#sourceMayHave && !own.blocked) {
      filled = this.#source.fill(ring)
      filledBytes = this.#source.filledBytes
    }
    this.#sourceMayHave = filled !== DONE
    own.run()
    // The kernel may have answered already what was just written to the device.
    const deviceMayHave = this.#readsDevice && (this.#deviceMayHave || filledBytes > 0)
    const fromDevice = deviceMayHave ? this.#readDevice() : DONE
    this.#deviceMayHave = fromDevice === MORE
    other.run()
    const busy = (filled === MORE && !own.blocked) || fromDevice === MORE
    const much = quiet.turned(this.#turnsAwake, filledBytes)
    const blocked = own.blocked || other.blocked
    this.#giveBack(much || blocked || fromDevice === BLOCKED)
    if (busy && ++this.#turnsAwake < BELL_TURNS) return true

    this.#turnsAwake = 0
    const full: boolean = filled === BLOCKED
    if (full) counters[C.ringFull]++
    counters[C.ringHighWaterBytes] = ring.highWaterBytes
    counters[C.doorbells] = this.#otherBell.rings
    if (full && !ring.producerMaySleep(this.#source.recordBytes)) return true
    quiet.sleeps()
    const waits = !(busy || blocked || full)
    this.#share(waits && quiet.lasts)
    const readsDevice = this.#readsDevice
    // This worker's source reads from the fd that the other worker's sink writes to, unless that has several.
    const sourceFd = this.#source.fd
    const ownFd = own.blockedFd
    const otherFd = other.blockedFd
    const sourceEvents =
      (full || own.blocked || !this.#reads ? 0 : POLLIN) | (otherFd === sourceFd ? POLLOUT : 0)
    const sinkEvents = (ownFd === this.#sinkFd ? POLLOUT : 0) | (readsDevice ? POLLIN : 0)
    const moreFd = ownFd >= 0 && ownFd !== this.#sinkFd ? ownFd : otherFd !== sourceFd ? otherFd : -1
    const timeoutMs = waits ? this.#restMs(idleMs) : busy ? 0 : blocked ? BLOCKED_POLL_MS : -1
    const found = this.#sleeper.sleep(sourceEvents, sinkEvents, moreFd, timeoutMs)
    this.#woke()
    const { rung } = this.#sleeper
    if (full) ring.producerWoke()
    if ((found & (POLLIN | POLLERR | POLLHUP)) !== 0) this.#sourceMayHave = true
    const foundDevice = readsDevice ? this.#sleeper.sinkFound : 0
    if (foundDevice !== 0) this.#deviceMayHave = true
    if (waits && found === 0 && !rung && !this.#deviceMayHave) {
      const isShort = timeoutMs !== idleMs
      quiet.slept(isShort)
      return isShort
    }

    counters[C.wakeUps]++
    counters[C.syscalls]++
    if (rung) {
      this.#bell.silence()
      counters[C.syscalls]++
      this.#ended = this.#rung()
      own.wake()
      other.wake()
    }
    if (((found | foundDevice) & POLLNVAL) !== 0) throw new Error('the file descriptor has been closed')
    if ((found & POLLERR) !== 0) this.#source.handleError()
    return !this.#ended
  }

  /** Tap worker, after a sleep: reads the device again, unless the other worker does. */
  #resume(): void {
    this.#offered = false
    const read = this.#reads
    this.#reads = this.#reader === undefined || this.#reader.resume()
    if (this.#reads && !read) this.#sourceMayHave = true
  }

  /** Before a sleep: the tap worker lets the other one read the device, and that one begins to, if both are quiet. */
  #share(isQuiet: boolean): void {
    const reader = this.#reader
    if (reader === undefined || !this.mayShare) return
    if (this.#device !== undefined) {
      if (isQuiet && !this.#readsDevice) this.#readsDevice = reader.take()
      return
    }
    if (this.#reads && isQuiet) reader.offer()
    this.#offered = !this.#reads || isQuiet
  }

  #readDevice(): Progress {
    const device = this.#device
    if (device === undefined) return DONE
    const progress = device.fill(this.#otherRing)
    this.#giveBack(this.#quiet.turned(0, device.filledBytes))
    return progress
  }

  /**
   * Reads the device no more, if it has. Every turn comes here, so that V8 knows the way before it is needed.
   * @param isMuch more comes than one worker should serve
   */
  #giveBack(isMuch: boolean): void {
    if (!isMuch || !this.#readsDevice) return
    this.#readsDevice = false
    this.#reader?.giveBack()
    this.#otherBell.ring()
  }

  /**
   * How long to sleep. A worker that is not quiet looks after a while whether it has become so. One that must come back to
   * a ring sleeps only until the other worker has probably left it.
   */
  #restMs(idleMs: number): number {
    if (this.#own.owes || this.#other.owes) return OWED_POLL_MS
    if (this.#quiet.lasts) return idleMs
    return idleMs < 0 || idleMs > SILENCE_MS ? SILENCE_MS : idleMs
  }
}

/** One worker's part in draining a ring. Either worker may drain it, but only one at a time. */
class RingConsumer {
  /**
   * The sink accepts nothing more now. Until it does, this worker keeps the unsent batch and the ring's lock.
   */
  blocked = false
  /** It was woken while the other worker had the ring, so its sink may have frames of its own that can go. */
  owes = false
  readonly #ring: Ring
  readonly #sink: Sink

  constructor({ ring, sink }: Way) {
    this.#ring = ring
    this.#sink = sink
  }

  /** What it waits for; -1 if it is not blocked. */
  get blockedFd(): number {
    return this.blocked ? this.#sink.blockedFd : -1
  }

  /** Drains what is there, unless the other worker is draining it. */
  run(): void {
    while (this.blocked || ((this.owes || !this.#ring.isEmpty) && this.#ring.tryLock())) {
      this.#drain()
      if (this.blocked) return
    }
  }

  /**
   * Like {@link run}, but also if the ring is empty: the sink may have frames of its own, which may block too.
   */
  wake(): void {
    this.owes = true
    if (this.blocked || this.#ring.tryLock()) this.#drain()
  }

  #drain(): void {
    this.owes = false
    this.blocked = this.#sink.drain(this.#ring) === BLOCKED
    if (!this.blocked) this.#ring.unlock()
  }
}

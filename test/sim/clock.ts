import type { Clock, Timer } from '../../src/control/clock.js'

/** Something that is to happen at a simulated time. */
interface Event {
  readonly atMs: number
  /** Events of one time happen in the order in which they were asked for. */
  readonly order: number
  readonly work: () => void
  cancelled: boolean
}

/** Simulated time for a whole network. It goes on only in {@link pass}. */
export class SimTime {
  #nowMs = 0
  #order = 0
  /** A binary heap: the next event is the first. */
  readonly #events: Event[] = []

  /** Milliseconds since the simulation began. */
  get nowMs(): number {
    return this.#nowMs
  }

  at(atMs: number, work: () => void): Timer {
    const event = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, work, cancelled: false }
    this.#push(event)
    return {
      cancel() {
        event.cancelled = true
      },
    }
  }

  after(ms: number, work: () => void): Timer {
    return this.at(this.#nowMs + ms, work)
  }

  /** Resolves when `ms` milliseconds have passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Lets `ms` milliseconds pass, with all that happens in them; or less, once `until` is true. */
  async pass(ms: number, until: () => boolean = () => false): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    while (!until()) {
      const next = this.#events[0]
      if (next === undefined || next.atMs > endMs) {
        this.#nowMs = endMs
        return
      }
      this.#pop()
      if (next.cancelled) continue
      this.#nowMs = next.atMs
      next.work()
      await settle()
    }
  }

  #push(event: Event): void {
    const events = this.#events
    let at = events.length
    events.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(events[parent], event)) break
      events[at] = events[parent]
      at = parent
    }
    events[at] = event
  }

  #pop(): void {
    const events = this.#events
    const last = events.pop() as Event
    if (events.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= events.length) break
      if (child + 1 < events.length && isBefore(events[child + 1], events[child])) child++
      if (isBefore(last, events[child])) break
      events[at] = events[child]
      at = child
    }
    events[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/**
 * Resolves when all that promises have to do has been done, however long their chains are: Node.js empties the queue
 * of microtasks before it takes the next tick.
 */
function settle(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}

/** Sums of times may differ by so much, depending on the order of their summands. */
const ROUNDING_MS = 1e-6

/** A timer of {@link SimClock}: when it is due on the host's own clock. */
interface Pending {
  readonly dueMs: number
  readonly work: () => void
  event: Timer | undefined
}

/** How one host's clocks differ from simulated time. It outlives the host's processes. */
class Deviation {
  /** The calendar's time when the simulation began. */
  epochMs = Date.UTC(2026, 0, 1)
  /** How long the host has been suspended in all, without the present time. */
  sleptMs = 0
  /** Since when it is suspended. */
  suspendedMs: number | undefined
}

/**
 * The clock of one process of one host. The host's calendar may be set, and the host may be suspended: then nothing
 * happens on it, and what was due happens when it goes on, as much later as it has slept.
 */
export class SimClock implements Clock {
  readonly #time: SimTime
  readonly #deviation: Deviation
  readonly #timers = new Set<Pending>()
  #stopped = false

  constructor(time: SimTime, deviation = new Deviation()) {
    this.#time = time
    this.#deviation = deviation
  }

  /** The clock of the next process of the same host. */
  successor(): SimClock {
    return new SimClock(this.#time, this.#deviation)
  }

  nowMs(): number {
    const { sleptMs, suspendedMs } = this.#deviation
    return (suspendedMs ?? this.#time.nowMs) - sleptMs
  }

  bootMs(): number {
    return this.#time.nowMs
  }

  unixMs(): number {
    return this.#deviation.epochMs + this.#time.nowMs
  }

  /** Somebody sets the calendar on, or back. */
  step(ms: number): void {
    this.#deviation.epochMs += ms
  }

  get suspended(): boolean {
    return this.#deviation.suspendedMs !== undefined
  }

  suspend(): void {
    this.#deviation.suspendedMs ??= this.#time.nowMs
  }

  resume(): void {
    const { suspendedMs } = this.#deviation
    if (suspendedMs === undefined) return
    this.#deviation.sleptMs += this.#time.nowMs - suspendedMs
    this.#deviation.suspendedMs = undefined
    for (const pending of this.#timers) if (pending.event === undefined) this.#schedule(pending)
  }

  after(ms: number, work: () => void): Timer {
    // Node.js takes a time below one millisecond for one.
    const pending: Pending = { dueMs: this.nowMs() + Math.max(1, ms), work, event: undefined }
    if (!this.#stopped) {
      this.#timers.add(pending)
      this.#schedule(pending)
    }
    return {
      cancel: () => {
        pending.event?.cancel()
        this.#timers.delete(pending)
      },
    }
  }

  every(ms: number, work: () => void): Timer {
    let next: Timer
    const again = () => {
      next = this.after(ms, () => {
        again()
        work()
      })
    }
    again()
    return { cancel: () => next.cancel() }
  }

  /** The process is gone: nothing that it was waiting for happens any more. */
  stop(): void {
    this.#stopped = true
    for (const { event } of this.#timers) event?.cancel()
    this.#timers.clear()
  }

  /** How many timers run: for a test that nothing is left behind. */
  get running(): number {
    return this.#timers.size
  }

  #schedule(pending: Pending): void {
    pending.event = this.#time.after(pending.dueMs - this.nowMs(), () => this.#fire(pending))
  }

  #fire(pending: Pending): void {
    pending.event = undefined
    if (this.suspended) return
    if (this.nowMs() < pending.dueMs - ROUNDING_MS) {
      this.#schedule(pending)
      return
    }
    this.#timers.delete(pending)
    pending.work()
  }
}

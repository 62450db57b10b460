/** Something that happens later, once or repeatedly. */
export interface Timer {
  cancel(): void
}

/** Something that is to happen at a simulated time. */
interface Event {
  readonly atMs: number
  /** Events of one time happen in the order in which they were asked for. */
  readonly order: number
  readonly work: () => void
  cancelled: boolean
}

/** Turns of the microtask queue after each event: as many as the longest chain of promises in main needs. */
const SETTLE_TURNS = 8

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

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) await undefined
}

/** One host's clock: simulated time since its start, and a calendar that somebody may set. */
export class SimClock {
  readonly #time: SimTime
  readonly #startedMs: number
  /** The calendar's time when the simulation began. */
  #epochMs: number
  readonly #timers = new Set<Timer>()

  constructor(time: SimTime, epochMs = Date.UTC(2026, 0, 1)) {
    this.#time = time
    this.#startedMs = time.nowMs
    this.#epochMs = epochMs
  }

  nowMs(): number {
    return this.#time.nowMs - this.#startedMs
  }

  unixMs(): number {
    return this.#epochMs + this.#time.nowMs
  }

  /** Somebody sets the calendar on, or back. */
  step(ms: number): void {
    this.#epochMs += ms
  }

  after(ms: number, work: () => void): Timer {
    const inner = this.#time.after(ms, () => {
      this.#timers.delete(timer)
      work()
    })
    const timer = {
      cancel: () => {
        inner.cancel()
        this.#timers.delete(timer)
      },
    }
    this.#timers.add(timer)
    return timer
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

  /** The host is gone: nothing that it was waiting for happens any more. */
  stop(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
  }

  /** How many timers run: for a test that nothing is left behind. */
  get running(): number {
    return this.#timers.size
  }
}

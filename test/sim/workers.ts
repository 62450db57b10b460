import type { WorkerOptions, WorkerThreads } from '../../src/control/platform.js'
import type { NativeMemory } from '../../src/linux/memory.js'
import type { MemoryPlan } from '../../src/memory/plan.js'
import type { SimClock, SimTime } from './clock.js'
import { DataPath } from './data-path.js'
import type { SimSocket } from './data-socket.js'

/** How long the threads take until they carry frames, and a message or a bell from thread to thread. */
const START_MS = 50
const HAND_OVER_MS = 0.05

export interface SimWorkersOptions {
  readonly time: SimTime
  readonly clock: SimClock
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly socket: SimSocket
  readonly onFrame: (row: number, frame: Uint8Array) => void
  readonly onAnswer: (answer: Uint8Array) => void
}

/** Both workers of a simulated host. Main's bells and their news take a moment, as between threads. */
export class SimWorkers implements WorkerThreads {
  readonly died: Promise<Error>
  /** A worker ends with an error. */
  readonly kill: (error: Error) => void
  readonly #options: SimWorkersOptions
  #path: DataPath | undefined
  #look: () => void = () => {}
  #stopped = false
  #bell = false

  constructor(options: SimWorkersOptions) {
    let kill: (error: Error) => void = () => {}
    this.died = new Promise((resolve) => {
      kill = resolve
    })
    this.kill = kill
    this.#options = options
  }

  /** Undefined until the workers carry frames. */
  get path(): DataPath | undefined {
    return this.#path
  }

  onNews(look: () => void): void {
    this.#look = look
  }

  async start({ mode, keys }: WorkerOptions): Promise<void> {
    const { time, clock, memory, plan, socket, onFrame, onAnswer } = this.#options
    await time.sleep(START_MS)
    if (this.#stopped) return
    const path = new DataPath({
      memory,
      plan,
      mode,
      clock,
      keys,
      send: (datagram, name, mayFragment) => socket.send(datagram, name, mayFragment),
      tellMain: () => void time.after(HAND_OVER_MS, () => this.#stopped || this.#look()),
      onFrame,
      onAnswer,
    })
    this.#path = path
    socket.onDatagram((datagram, name) => path.receive(datagram, name))
  }

  /** Bells that ring before the workers come by count as one. */
  ring(): void {
    if (this.#bell) return
    this.#bell = true
    this.#options.time.after(HAND_OVER_MS, () => {
      this.#bell = false
      if (!this.#stopped) this.#path?.rung()
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#options.socket.onDatagram(() => {})
    await this.#options.time.sleep(HAND_OVER_MS)
  }

  /** The process is gone. */
  crash(): void {
    this.#stopped = true
  }
}

import { setFlagsFromString } from 'node:v8'
import { Piscina } from 'piscina'
import { Doorbell } from '../linux/eventfd.js'
import type { NativeMemory } from '../linux/memory.js'
import { StateWord } from '../memory/plan.js'
import type { WorkerMessage, WorkerRole, WorkerTask } from '../worker/task.js'
import type { Faults } from './faults.js'

export type WorkersOptions = Omit<WorkerTask, 'role' | 'memory' | 'tapBellFd' | 'udpBellFd'> & {
  readonly memory: NativeMemory
  /** Called when a worker has put something into a mailbox. */
  readonly onControl: () => void
  readonly faults: Faults
}

/**
 * How many bytes of bytecode V8 may copy into a function from the functions that it calls; V8's default is 920.
 * The data path is many small functions. A frame that comes alone finds cold caches, and pays for every place
 * where its code is.
 */
const INLINED_BYTECODE_BYTES = 2000

/** The worker threads: a pool with one thread for each role. Each runs one task until {@link Workers.stop}. */
export class Workers {
  /** Resolves with the reason when a worker ends that was not asked to. Never rejects. */
  readonly died: Promise<Error>
  readonly #memory: NativeMemory
  readonly #stopWord: number
  readonly #pool: Piscina
  readonly #bells: readonly Doorbell[]
  readonly #tasks: readonly Promise<void>[]

  private constructor(options: WorkersOptions, pool: Piscina, bells: { tap: Doorbell; udp: Doorbell }) {
    this.#memory = options.memory
    this.#stopWord = (options.plan.state >>> 2) + StateWord.stop
    this.#pool = pool
    this.#bells = [bells.tap, bells.udp]
    const { onControl: _, faults: __, ...shared } = options
    const task = (role: WorkerRole): Promise<void> =>
      pool.run({
        ...shared,
        role,
        memory: options.memory.memory,
        tapBellFd: bells.tap.fd,
        udpBellFd: bells.udp.fd,
      } satisfies WorkerTask)
    const tap = task('tap')
    const udp = task('udp')
    this.#tasks = [tap, udp]
    this.died = Promise.race([ending('tap', tap), ending('udp', udp)])
  }

  /** Starts the workers. Resolves when both are in their loops. @throws the reason if one of them is not */
  static async start(options: WorkersOptions): Promise<Workers> {
    setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTECODE_BYTES}`)
    const pool = new Piscina({
      filename: new URL('../worker/worker.js', import.meta.url).href,
      minThreads: 2,
      maxThreads: 2,
      concurrentTasksPerWorker: 1,
    })
    const bells = { tap: Doorbell.open(), udp: Doorbell.open() }
    const { faults } = options
    // If a worker ends, its task tells that. This is for errors without a task.
    pool.on('error', (error: unknown) => faults.take('worker', error))
    const waiting = new Set<WorkerRole>(['tap', 'udp'])
    const ready = new Promise<undefined>((resolve) => {
      pool.on('message', (message: WorkerMessage) => {
        if ('control' in message) {
          faults.run('worker', options.onControl)
          return
        }
        waiting.delete(message.ready)
        if (waiting.size === 0) resolve(undefined)
      })
    })
    const workers = new Workers(options, pool, bells)
    const failure = await Promise.race([ready, workers.died])
    if (failure === undefined) return workers
    await workers.stop()
    throw failure
  }

  /** Wakes both workers, so that they look at what has changed. */
  ring(): void {
    for (const bell of this.#bells) bell.ring()
  }

  /** Makes both workers leave their poll and return. Then ends their threads. */
  async stop(): Promise<void> {
    Atomics.store(this.#memory.i32, this.#stopWord, 1)
    this.ring()
    await Promise.allSettled(this.#tasks)
    await this.#pool.destroy()
    for (const bell of this.#bells) bell.close()
  }
}

async function ending(role: WorkerRole, task: Promise<void>): Promise<Error> {
  try {
    await task
    return new Error(`the ${role} worker has ended`)
  } catch (error) {
    return new Error(`the ${role} worker has ended: ${(error as Error).message}`, { cause: error })
  }
}

import { setFlagsFromString } from 'node:v8'
import { Piscina } from 'piscina'
import { Doorbell } from '../../linux/eventfd.js'
import { shareArenas } from '../../linux/free-memory.js'
import type { NativeMemory } from '../../linux/memory.js'
import { type SocketFamily, sockaddrLength } from '../../linux/sockaddr.js'
import { CryptoBell } from '../../memory/crypto-bell.js'
import type { MemoryPlan } from '../../memory/plan.js'
import { StateWords } from '../../memory/state-words.js'
import { programFile } from '../../package/files.js'
import type { CryptoTask, WorkerMessage, WorkerRole, WorkerTask } from '../../worker/task.js'
import { deferred } from '../deferred.js'
import type { Faults } from '../faults.js'
import type { WorkerOptions, WorkerThreads } from '../platform.js'

/**
 * How many bytes of bytecode V8 may copy into a function from the functions that it calls; V8's default is 920.
 * The data path is many small functions. A frame that comes alone finds cold caches, and pays for every place
 * where its code is.
 */
const INLINED_BYTECODE_BYTES = 2000

/** V8's young objects in a worker, in MB. The data path makes none, and the start of a thread makes few. */
const YOUNG_MB = 3

export interface WorkersContext {
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly socket: {
    readonly fd: number
    readonly flowFds: readonly number[]
    readonly family: SocketFamily
  }
  readonly faults: Faults
}

/**
 * The worker threads: a pool with one thread for each role, and one for each crypto worker. Each runs one task until
 * {@link Workers.stop}.
 */
export class Workers implements WorkerThreads {
  readonly died: Promise<Error>
  readonly #context: WorkersContext
  readonly #bells = { tap: Doorbell.open(), udp: Doorbell.open() }
  readonly #end: (reason: Error) => void
  #pool: Piscina | undefined
  #tasks: readonly Promise<void>[] = []
  #look: () => void = () => {}
  /** The device's fd. Must be set before {@link Workers.start}. */
  tapFd = -1

  constructor(context: WorkersContext) {
    this.#context = context
    const { promise, resolve } = deferred<Error>()
    this.died = promise
    this.#end = resolve
  }

  onNews(look: () => void): void {
    this.#look = look
  }

  async start({ mode, dsMask, relay, vxlan, keys, warmUp }: WorkerOptions): Promise<void> {
    setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTECODE_BYTES}`)
    shareArenas()
    const { memory, plan, socket, faults } = this.#context
    const threads = 2 + plan.cryptoWorkers.length
    const pool = new Piscina({
      filename: programFile('worker/worker.js').href,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    })
    this.#pool = pool
    // If a worker ends, its task tells that. This is for errors without a task.
    pool.on('error', (error: unknown) => faults.take('worker', error))
    const waiting = new Set<WorkerRole>(['tap', 'udp'])
    const ready = new Promise<undefined>((resolve) => {
      pool.on('message', (message: WorkerMessage) => {
        if ('control' in message) {
          faults.run('worker', this.#look)
          return
        }
        waiting.delete(message.ready)
        if (waiting.size === 0) resolve(undefined)
      })
    })
    const workers = (['tap', 'udp'] as const).map((role) => {
      const task = pool.run({
        mode,
        dsMask,
        relay,
        vxlan,
        keys,
        spread: plan.cryptoWorkers.length > 0,
        warmUp,
        plan,
        role,
        memory: memory.memory,
        tapFd: this.tapFd,
        udpFd: socket.fd,
        flowFds: socket.flowFds,
        sockaddrBytes: sockaddrLength(socket.family),
        tapBellFd: this.#bells.tap.fd,
        udpBellFd: this.#bells.udp.fd,
      } satisfies WorkerTask)
      void ending(`the ${role} worker`, task).then(this.#end)
      return task
    })
    const crypto = plan.cryptoWorkers.map((_, number) => {
      const task = pool.run({ memory: memory.memory, plan, number } satisfies CryptoTask, { name: 'help' })
      void ending('a crypto worker', task).then(this.#end)
      return task
    })
    this.#tasks = [...workers, ...crypto]
    const failure = await Promise.race([ready, this.died])
    if (failure !== undefined) throw failure
  }

  ring(): void {
    this.#bells.tap.ring()
    this.#bells.udp.ring()
  }

  /** Makes both workers leave their poll and return. Then ends their threads. */
  async stop(): Promise<void> {
    const { memory, plan } = this.#context
    new StateWords(memory, plan.state).stop()
    this.ring()
    new CryptoBell(memory, plan.cryptoBell).ring()
    await Promise.allSettled(this.#tasks)
    await this.#pool?.destroy()
  }

  close(): void {
    this.#bells.tap.close()
    this.#bells.udp.close()
  }
}

async function ending(who: string, task: Promise<void>): Promise<Error> {
  try {
    await task
    return new Error(`${who} has ended`)
  } catch (error) {
    return new Error(`${who} has ended: ${(error as Error).message}`, { cause: error })
  }
}

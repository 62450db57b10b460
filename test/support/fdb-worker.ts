/** A thread of test/unit/memory/fdb.test.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { NativeMemory } from '../../src/linux/memory.js'
import { FdbUpkeep } from '../../src/memory/fdb-upkeep.js'
import { FLOOD } from '../../src/memory/target.js'

export interface FdbTask {
  /**
   * `replace`: learns each address in turn at its port, then moves it to the last port; that port must be full,
   * so the address is forgotten. `find`: looks for the addresses. `learn`: learns random addresses at random
   * ports. `forget`: forgets the ports in turn, and advances the time.
   */
  readonly role: 'replace' | 'find' | 'learn' | 'forget'
  readonly memory: WebAssembly.Memory
  readonly peers: number
  /** The last four bytes of each. */
  readonly macs: readonly number[]
  readonly ports: readonly number[]
  readonly forMs: number
  /** Number of threads that are ready. They begin together. */
  readonly beginning: Int32Array
  readonly threads: number
}

export interface FdbTold {
  readonly done: number
  /** How often each address was found. */
  readonly found: readonly number[]
  readonly wrong: number
}

const HIGH = 0x025a
/** Between two looks at the clock. */
const ROUNDS = 100

const { role, memory, peers, macs, ports, forMs, beginning, threads } = workerData as FdbTask
const fdb = new FdbUpkeep(new NativeMemory(memory), 0, peers)
const found = macs.map(() => 0)
let done = 0
let wrong = 0

const any = (items: readonly number[]) => items[Math.floor(Math.random() * items.length)]

const work: Readonly<Record<typeof role, () => void>> = {
  replace() {
    const index = done % macs.length
    fdb.learn(HIGH, macs[index], ports[index])
    fdb.learn(HIGH, macs[index], ports[macs.length])
  },
  find() {
    const index = done % macs.length
    const port = fdb.find(HIGH, macs[index])
    if (port === ports[index]) found[index]++
    else if (port !== FLOOD) wrong++
  },
  learn() {
    fdb.learn(HIGH, any(macs), any(ports))
  },
  forget() {
    fdb.tick(done)
    fdb.forget(ports[done % ports.length])
  },
}

Atomics.add(beginning, 0, 1)
for (let here = 0; here < threads; here = Atomics.load(beginning, 0)) Atomics.wait(beginning, 0, here, 1)
for (const endMs = performance.now() + forMs; performance.now() < endMs; ) {
  for (let round = 0; round < ROUNDS; round++) {
    work[role]()
    done++
  }
}
parentPort?.postMessage({ done, found, wrong } satisfies FdbTold)

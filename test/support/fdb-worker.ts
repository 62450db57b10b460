/** A thread of test/unit/memory/fdb.test.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { NativeMemory } from '../../src/linux/memory.js'
import { Fdb } from '../../src/memory/fdb.js'
import { FLOOD } from '../../src/memory/target.js'

export interface FdbTask {
  /**
   * `replace`: has each address in turn learnt at its port, and forgotten by a move to the last port, which must
   * be full. `find`: looks for them. `learn`: learns addresses at ports, both by chance. `forget`: forgets ports
   * in turn, and lets time go by.
   */
  readonly role: 'replace' | 'find' | 'learn' | 'forget'
  readonly memory: WebAssembly.Memory
  readonly peers: number
  /** The last four bytes of each. */
  readonly macs: readonly number[]
  readonly ports: readonly number[]
  readonly forMs: number
  /** Counts the threads that have come to their beginning; they begin together. */
  readonly beginning: Int32Array
  readonly threads: number
}

export interface FdbTold {
  readonly done: number
  /** How often each was found. */
  readonly found: readonly number[]
  readonly wrong: number
}

const HIGH = 0x025a
/** Between looks at the clock. */
const ROUNDS = 100

const { role, memory, peers, macs, ports, forMs, beginning, threads } = workerData as FdbTask
const fdb = new Fdb(new NativeMemory(memory), 0, peers)
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

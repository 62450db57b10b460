/**
 * The reading thread of test/unit/memory/routes.test.ts. 10.0.0.7 and fd00::7 belong to peer 7 the whole time.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { NativeMemory } from '../../src/linux/memory.js'
import { Routes } from '../../src/memory/routes.js'
import { FLOOD } from '../../src/memory/target.js'

/** Offset of the tables. Before them is room for the addresses to look up. */
export const ROUTES_AT = 64

export interface RoutesTask {
  readonly memory: WebAssembly.Memory
  readonly limit: number
  readonly forMs: number
}

export interface RoutesTold {
  readonly done: number
  readonly wrong: number
}

const ADDRESS4 = 4
const ADDRESS6 = 16
const PEER = 7
const ROUNDS = 100

if (parentPort !== null) {
  const { memory: shared, limit, forMs } = workerData as RoutesTask
  const memory = new NativeMemory(shared)
  const routes = new Routes(memory, ROUTES_AT, limit)
  memory.u8.set([10, 0, 0, 7], ADDRESS4)
  memory.u8.set([0xfd, ...new Array<number>(14).fill(0), 7], ADDRESS6)
  let done = 0
  let wrong = 0
  let known = false
  for (const endMs = performance.now() + forMs; performance.now() < endMs; ) {
    for (let round = 0; round < ROUNDS; round++) {
      const [a, b] = [routes.find4(ADDRESS4), routes.find6(ADDRESS6)]
      if (a === PEER && b === PEER) known = true
      else if (known || (a !== FLOOD && a !== PEER) || (b !== FLOOD && b !== PEER)) wrong++
      done++
    }
  }
  parentPort.postMessage({ done, wrong } satisfies RoutesTold)
}

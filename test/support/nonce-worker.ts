/**
 * A thread that takes numbers for the keys in row 0 until it is told to stop, in the same way as the workers.
 * It records each number with the generation of its keys.
 */
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { NativeMemory } from '../../src/linux/memory.js'
import { KeypairTable } from '../../src/memory/keypair-table.js'

export interface NonceTask {
  readonly memory: WebAssembly.Memory
  readonly table: number
  /** Offset of a word: 1 to begin, 2 to stop. */
  readonly state: number
}

/** Packed ranges of numbers. Their order is by generation, then by first number. */
export type Taken = Float64Array

const pack = (generation: number, first: number, count: number) => (generation * 2 ** 32 + first) * 4 + count

export function unpack(range: number) {
  const rest = Math.floor(range / 4)
  return { generation: Math.floor(rest / 2 ** 32), first: rest % 2 ** 32, count: range % 4 }
}

if (!isMainThread) takeNumbers(workerData)

function takeNumbers(task: NonceTask): void {
  const memory = new NativeMemory(task.memory)
  const table = new KeypairTable(memory, task.table, 1, 1)
  const taken: number[] = []
  parentPort?.postMessage('ready')
  while (Atomics.load(memory.i32, task.state >>> 2) === 0);
  for (let turn = 1; Atomics.load(memory.i32, task.state >>> 2) === 1; turn++) {
    const generation = table.generation(0)
    if ((generation & 1) === 0) continue
    const count = 1 + (turn % 3)
    const number = table.take(0, generation, count)
    if (number >= 0) taken.push(pack(generation, number, count))
  }
  parentPort?.postMessage(Float64Array.from(taken))
}

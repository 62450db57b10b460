/** A thread that takes messages of a batch, and marks each: it adds one, and writes a number that follows from `at`. */
import { workerData } from 'node:worker_threads'
import { NativeMemory } from '../../src/linux/memory.js'
import { CryptoBatch, CryptoWord } from '../../src/memory/crypto-batch.js'
import { CryptoBell } from '../../src/memory/crypto-bell.js'

export interface BatchTask {
  readonly memory: WebAssembly.Memory
  readonly batch: number
  readonly bell: number
  readonly stop: number
  /** Every so many takes, it is slow: as if the scheduler had taken its processor away. */
  readonly slow: number
}

export function mark(memory: NativeMemory, batch: CryptoBatch, first: number, count: number): void {
  const { u32 } = memory
  for (let index = first; index < first + count; index++) {
    const entry = batch.entry(index)
    u32[entry + CryptoWord.opened]++
    u32[entry + CryptoWord.mark] = Math.imul(u32[entry + CryptoWord.at], 0x9e37_79b1) >>> 0
  }
}

function run(task: BatchTask): void {
  const memory = new NativeMemory(task.memory)
  const batch = new CryptoBatch(memory, task.batch)
  const bell = new CryptoBell(memory, task.bell)
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let takes = 1; ; ) {
    const { rings } = bell
    if (Atomics.load(memory.i32, task.stop >>> 2) !== 0) return
    for (let taken = batch.take(4); taken !== 0; taken = batch.take(4)) {
      if (takes++ % task.slow === 0) Atomics.wait(pause, 0, 0, 1)
      mark(memory, batch, taken >>> 10, taken & 1_023)
      batch.finish(taken & 1_023)
    }
    bell.sleep(rings)
  }
}

if (workerData !== null) run(workerData)

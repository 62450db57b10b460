import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Test } from 'tap'
import type { NativeMemory } from '../../src/linux/memory.js'
import { CryptoBell } from '../../src/memory/crypto-bell.js'
import type { MemoryPlan } from '../../src/memory/plan.js'
import { StateWords } from '../../src/memory/state-words.js'
import type { CryptoTask } from '../../src/worker/task.js'

/** Starts the crypto workers that a plan has room for. They end with the test. */
export async function startCryptoThreads(t: Test, memory: NativeMemory, plan: MemoryPlan): Promise<void> {
  const threads = plan.cryptoWorkers.map((_, number) => {
    const task: CryptoTask = { memory: memory.memory, plan, number }
    return new Worker(new URL('crypto-thread.js', import.meta.url), { workerData: task })
  })
  const ends = threads.map((thread) => once(thread, 'exit'))
  t.teardown(async () => {
    new StateWords(memory, plan.state).stop()
    new CryptoBell(memory, plan.cryptoBell).ring()
    await Promise.all(ends)
  })
  await Promise.all(threads.map((thread) => once(thread, 'message')))
}

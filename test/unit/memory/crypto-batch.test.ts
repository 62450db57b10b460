import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import {
  CRYPTO_BATCH_BYTES,
  CRYPTO_BATCH_MESSAGES,
  CryptoBatch,
  CryptoWord,
} from '../../../src/memory/crypto-batch.js'
import { CRYPTO_BELL_BYTES, CryptoBell } from '../../../src/memory/crypto-bell.js'
import { type BatchTask, mark } from '../../support/crypto-batch-thread.js'

t.test('whoever takes and whenever they are done, each message is taken once', async () => {
  const memory = NativeMemory.allocate(CRYPTO_BATCH_BYTES)
  const owner = new CryptoBatch(memory, 0)
  const property = fc.property(
    fc.integer({ min: 1, max: CRYPTO_BATCH_MESSAGES }),
    fc.array(fc.record({ most: fc.integer({ min: 1, max: 9 }), later: fc.nat(3) }), { minLength: 1 }),
    (count, steps) => {
      owner.count = 0
      for (let i = 0; i < count; i++) owner.add()
      owner.publish()
      const seen = new Set<number>()
      const inHand: number[] = []
      for (let step = 0; ; step++) {
        const { most, later } = steps[step % steps.length]
        const taken = owner.take(most)
        for (let i = taken >>> 10; i < (taken >>> 10) + (taken & 1_023); i++) {
          if (seen.has(i) || i >= count) return false
          seen.add(i)
        }
        if (taken !== 0) inHand.push(taken & 1_023)
        if (inHand.length > 0 && owner.isDone) return false
        while (inHand.length > (taken === 0 ? 0 : later)) owner.finish(inHand.shift() ?? 0)
        if (taken === 0) break
      }
      return seen.size === count && owner.isDone && !owner.isLeft
    },
  )
  fc.assert(property, { numRuns: 1_000 })
})

t.test('four threads and the owner: each message is done once, and before the owner goes on', async (t) => {
  const bell = CRYPTO_BATCH_BYTES
  const stop = bell + CRYPTO_BELL_BYTES
  const memory = NativeMemory.allocate(stop + 64)
  const batch = new CryptoBatch(memory, 0)
  const own = new CryptoBell(memory, bell)
  const threads = [50, 70, 1_000, 1_000].map((slow) => {
    const task: BatchTask = { memory: memory.memory, batch: 0, bell, stop, slow }
    return new Worker(new URL('../../support/crypto-batch-thread.js', import.meta.url), { workerData: task })
  })
  const ends = threads.map((thread) => once(thread, 'exit'))
  await Promise.all(threads.map((thread) => once(thread, 'online')))
  let wrong = 0
  let byOthers = 0
  const { u32 } = memory
  for (let round = 0; round < 4_000; round++) {
    batch.count = 0
    const count = 1 + ((round * 37) % CRYPTO_BATCH_MESSAGES)
    for (let i = 0; i < count; i++) {
      const entry = batch.add()
      u32[entry + CryptoWord.at] = round * CRYPTO_BATCH_MESSAGES + i
      u32[entry + CryptoWord.opened] = 0
    }
    batch.publish()
    own.ring()
    let mine = 0
    // In some rounds the owner leaves all to the others.
    while (round % 3 !== 0 || !batch.isLeft) {
      const taken = batch.take(4)
      if (taken === 0) break
      mine += taken & 1_023
      mark(memory, batch, taken >>> 10, taken & 1_023)
      batch.finish(taken & 1_023)
    }
    byOthers += count - mine
    while (!batch.sleep());
    for (let i = 0; i < count; i++) {
      const at = round * CRYPTO_BATCH_MESSAGES + i
      if (batch.word(i, CryptoWord.opened) !== 1) wrong++
      if (batch.word(i, CryptoWord.mark) !== Math.imul(at, 0x9e37_79b1) >>> 0) wrong++
    }
  }
  Atomics.store(memory.i32, stop >>> 2, 1)
  own.ring()
  await Promise.all(ends)
  t.equal(wrong, 0)
  t.ok(byOthers > 100_000, `others did ${byOthers}`)
})

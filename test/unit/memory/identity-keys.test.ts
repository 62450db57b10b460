import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { Epoch } from '../../../src/memory/epoch.js'
import { IDENTITY_KEYS_BYTES, IdentityKeys } from '../../../src/memory/identity-keys.js'
import { byteOf, type Followed, type IdentityTask } from '../../support/identity-worker.js'

const STATE = 0
const END = 64
const KEYS = 128
const VERSIONS = 2_000

t.test('a thread that follows never has keys of two versions, and misses none', async (t) => {
  const memory = NativeMemory.allocate(KEYS + IDENTITY_KEYS_BYTES)
  const task: IdentityTask = { memory: memory.memory, state: STATE, keys: KEYS, end: END }
  const thread = new Worker(new URL('../../support/identity-worker.js', import.meta.url), {
    workerData: task,
  })
  await once(thread, 'message')
  const keys = new IdentityKeys(memory, KEYS)
  const epoch = new Epoch(memory, STATE)
  for (let version = 1; version <= VERSIONS; version++) {
    const key = new Uint8Array(32).fill(byteOf(version))
    keys.publish(key, key)
    const number = epoch.advance()
    while (!epoch.hasPassed(number)) await new Promise(setImmediate)
  }
  const ended = once(thread, 'message') as Promise<[Followed]>
  Atomics.store(memory.i32, END >>> 2, 1)
  const [followed] = await ended
  t.same(followed, { versions: VERSIONS, torn: 0 })
  await thread.terminate()
})

t.test('the copy of the version before stays as it is', async (t) => {
  const memory = NativeMemory.allocate(IDENTITY_KEYS_BYTES)
  const keys = new IdentityKeys(memory, 0)
  const at = (offset: number) => [memory.u8[offset], memory.u8[offset + 31]]
  for (const byte of [1, 2, 3])
    keys.publish(new Uint8Array(32).fill(byte), new Uint8Array(32).fill(byte + 10))
  t.same([keys.version, at(keys.mac1(3)), at(keys.cookie(3))], [3, [3, 3], [13, 13]])
  t.same(
    [at(keys.mac1(2)), at(keys.cookie(2))],
    [
      [2, 2],
      [12, 12],
    ],
  )
})

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { SharedKeypairs } from '../../../src/control/private/keypairs.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { KeypairTable, keypairTableBytes, NUMBER_LIMIT } from '../../../src/memory/keypair-table.js'
import { type NonceTask, type Taken, unpack } from '../../support/nonce-worker.js'

const TABLE = 64
const key = (byte: number) => new Uint8Array(32).fill(byte)

function makeTable(rows: number, peers: number) {
  const memory = NativeMemory.allocate(TABLE + keypairTableBytes(rows, peers))
  return { memory, table: new KeypairTable(memory, TABLE, rows, peers) }
}

t.test('a row is found by its index alone, and no longer when it has been released', async (t) => {
  const { memory, table } = makeTable(4, 2)
  t.equal(table.keyRowOf(0), -1)
  const index = 0xabcd_0002
  table.reserve(2, index, 1)
  t.equal(table.keyRowOf(index), 2)
  t.equal(table.keyRowOf(0xabce_0002), -1)
  t.equal(table.keyRowOf(2), -1)
  t.notOk(table.isEstablished(2))
  table.establish(2, 0xffff_ffff, key(1), key(2), 180_000.5)
  t.ok(table.isEstablished(2))
  t.equal(table.row(2), 1)
  t.equal(table.remoteIndex(2), 0xffff_ffff)
  t.equal(memory.u8[table.sendKey(2)], 1)
  t.equal(memory.u8[table.receiveKey(2) + 31], 2)
  t.equal(table.overMs(2), 180_000.5)
  t.equal(table.sealingKeyRow(1), -1)
  table.sealWith(1, 2)
  t.equal(table.sealingKeyRow(1), 2)
  const generation = table.generation(2)
  t.ok(table.confirm(2, generation))
  t.notOk(table.confirm(2, generation))
  t.ok(table.isConfirmed(2))
  table.release(2)
  t.equal(table.keyRowOf(index), -1)
  t.notOk(table.isEstablished(2))
  t.notOk(table.isConfirmed(2))
  table.reserve(2, index, 0)
  table.establish(2, 1, key(3), key(4), Number.POSITIVE_INFINITY)
  table.confirm(2, generation)
  t.notOk(table.isConfirmed(2), 'what was opened with the keys before says nothing of these')
  t.ok(table.confirm(2, table.generation(2)))
  table.release(2)
  t.ok(memory.u8.subarray(table.sendKey(2), table.sendKey(2) + 64).every((byte) => byte === 0))
})

t.test('numbers end before they could begin anew', async (t) => {
  const { memory, table } = makeTable(1, 1)
  table.reserve(0, 1, 0)
  table.establish(0, 1, key(1), key(2), 180_000.5)
  const generation = table.generation(0)
  t.equal(table.take(0, generation, 3), 0)
  t.equal(table.take(0, generation, 1), 3)
  t.equal(table.taken(0), 4)
  const word = memory.i32.indexOf(4, TABLE >>> 2)
  memory.i32[word] = (NUMBER_LIMIT - 2) | 0
  t.equal(table.take(0, generation, 2), NUMBER_LIMIT - 2)
  for (let i = 0; i < 10_000; i++) if (table.take(0, generation, 1024) !== -1) t.fail('beyond the limit')
  t.equal(memory.i32[word] >>> 0, NUMBER_LIMIT)
  t.equal(table.take(0, generation + 1, 1), -1)
})

t.test('threads that take numbers while keys change under their hands never get one twice', async (t) => {
  const { memory, table } = makeTable(1, 1)
  const state = 0
  const task: NonceTask = { memory: memory.memory, table: TABLE, state }
  const threads = Array.from(
    { length: 4 },
    () => new Worker(new URL('../../support/nonce-worker.js', import.meta.url), { workerData: task }),
  )
  await Promise.all(threads.map((thread) => once(thread, 'message')))
  Atomics.store(memory.i32, state, 1)
  const endMs = performance.now() + 500
  while (performance.now() < endMs) {
    table.reserve(0, 1, 0)
    table.establish(0, 1, key(1), key(2), 180_000.5)
    await sleep(Math.random() < 0.5 ? 0 : 5)
    table.release(0)
  }
  const results = threads.map((thread) => once(thread, 'message') as Promise<[Taken]>)
  Atomics.store(memory.i32, state, 2)
  const all: number[] = []
  for (const [taken] of await Promise.all(results)) {
    t.ok(taken.length > 300, 'each thread had some')
    for (const range of taken) all.push(range)
  }
  const ranges = Float64Array.from(all).sort()
  let twice = 0
  for (let i = 1; i < ranges.length; i++) {
    const [before, after] = [unpack(ranges[i - 1]), unpack(ranges[i])]
    if (before.generation === after.generation && before.first + before.count > after.first) twice++
  }
  t.equal(twice, 0)
  t.comment(`${ranges.length} times taken, of ${table.generation(0) / 2} keys`)
})

t.test('main seals nothing with keys that are over, though it has not wiped them yet', async (t) => {
  const { memory, table } = makeTable(4, 1)
  let nowMs = 1_000
  const random = (bytes: number) => new Uint8Array(bytes).fill(1)
  const keypairs = new SharedKeypairs(
    memory,
    table,
    [],
    random,
    () => nowMs,
    () => {},
  )
  const index = keypairs.reserve(0) ?? 0
  keypairs.establish(index, 7, { send: Buffer.from(key(1)), receive: Buffer.from(key(2)) }, 181_000)
  keypairs.sealWith(0, index)
  nowMs = 180_999
  t.not(keypairs.seal(0, new Uint8Array(0)), undefined)
  nowMs = 181_000
  t.equal(keypairs.seal(0, new Uint8Array(0)), undefined)
})

/** A thread that follows the identity's keys as the udp worker does, and counts those that are not of one version. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { NativeMemory } from '../../src/linux/memory.js'
import { Epoch } from '../../src/memory/epoch.js'
import { IdentityKeys } from '../../src/memory/identity-keys.js'
import { MacKeys } from '../../src/worker/inbound/mac-keys.js'

export interface IdentityTask {
  readonly memory: WebAssembly.Memory
  /** Offsets of the words of the epoch, and of the keys. */
  readonly state: number
  readonly keys: number
  /** Offset of a word that is 1 when the thread must end. */
  readonly end: number
}

export interface Followed {
  readonly versions: number
  /** How often not all 64 bytes were of the last version. */
  readonly torn: number
}

/** What all bytes of a version's keys are. */
export const byteOf = (version: number) => version % 251

if (!isMainThread) follow(workerData)

function follow({ memory: shared, state, keys, end }: IdentityTask): void {
  const memory = new NativeMemory(shared)
  const epoch = new Epoch(memory, state)
  const published = new IdentityKeys(memory, keys)
  let versions = 0
  let torn = 0
  const setKeys = (mac1: number, cookie: number) => {
    versions++
    const byte = byteOf(published.version)
    // Slowly, so that a write in the middle is seen.
    for (let turn = 0; turn < 20; turn++)
      for (let i = 0; i < 32; i++)
        if (memory.u8[mac1 + i] !== byte || memory.u8[cookie + i] !== byte) {
          torn++
          return
        }
  }
  const macs = new MacKeys(published, { setKeys })
  parentPort?.postMessage('ready')
  while (Atomics.load(memory.i32, end >>> 2) === 0) {
    const asked = epoch.now
    macs.follow()
    epoch.acknowledge('udp', asked)
    epoch.acknowledge('tap', asked)
  }
  parentPort?.postMessage({ versions, torn } satisfies Followed)
}

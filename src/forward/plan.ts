import { COUNTER_BLOCK_BYTES } from './counters.js'
import { peerTableBytes } from './peers.js'
import { ringBytes } from './ring.js'

/** Where everything lies in the one shared memory. Offsets in bytes, multiples of 64. */
export interface MemoryPlan {
  readonly bytes: number
  /** Control words, i32 each: see {@link StateWord}. */
  readonly state: number
  readonly peers: number
  readonly ringDataBytes: number
  /** Tap to network. */
  readonly outbound: number
  /** Network to tap. */
  readonly inbound: number
  readonly tap: WorkerPlan
  readonly udp: WorkerPlan
}

export interface WorkerPlan {
  readonly counters: number
  /** Memory of the worker's own, for what it hands to the kernel beside the frames. */
  readonly scratch: number
}

/** Words of the state area, each written by main alone. */
export const StateWord = { stop: 0, acceptAny: 1 } as const

/** Bytes of each worker's scratch. */
export const SCRATCH_BYTES = 64 * 1024

export function planMemory(ringDataBytes: number, peers: number): MemoryPlan {
  let next = 0
  const take = (bytes: number) => {
    const at = next
    next += (bytes + 63) & -64
    return at
  }
  const worker = () => ({ counters: take(COUNTER_BLOCK_BYTES), scratch: take(SCRATCH_BYTES) })
  const state = take(64)
  const peerTable = take(peerTableBytes(peers))
  const tap = worker()
  const udp = worker()
  const outbound = take(ringBytes(ringDataBytes))
  const inbound = take(ringBytes(ringDataBytes))
  return { bytes: next, state, peers: peerTable, ringDataBytes, outbound, inbound, tap, udp }
}

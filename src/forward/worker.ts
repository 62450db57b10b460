/** What a worker thread runs: one call, which returns when the worker has been stopped. */
import { parentPort } from 'node:worker_threads'
import { Doorbell } from '../linux/eventfd.js'
import { NativeMemory } from '../linux/memory.js'
import type { DeviceMode } from '../wire/mode.js'
import { counterBlock } from './counters.js'
import { runLoop } from './loop.js'
import { PeerTable } from './peers.js'
import type { MemoryPlan } from './plan.js'
import type { Port } from './port.js'
import { Ring } from './ring.js'
import { Scratch } from './scratch.js'
import { TapPort } from './tap-port.js'
import { UdpPort } from './udp-port.js'

export type WorkerRole = 'tap' | 'udp'

/** All of it survives a structured clone: the memory is shared, not copied. */
export interface WorkerTask {
  readonly role: WorkerRole
  readonly memory: WebAssembly.Memory
  readonly plan: MemoryPlan
  readonly mode: DeviceMode
  readonly tapFd: number
  readonly udpFd: number
  readonly tapBellFd: number
  readonly udpBellFd: number
  readonly sockaddrBytes: number
  readonly maxFrameBytes: number
}

/** Posted to main once, right before the loop begins. */
export interface WorkerReady {
  readonly ready: WorkerRole
}

export default function work(task: WorkerTask): void {
  const { plan } = task
  const memory = new NativeMemory(task.memory)
  const own = plan[task.role]
  const scratch = new Scratch(memory, own.scratch)
  const counters = counterBlock(memory, own.counters)
  const tapBell = new Doorbell(task.tapBellFd)
  const udpBell = new Doorbell(task.udpBellFd)
  const outbound = new Ring(memory, plan.outbound, plan.ringDataBytes, {
    producer: tapBell,
    consumer: udpBell,
  })
  const inbound = new Ring(memory, plan.inbound, plan.ringDataBytes, { producer: udpBell, consumer: tapBell })
  const common = { scratch, counters, state: plan.state }
  const ready: WorkerReady = { ready: task.role }
  parentPort?.postMessage(ready)
  if (task.role === 'tap') {
    const port = new TapPort(task.tapFd, scratch, counters)
    runLoop({ ...common, port, out: outbound, in: inbound, bell: tapBell, otherBell: udpBell })
  } else {
    const port = udpPort(task, memory, scratch, counters)
    runLoop({ ...common, port, out: inbound, in: outbound, bell: udpBell, otherBell: tapBell })
  }
}

function udpPort(task: WorkerTask, memory: NativeMemory, scratch: Scratch, counters: Float64Array): Port {
  const { udpFd: fd, mode, sockaddrBytes, maxFrameBytes, plan } = task
  const peers = new PeerTable(memory, plan.peers)
  const options = { fd, mode, sockaddrBytes, maxFrameBytes, peers, state: plan.state }
  return new UdpPort(options, scratch, counters)
}

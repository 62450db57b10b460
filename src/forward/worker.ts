/** What a worker thread runs: one call, which returns when the worker has been stopped. */
import { parentPort } from 'node:worker_threads'
import { Doorbell } from '../linux/eventfd.js'
import { NativeMemory } from '../linux/memory.js'
import { byteOperations } from '../offload/bytes.js'
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.js'
import type { DeviceMode } from '../wire/mode.js'
import { ControlQueue } from './control-queue.js'
import { counterBlock } from './counters.js'
import { Fdb } from './fdb.js'
import type { Forwarding } from './forwarding.js'
import { runLoop } from './loop.js'
import { Offloads } from './offloads.js'
import { peerCounterBlock } from './peer-counters.js'
import { PeerTable } from './peers.js'
import { type MemoryPlan, StateWord } from './plan.js'
import { Relay } from './relay.js'
import { Ring } from './ring.js'
import { Router } from './router.js'
import { Routes } from './routes.js'
import { Scratch } from './scratch.js'
import { StormLimit } from './storm.js'
import { Switch } from './switch.js'
import { TapSink } from './tap-sink.js'
import { TapSource } from './tap-source.js'
import { UdpSink } from './udp-sink.js'
import { UdpSource } from './udp-source.js'

export type WorkerRole = 'tap' | 'udp'

/** All of it survives a structured clone: the memory is shared, not copied. */
export interface WorkerTask {
  readonly role: WorkerRole
  readonly memory: WebAssembly.Memory
  readonly plan: MemoryPlan
  readonly mode: DeviceMode
  /** Whether frames are passed on between peers. */
  readonly relay: boolean
  readonly tapFd: number
  readonly udpFd: number
  readonly tapBellFd: number
  readonly udpBellFd: number
  readonly sockaddrBytes: number
}

/** Posted to main: once, right before the loop begins; and when there is something in the control queue. */
export type WorkerMessage = { readonly ready: WorkerRole } | { readonly control: true }

export default function work(task: WorkerTask): void {
  const { plan, tapFd, udpFd, sockaddrBytes } = task
  const memory = new NativeMemory(task.memory)
  const scratch = new Scratch(memory, plan[task.role].scratch)
  const counters = counterBlock(memory, plan[task.role].counters)
  const tapBell = new Doorbell(task.tapBellFd)
  const udpBell = new Doorbell(task.udpBellFd)
  const { outbound: o, inbound: i } = plan
  const outbound = new Ring(memory, o.at, o.dataBytes, tapBell)
  const inbound = new Ring(memory, i.at, i.dataBytes, udpBell)
  const bytes = byteOperations(memory)
  const peers = new PeerTable(memory, plan.peers, plan.peerRows)
  const peerCounters = peerCounterBlock(memory, plan[task.role].peerCounters, plan.peerRows)
  const offloads = new Offloads(memory, plan.offloads)
  const l2Bytes = task.mode === 'tap' ? ETHERNET_HEADER_BYTES : 0
  const forwarding = makeForwarding(memory, task)
  const sending = { fd: udpFd, sockaddrBytes, peers, peerCounters, offloads }
  const udpSink = new UdpSink({ ...sending, l2Bytes, forwarding }, scratch, bytes, counters)
  const relay = task.relay ? new Relay(sending, scratch, counters) : undefined
  const control = new ControlQueue(memory, plan.control, plan.state + StateWord.controlTold * 4)
  const tellMain = () => parentPort?.postMessage({ control: true } satisfies WorkerMessage)
  const writing = { fd: tapFd, l2Bytes, offloads, peerCounters, forwarding, relay, control, tellMain }
  const tapSink = new TapSink(writing, scratch, bytes, counters)
  const outboundWay = { ring: outbound, sink: udpSink }
  const inboundWay = { ring: inbound, sink: tapSink }
  const common = { scratch, counters, state: plan.state }
  parentPort?.postMessage({ ready: task.role } satisfies WorkerMessage)
  if (task.role === 'tap') {
    const source = new TapSource(tapFd, scratch, counters)
    runLoop({ ...common, source, own: outboundWay, other: inboundWay, bell: tapBell, otherBell: udpBell })
  } else {
    const source = new UdpSource({ fd: udpFd, peers, peerCounters, state: plan.state }, scratch, counters)
    runLoop({ ...common, source, own: inboundWay, other: outboundWay, bell: udpBell, otherBell: tapBell })
  }
}

function makeForwarding(memory: NativeMemory, { mode, plan, relay }: WorkerTask): Forwarding {
  const routes = new Routes(memory, plan.routes, plan.routeLimit)
  if (mode === 'tun') return new Router(memory, routes)
  const fdb = new Fdb(memory, plan.fdb, plan.peerRows)
  const storm = new StormLimit(memory, plan.storm)
  return new Switch(memory, { fdb, addresses: routes, storm, relay })
}

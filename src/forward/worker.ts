/** What a worker thread runs: one call, which returns when the worker has been stopped. */
import { parentPort } from 'node:worker_threads'
import { Doorbell } from '../linux/eventfd.js'
import { NativeMemory } from '../linux/memory.js'
import { type ByteOperations, byteOperations } from '../offload/bytes.js'
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.js'
import type { DeviceMode } from '../wire/mode.js'
import { ControlQueue } from './control-queue.js'
import { counterBlock } from './counters.js'
import { Epoch } from './epoch.js'
import { Fdb } from './fdb.js'
import type { Forwarding } from './forwarding.js'
import { Loop } from './loop.js'
import { Offloads } from './offloads.js'
import { Passage } from './passage.js'
import { PathLimits } from './path-limits.js'
import { peerCounterBlock } from './peer-counters.js'
import { PeerTable } from './peers.js'
import { type MemoryPlan, StateWord, type TunnelPlan } from './plan.js'
import { PrivateParts } from './private-parts.js'
import { Relay } from './relay.js'
import { Ring } from './ring.js'
import { Router } from './router.js'
import { Routes } from './routes.js'
import { Scratch } from './scratch.js'
import type { SenderOptions } from './sender.js'
import { StormLimit } from './storm.js'
import { Switch } from './switch.js'
import { TapSink } from './tap-sink.js'
import { TapSource } from './tap-source.js'
import { UdpSink } from './udp-sink.js'
import { UdpSource } from './udp-source.js'
import { WarmUp } from './warm-up.js'

/** How long a worker sleeps between two slices of warming up: others have work, too. */
const WARM_UP_REST_MS = 1

export type WorkerRole = 'tap' | 'udp'

/** All of it survives a structured clone: the memory is shared, not copied. */
export interface WorkerTask extends LoopTask {
  readonly memory: WebAssembly.Memory
  readonly plan: MemoryPlan
}

/** What one worker's loop is made of. */
export interface LoopTask {
  readonly role: WorkerRole
  readonly plan: TunnelPlan
  readonly mode: DeviceMode
  /** Whether frames are passed on between peers. */
  readonly relay: boolean
  readonly tapFd: number
  readonly udpFd: number
  readonly tapBellFd: number
  readonly udpBellFd: number
  readonly sockaddrBytes: number
  /** Of mac1 in messages to this end, 32 bytes; undefined where the tunnel is not private. */
  readonly mac1Key?: Uint8Array | undefined
}

/** Posted to main: once, right before the loop begins; and when there is something in the control queue. */
export type WorkerMessage = { readonly ready: WorkerRole } | { readonly control: true }

/**
 * A worker's life, its first idle moments spent on warming up. Returns when main says stop and rings.
 * @throws Error when an fd is of no more use
 */
export default function work(task: WorkerTask): void {
  const memory = new NativeMemory(task.memory)
  const bytes = byteOperations(memory)
  const loop = assemble(task, memory, bytes)
  const warmUp = new WarmUp(memory, task, (small) => assemble(small, memory, bytes))
  parentPort?.postMessage({ ready: task.role } satisfies WorkerMessage)
  try {
    while (!loop.ended) {
      loop.run(warmUp.done ? -1 : WARM_UP_REST_MS)
      if (!warmUp.done && !loop.ended) warmUp.slice()
    }
  } finally {
    warmUp.close()
  }
}

/** One function for all that call it, so that V8 may rely on it. */
const tellMain = () => parentPort?.postMessage({ control: true } satisfies WorkerMessage)

/** @param calls system calls, for a test to come between */
export function assemble(
  task: LoopTask,
  memory: NativeMemory,
  bytes: ByteOperations,
  calls: Pick<SenderOptions, 'sendmmsg'> = {},
): Loop {
  const { plan, tapFd, udpFd, sockaddrBytes } = task
  const scratch = new Scratch(memory, plan[task.role].scratch)
  const counters = counterBlock(memory, plan[task.role].counters)
  const tapBell = new Doorbell(task.tapBellFd)
  const udpBell = new Doorbell(task.udpBellFd)
  const { outbound: o, inbound: i } = plan
  const outbound = new Ring(memory, o.at, o.dataBytes, tapBell)
  const inbound = new Ring(memory, i.at, i.dataBytes, udpBell)
  const peers = new PeerTable(memory, plan.peers, plan.peerRows)
  const peerCounters = peerCounterBlock(memory, plan[task.role].peerCounters, plan.peerRows)
  const offloads = new Offloads(memory, plan.offloads)
  const l2Bytes = task.mode === 'tap' ? ETHERNET_HEADER_BYTES : 0
  const { state } = plan
  const limits = new PathLimits(memory, plan.pathLimits)
  const passage = new Passage(
    { limits, udpFd, sockaddrBytes, tapFd, l2Bytes, state },
    scratch,
    bytes,
    counters,
  )
  const forwarding = makeForwarding(memory, task)
  const control = new ControlQueue(memory, plan.control, state + StateWord.controlTold * 4)
  const privateParts =
    task.mac1Key &&
    new PrivateParts({ task, mac1Key: task.mac1Key, scratch, peers, limits, bytes, control, tellMain })
  const sending = { ...calls, fd: udpFd, sockaddrBytes, peers, peerCounters, offloads, passage }
  const sealing = privateParts?.forDevice()
  const udpSink = new UdpSink({ ...sending, sealing, l2Bytes, forwarding, state }, scratch, bytes, counters)
  const relaying = { ...sending, sealing: privateParts?.forRelay() }
  const relay = task.relay ? new Relay(relaying, scratch, counters) : undefined
  const writing = { fd: tapFd, l2Bytes, offloads, peerCounters, forwarding, relay, control, tellMain, state }
  const tapSink = new TapSink(writing, scratch, bytes, counters)
  const outboundWay = { ring: outbound, sink: udpSink }
  const inboundWay = { ring: inbound, sink: tapSink }
  const stop = (state >>> 2) + StateWord.stop
  const epoch = new Epoch(memory, state)
  const rung = () => {
    const asked = epoch.now
    if (privateParts !== undefined) {
      privateParts.sweep()
      udpSink.keysChanged()
    }
    // What is in hand is of no record that is waited for where the ring is empty: it has waited for keys.
    if (!udpSink.holds || !outbound.isEmpty) epoch.acknowledge(task.role, asked)
    return Atomics.load(memory.i32, stop) !== 0
  }
  const common = { scratch, counters, rung }
  if (task.role === 'tap') {
    const source = new TapSource(tapFd, scratch, counters)
    const ways = { own: outboundWay, other: inboundWay }
    return new Loop({ ...common, ...ways, source, bell: tapBell, otherBell: udpBell })
  }
  const onTooBig = (peer: number, mtuBytes: number) => {
    limits.hint(peer, mtuBytes)
    if (control.mustTell()) tellMain()
  }
  const opener = privateParts?.makeOpener(counters, peerCounters)
  const options = { fd: udpFd, peers, peerCounters, state, onTooBig, opener }
  const source = new UdpSource(options, scratch, counters)
  const ways = { own: inboundWay, other: outboundWay }
  return new Loop({ ...common, ...ways, source, bell: udpBell, otherBell: tapBell })
}

function makeForwarding(memory: NativeMemory, { mode, plan, relay }: LoopTask): Forwarding {
  const routes = new Routes(memory, plan.routes, plan.routeLimit)
  if (mode === 'tun') return new Router(memory, routes)
  const fdb = new Fdb(memory, plan.fdb, plan.peerRows)
  const storm = new StormLimit(memory, plan.storm)
  return new Switch(memory, { fdb, addresses: routes, storm, relay })
}

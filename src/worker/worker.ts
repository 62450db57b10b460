/** What a worker thread runs: one call, which returns when the worker has been stopped. */
import { parentPort } from 'node:worker_threads'
import { type Encap, encapFor } from '../encap/encap.js'
import { Doorbell } from '../linux/eventfd.js'
import { freeMemory } from '../linux/free-memory.js'
import { NativeMemory } from '../linux/memory.js'
import { AccessRules } from '../memory/access-rules.js'
import { counterBlock } from '../memory/counters.js'
import { DeviceReader } from '../memory/device-reader.js'
import { Drops } from '../memory/drops.js'
import { Epoch } from '../memory/epoch.js'
import { Fdb } from '../memory/fdb.js'
import { Flows } from '../memory/flows.js'
import { Mailbox } from '../memory/mailbox.js'
import { Offloads } from '../memory/offloads.js'
import { PathLimits } from '../memory/path-limits.js'
import { peerCounterBlock } from '../memory/peer-counters.js'
import { PeerTable } from '../memory/peer-table.js'
import { StateWord } from '../memory/plan.js'
import { Pulse } from '../memory/pulse.js'
import { Ring } from '../memory/ring.js'
import { Routes } from '../memory/routes.js'
import { StateWords } from '../memory/state-words.js'
import { StormLimit } from '../memory/storm-limit.js'
import { Stranger } from '../memory/stranger.js'
import { type ByteOperations, byteOperations } from '../offload/bytes.js'
import { RelayBatch } from './inbound/relay-batch.js'
import { TapSink } from './inbound/tap-sink.js'
import { UdpSource } from './inbound/udp-source.js'
import { Loop } from './loop.js'
import { PathPolicy } from './outbound/path-policy.js'
import { Relay } from './outbound/relay.js'
import type { SenderOptions } from './outbound/sender.js'
import { TapSource } from './outbound/tap-source.js'
import { UdpSink } from './outbound/udp-sink.js'
import { PrivateParts } from './private-parts.js'
import { Scratch } from './scratch.js'
import type { Forwarding } from './switching/forwarding.js'
import { Guard } from './switching/guard.js'
import { Router } from './switching/router.js'
import { Switch } from './switching/switch.js'
import type { LoopTask, WorkerMessage, WorkerTask } from './task.js'
import { WarmUp } from './warm-up.js'

/** How long a worker sleeps between two slices of warm-up, so that other threads can run. */
const WARM_UP_REST_MS = 1

/**
 * A worker's life. Its first idle moments go to the warm-up, unless the settings turn that off. Returns when main sets the stop word and rings.
 * @throws Error if an fd is no longer usable
 */
export default function work(task: WorkerTask): void {
  const memory = new NativeMemory(task.memory)
  const bytes = byteOperations(memory)
  const loop = assemble(task, memory, bytes)
  const warmUp = new WarmUp(memory, task, (small) => assemble(small, memory, bytes))
  if (!task.warmUp) warmUp.close()
  parentPort?.postMessage({ ready: task.role } satisfies WorkerMessage)
  try {
    while (!loop.ended) {
      loop.mayShare = warmUp.done
      loop.run(warmUp.done ? -1 : WARM_UP_REST_MS)
      if (warmUp.done || loop.ended) continue
      warmUp.slice()
      if (warmUp.done) freeMemory()
    }
  } finally {
    warmUp.close()
  }
}

export { help } from './crypto/crypto-worker.js'

/** One function for all callers, so that V8 can optimise the call. */
const tellMain = () => parentPort?.postMessage({ control: true } satisfies WorkerMessage)

const nothing = () => {}

/** @param calls system calls that a test may replace */
export function assemble(
  task: LoopTask,
  memory: NativeMemory,
  bytes: ByteOperations,
  calls: Pick<SenderOptions, 'sendmmsg'> = {},
): Loop {
  const { plan, tapFd, udpFd, flowFds, sockaddrBytes } = task
  const scratch = new Scratch(memory, plan[task.role].scratch)
  const counters = counterBlock(memory, plan[task.role].counters)
  const tapBell = new Doorbell(task.tapBellFd)
  const udpBell = new Doorbell(task.udpBellFd)
  const { outbound: o, inbound: i } = plan
  const outbound = new Ring(memory, o.at, o.dataBytes, tapBell)
  const inbound = new Ring(memory, i.at, i.dataBytes, udpBell)
  const peers = new PeerTable(memory, plan.peers, plan.peerRows)
  const peerCounters = peerCounterBlock(memory, plan[task.role].peerCounters, plan.peerRows)
  const drops = new Drops(counters, peerCounters)
  const offloads = new Offloads(memory, plan.offloads)
  const encap = encapFor(task.mode, task.keys !== undefined, task.vxlan?.vni)
  const { state } = plan
  const words = new StateWords(memory, state)
  const limits = new PathLimits(memory, plan.pathLimits)
  const pathPolicy = new PathPolicy(
    { limits, sockaddrBytes, tapFd, encap, words, drops },
    scratch,
    bytes,
    counters,
  )
  const forwarding = makeForwarding(memory, task, encap)
  const control = new Mailbox(memory, plan.control, state + StateWord.controlTold * 4)
  const privateParts =
    task.keys &&
    new PrivateParts({
      task,
      keys: task.keys,
      scratch,
      peers,
      limits,
      encap,
      bytes,
      control,
      counters,
      tellMain,
    })
  const sending = {
    ...calls,
    fds: [udpFd, ...flowFds],
    sockaddrBytes,
    encap,
    dsMask: task.dsMask,
    peers,
    peerCounters,
    drops,
    offloads,
    pathPolicy,
  }
  const sealing = privateParts?.forDevice()
  const udpSink = new UdpSink({ ...sending, sealing, forwarding, words }, scratch, bytes, counters)
  const relaying = { ...sending, sealing: privateParts?.forRelay() }
  const relay = task.relay ? new Relay(relaying, scratch, counters) : undefined
  const writing = {
    fd: tapFd,
    encap,
    offloads,
    peers,
    peerCounters,
    drops,
    forwarding,
    relay,
    control,
    tellMain,
    words,
  }
  const tapSink = new TapSink(writing, scratch, bytes, counters)
  const outboundWay = { ring: outbound, sink: udpSink }
  const inboundWay = { ring: inbound, sink: tapSink }
  const epoch = new Epoch(memory, state)
  const pulse = new Pulse(memory, state)
  const rung = () => {
    pulse.answer(task.role)
    const asked = epoch.now
    if (privateParts !== undefined) {
      privateParts.rung()
      udpSink.keysChanged()
    }
    // If the outbound ring is empty, an unsent batch belongs to no record: its frames had waited for keys. Main
    // cannot wait for it by waiting for the ring. So the number is repeated only after the batch has been sent.
    if (!udpSink.holds || !outbound.isEmpty) epoch.acknowledge(task.role, asked)
    return words.stopped
  }
  const woke = privateParts === undefined ? nothing : () => privateParts.woke()
  const common = { scratch, counters, woke, rung, reader: new DeviceReader(memory, state) }
  const device = new TapSource(tapFd, scratch, counters)
  if (task.role === 'tap') {
    const source = device
    const ways = { own: outboundWay, other: inboundWay }
    return new Loop({ ...common, ...ways, source, bell: tapBell, otherBell: udpBell })
  }
  const opener = privateParts?.makeOpener(
    counters,
    peerCounters,
    drops,
    new RelayBatch(sending, scratch, counters),
  )
  const options = {
    fd: udpFd,
    sockaddrBytes,
    peers,
    stranger: new Stranger(memory, plan.stranger),
    peerCounters,
    drops,
    encap,
    sum: bytes.sum,
    words,
    port: task.vxlan?.port,
    opener,
    tellMain: () => {
      if (control.mustTell()) tellMain()
    },
  }
  const source = new UdpSource(options, scratch, counters)
  const ways = { own: inboundWay, other: outboundWay }
  return new Loop({ ...common, ...ways, source, device, bell: udpBell, otherBell: tapBell })
}

function makeForwarding(memory: NativeMemory, { plan, relay, keys }: LoopTask, encap: Encap): Forwarding {
  const forwarding = makeUnguarded(memory, { plan, relay }, encap)
  if (keys === undefined) return forwarding
  const rules = new AccessRules(memory, plan.accessRules)
  const flows = new Flows(memory, plan.flows, plan.peerRows)
  return new Guard(memory, { inner: forwarding, rules, flows, byPacket: !encap.ethernet })
}

function makeUnguarded(
  memory: NativeMemory,
  { plan, relay }: Pick<LoopTask, 'plan' | 'relay'>,
  encap: Encap,
): Forwarding {
  const routes = new Routes(memory, plan.routes, plan.routeLimit)
  if (!encap.ethernet) return new Router(memory, routes, new Routes(memory, plan.heirs, plan.routeLimit))
  const fdb = new Fdb(memory, plan.fdb, plan.peerRows)
  const storm = new StormLimit(memory, plan.storm)
  const peers = new PeerTable(memory, plan.peers, plan.peerRows)
  return new Switch(memory, { fdb, addresses: routes, storm, peers, relay })
}

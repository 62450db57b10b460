import type { NativeMemory } from '../../src/linux/memory.js'
import { C, counterBlock } from '../../src/memory/counters.js'
import { Drops } from '../../src/memory/drops.js'
import { Epoch } from '../../src/memory/epoch.js'
import { Mailbox } from '../../src/memory/mailbox.js'
import { NAME_BYTES } from '../../src/memory/name.js'
import { PathLimits } from '../../src/memory/path-limits.js'
import { P, PEER_STRIDE, peerCounterBlock } from '../../src/memory/peer-counters.js'
import { PeerTable } from '../../src/memory/peer-table.js'
import { type MemoryPlan, StateWord } from '../../src/memory/plan.js'
import { Routes } from '../../src/memory/routes.js'
import { StateWords } from '../../src/memory/state-words.js'
import { Stranger } from '../../src/memory/stranger.js'
import { DEVICE, dropCounterOf } from '../../src/memory/target.js'
import { isControl } from '../../src/wire/control.js'
import type { DeviceMode } from '../../src/wire/mode.js'
import { RELAY_HEADER_BYTES } from '../../src/wire/relay.js'
import { PADDING_BYTES, TRANSPORT_HEADER_BYTES, TRANSPORT_OVERHEAD_BYTES } from '../../src/wire/wireguard.js'
import { Scratch } from '../../src/worker/scratch.js'
import { Router } from '../../src/worker/switching/router.js'
import type { HandshakeKeys } from '../../src/worker/task.js'
import type { SimClock } from './clock.js'
import { Outbound } from './outbound.js'
import { makePrivateParts, type PrivateParts } from './private-parts.js'

/** Room for the longest datagram. */
const DATAGRAM_BYTES = 65_536

export interface DataPathOptions {
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly mode: DeviceMode
  readonly clock: SimClock
  /** Undefined if the tunnel is not private. */
  readonly keys: HandshakeKeys | undefined
  /**
   * Sends a datagram to a name. @param mayFragment whether it may go in fragments
   * @returns 0, or the errno
   */
  readonly send: (datagram: Uint8Array, name: Uint8Array, mayFragment: boolean) => number
  readonly tellMain: () => void
  /** Takes the frames that come from the peers for the device. */
  readonly onFrame: (row: number, frame: Uint8Array) => void
  /** Takes what the device gets as answers to frames that are too long. */
  readonly onAnswer: (answer: Uint8Array) => void
}

/**
 * What both workers do, for one frame at a time and without a kernel: the same tables, keys, mailboxes, limits and
 * counters in the same memory. In mode tun it has their router, too. There are no rings, no switch and no offloads.
 */
export class DataPath {
  readonly #options: DataPathOptions
  readonly #peers: PeerTable
  readonly #stranger: Stranger
  readonly #control: Mailbox
  readonly #words: StateWords
  readonly #epoch: Epoch
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array
  readonly #drops: Drops
  /** Only in mode tun. */
  readonly #router: Router | undefined
  readonly #private: PrivateParts | undefined
  readonly #outbound: Outbound
  /** Offsets of a received datagram, and of the name that it is from. */
  readonly #datagram: number
  readonly #name: number
  /** How often main has rung. */
  rings = 0

  constructor(options: DataPathOptions) {
    const { memory, plan } = options
    const { state } = plan
    const scratch = new Scratch(memory, plan.udp.scratch)
    this.#options = options
    this.#peers = new PeerTable(memory, plan.peers, plan.peerRows)
    this.#stranger = new Stranger(memory, plan.stranger)
    this.#control = new Mailbox(memory, plan.control, state + StateWord.controlTold * 4)
    this.#words = new StateWords(memory, state)
    this.#epoch = new Epoch(memory, state)
    this.#counters = counterBlock(memory, plan.udp.counters)
    this.#peerCounters = peerCounterBlock(memory, plan.udp.peerCounters, plan.peerRows)
    this.#drops = new Drops(this.#counters, this.#peerCounters)
    this.#datagram = scratch.take(DATAGRAM_BYTES)
    this.#name = scratch.take(NAME_BYTES)
    const { keys, mode, tellMain } = options
    const limits = new PathLimits(memory, plan.pathLimits)
    const common = { peers: this.#peers, limits, scratch }
    const telling = { tellOfKeys: this.#tell, tellOfHandshakes: tellMain }
    this.#private = keys && makePrivateParts({ ...options, ...common, ...telling, keys })
    const routes = new Routes(memory, plan.routes, plan.routeLimit)
    const heirs = new Routes(memory, plan.heirs, plan.routeLimit)
    this.#router = mode === 'tun' ? new Router(memory, routes, heirs) : undefined
    this.#outbound = new Outbound({
      ...options,
      ...common,
      words: this.#words,
      counters: this.#counters,
      peerCounters: this.#peerCounters,
      router: this.#router,
      parts: this.#private,
    })
  }

  /** Main has rung. */
  rung(): void {
    this.rings++
    const asked = this.#epoch.now
    const parts = this.#private
    if (parts !== undefined) {
      parts.look()
      parts.keyring.sweep()
      parts.follow()
      this.#outbound.leaveWaiting()
    }
    this.#epoch.acknowledge('tap', asked)
    this.#epoch.acknowledge('udp', asked)
  }

  /** A datagram has come from a name. */
  receive(datagram: Uint8Array, name: Uint8Array): void {
    const { u8 } = this.#options.memory
    u8.set(name, this.#name)
    u8.set(datagram, this.#datagram)
    const bytes = datagram.length
    const parts = this.#private
    if (parts !== undefined) this.#receivePrivate(parts, bytes)
    else this.#receivePlain(bytes)
  }

  #receivePrivate(parts: PrivateParts, bytes: number): void {
    const { view } = this.#options.memory
    if (bytes === 0) this.#counters[C.dropEmpty]++
    else if (bytes > this.#longestFrame + TRANSPORT_OVERHEAD_BYTES + PADDING_BYTES + RELAY_HEADER_BYTES)
      this.#counters[C.dropOversize]++
    else {
      parts.look()
      const any = parts.opener.open(this.#datagram, bytes, bytes, this.#name)
      parts.opener.flush()
      if (!any) return
      const frameBytes = view.getUint32(this.#datagram, true)
      const row = view.getUint32(this.#datagram + 4, true)
      this.#take(row, this.#datagram + TRANSPORT_HEADER_BYTES, frameBytes)
    }
  }

  #receivePlain(bytes: number): void {
    const row = this.#sender()
    if (row < 0) {
      this.#counters[C.dropForeign]++
      this.#stranger.note(this.#name)
      return
    }
    if (!this.#peers.speaksTo(row, this.#name) && this.#peers.noteLocal(row, this.#name)) this.#tell()
    const at = row * PEER_STRIDE
    if (bytes === 0 || bytes > this.#longestFrame) {
      this.#counters[bytes === 0 ? C.dropEmpty : C.dropOversize]++
      this.#peerCounters[at + P.droppedInbound]++
      return
    }
    this.#counters[C.receivedFrames]++
    this.#counters[C.receivedBytes] += bytes
    this.#peerCounters[at + P.receivedFrames]++
    this.#peerCounters[at + P.receivedBytes] += bytes
    this.#take(row, this.#datagram, bytes)
  }

  #sender(): number {
    const row = this.#peers.find(this.#name)
    return row >= 0 ? row : this.#words.acceptAny
  }

  #take(row: number, frame: number, bytes: number): void {
    const { memory, mode, onFrame } = this.#options
    if (!isControl(memory.view, frame, bytes, mode === 'tap')) {
      this.#router?.begin()
      const target = this.#router?.fromPeer(frame, bytes, row) ?? DEVICE
      if (target === DEVICE) onFrame(row, memory.u8.slice(frame, frame + bytes))
      else this.#drops.inbound(dropCounterOf(target), row, 1)
      return
    }
    if (!this.#control.put(frame, bytes, row)) this.#counters[C.dropControlFull]++
    this.#tell()
  }

  readonly #tell = () => {
    if (this.#control.mustTell()) this.#options.tellMain()
  }

  /** Mode tap: the host sends a frame to the peer of a row. */
  offer(row: number, frame: Uint8Array): void {
    this.#outbound.offer(row, frame)
  }

  /** Mode tun: the host sends a packet. */
  route(packet: Uint8Array): void {
    this.#outbound.route(packet)
  }

  get #longestFrame(): number {
    return this.#words.maxFrameBytes
  }
}

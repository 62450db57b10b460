import type { Encap } from '../../encap/encap.js'
import type { NativeMemory } from '../../linux/memory.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import { NAME } from '../../memory/name.js'
import type { Offloads } from '../../memory/offloads.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { dsField } from '../../offload/ds-field.js'
import type { Segmenter } from '../../offload/segment.js'
import { RELAY_HEADER_BYTES } from '../../wire/relay.js'
import { VXLAN_HEADER_BYTES, writeVxlan } from '../../wire/vxlan.js'
import type { RelayHeaders } from '../relay-headers.js'
import type { Scratch } from '../scratch.js'
import { Delivery, type DeliveryOptions } from './delivery.js'
import { FlowSocket } from './flow-socket.js'
import { FRAGMENTED, type PathPolicy, REFUSED } from './path-policy.js'
import type { Sealer } from './sealer.js'
import { outerOf, SendBatch } from './send-batch.js'
import type { GivenUp, Leaver, WaitingFrames } from './waiting-frames.js'

/** What seals a private tunnel's frames before they are sent. */
export interface Sealing {
  readonly sealer: Sealer
  /** Where frames wait for keys. If undefined, frames without keys are dropped. */
  readonly waitingFrames: WaitingFrames | undefined
  /** For peers that are reached by way of an introducer. If undefined, frames for those are dropped. */
  readonly relayHeaders: RelayHeaders | undefined
}

export interface SenderOptions extends DeliveryOptions {
  /** Length of a socket address of the socket's family. */
  readonly sockaddrBytes: number
  readonly encap: Encap
  /** Bits of the DS field (`wire/ecn.ts`) that a datagram's header takes from the packet in it. */
  readonly dsMask: number
  readonly peers: PeerTable
  readonly offloads: Offloads
  /** Only if the tunnel is private. */
  readonly sealing?: Sealing | undefined
}

/**
 * Puts frames together into a batch of messages to peers, in a private tunnel sealed, and sends the batch.
 * Only the sender touches the batch.
 */
export class Sender {
  readonly #memory: NativeMemory
  readonly #batch: SendBatch
  readonly #delivery: Delivery
  readonly #peers: PeerTable
  readonly #offloads: Offloads
  readonly #udpSegment: number
  readonly #pathPolicy: PathPolicy
  readonly #sealer: Sealer | undefined
  readonly #waitingFrames: WaitingFrames | undefined
  readonly #relayHeaders: RelayHeaders | undefined
  readonly #drops: Drops
  readonly #l2Bytes: number
  readonly #dsMask: number
  /** Undefined if all goes by one socket. */
  readonly #flowSocket: FlowSocket | undefined
  /** VXLAN's network, -1 if there is none; and the bytes of its header, or 0. */
  readonly #vni: number
  readonly #vxlanBytes: number
  /** Whether the batch's datagrams may be fragmented. */
  #fragmented = false
  /** Whether the kernel is believed to take runs (`UDP_SEGMENT`). */
  #segments = true
  /**
   * The messages of a flood: the first one, and the end of those for its first peer; -1 while that may grow.
   */
  #floodFirst = 0
  #floodEnd = -1
  readonly #givenUp: GivenUp = (row) => this.#drops.outbound(C.dropNoKeypair, row, 1)
  readonly #leaver: Leaver = (frame, bytes, row) => this.#leave(frame, bytes, row)
  readonly #isGone = (row: number) => !this.#peers.inUse(row)

  constructor(options: SenderOptions, scratch: Scratch, counters: Float64Array) {
    this.#memory = scratch.memory
    this.#batch = new SendBatch(scratch, options.sockaddrBytes)
    this.#delivery = new Delivery(this.#batch, options, counters)
    this.#peers = options.peers
    this.#offloads = options.offloads
    this.#udpSegment = options.offloads.wordOf('udp_segment')
    this.#pathPolicy = options.pathPolicy
    this.#sealer = options.sealing?.sealer
    this.#waitingFrames = options.sealing?.waitingFrames
    this.#relayHeaders = options.sealing?.relayHeaders
    this.#drops = options.drops
    this.#l2Bytes = options.encap.l2Bytes
    this.#dsMask = options.dsMask
    const flowSockets = options.fds.length - 1
    this.#flowSocket = flowSockets === 0 ? undefined : new FlowSocket(scratch.memory.view, flowSockets)
    this.#vni = options.encap.vni ?? -1
    this.#vxlanBytes = this.#vni < 0 ? 0 : VXLAN_HEADER_BYTES
  }

  /** Whether each message is sealed for its peer, and so cannot go to another peer. */
  get seals(): boolean {
    return this.#sealer !== undefined
  }

  /** Whether nothing waits to be sent. */
  get isEmpty(): boolean {
    return this.#batch.count === 0
  }

  /** The socket that {@link flush} waits for, if it has returned false. */
  get blockedFd(): number {
    return this.#delivery.nextFd
  }

  /** Whether the batch must be sent before another frame can be added. */
  get full(): boolean {
    return this.#batch.full
  }

  /** Messages that may still be added. */
  get room(): number {
    return this.#batch.room
  }

  /** Whether the sealer has room for a frame of `bytes`. The batch's own room is not checked here. */
  fits(bytes: number): boolean {
    return this.#sealer === undefined || this.#sealer.fits(bytes)
  }

  /**
   * Whether frames of this sort, fragmented or not, may join the batch. An empty batch takes on the sort that
   * is asked for.
   * @param runs whether the next frames may be joined into runs
   */
  opens(fragmented: boolean, runs: boolean): boolean {
    if (this.#batch.count === 0) {
      this.#fragmented = fragmented
      this.#segments = !fragmented && this.#offloads.isSet(this.#udpSegment)
    }
    this.#batch.segments = this.#segments && runs
    return this.#fragmented === fragmented
  }

  /**
   * Adds a frame that fits, for one peer. Unless the tunnel is private, the frame must stay unchanged until
   * {@link flush}. With VXLAN, the header is written to the bytes before the frame, which nobody may need any more.
   */
  addFrame(frame: number, bytes: number, row: number): void {
    const sealer = this.#sealer
    const outer = this.#outerOf(frame, bytes)
    if (sealer === undefined) {
      const more = this.#vxlanBytes
      if (more !== 0) writeVxlan(this.#memory.view, frame - more, this.#vni)
      this.#batch.addFrame(frame - more, bytes + more, row, this.#peers.address(row), outer)
      return
    }
    sealer.expect(1)
    sealer.copy(sealer.frame, frame, bytes)
    this.#seal(sealer, bytes, row, this.#peers.address(row), outer)
  }

  /**
   * Adds segments of the super-frame that the segmenter has taken up, for one peer: from number `first` on,
   * as many as fit and begin no more than `room` messages.
   * @returns the number of the first segment that was not added
   */
  addSegments(segmenter: Segmenter, first: number, row: number, room: number): number {
    const batch = this.#batch
    const name = this.#peers.address(row)
    const limit = batch.count + room
    const { count, longestBytes, frame } = segmenter
    const outer = this.#outerOf(frame, longestBytes)
    this.#sealer?.expect(count - first)
    let segment = first
    while (segment < count && !batch.full && batch.count < limit && this.fits(longestBytes))
      this.#addSegment(segmenter, segment++, row, name, outer)
    return segment
  }

  #addSegment(segmenter: Segmenter, segment: number, row: number, name: number, outer: number): void {
    const { headerBytes } = segmenter
    const payload = segmenter.payloadOffset(segment)
    const payloadBytes = segmenter.payloadBytes(segment)
    const sealer = this.#sealer
    if (sealer === undefined) {
      const slot = this.#batch.headerSlot
      const more = this.#vxlanBytes
      if (more !== 0) writeVxlan(this.#memory.view, slot, this.#vni)
      segmenter.writeHeader(segment, slot + more)
      this.#batch.addSegment(more + headerBytes, payload, payloadBytes, row, name, outer)
      return
    }
    segmenter.writeHeader(segment, sealer.frame)
    sealer.copy(sealer.frame + headerBytes, payload, payloadBytes)
    this.#seal(sealer, headerBytes + payloadBytes, row, name, outer)
  }

  /**
   * Begins a flood. What is added next, for one peer, can then be repeated for others. Not in a private tunnel,
   * because there each message is for its peer only.
   */
  beginFlood(): void {
    this.#batch.close()
    this.#floodFirst = this.#batch.count
    this.#floodEnd = -1
  }

  /** Adds the flood's messages for another peer. False if there is no room for all of them. */
  repeat(row: number): boolean {
    const batch = this.#batch
    const first = this.#floodFirst
    if (this.#floodEnd < 0) this.#floodEnd = batch.count
    if (batch.room < this.#floodEnd - first) return false
    batch.repeat(first, this.#floodEnd, row, this.#peers.address(row))
    return true
  }

  /** No frame joins the flood's messages. */
  endFlood(): void {
    this.#batch.close()
  }

  /**
   * Seals the frame that is in the sealer, and adds it to the batch in one piece. Without keys the frame waits.
   */
  #seal(sealer: Sealer, bytes: number, row: number, name: number, outer: number): void {
    const sealed = sealer.seal(row, bytes)
    if (sealed > 0) this.#add(sealer, sealed, row, name, outer)
    else if (this.#waitingFrames?.put(sealer.frame, bytes, row, performance.now(), this.#givenUp) !== true) {
      this.#givenUp(row)
    }
  }

  /**
   * Sends the frames that waited for keys and have keys now. Call it with an empty batch, when there may be new
   * keys.
   * @returns false if the send buffer is full and worth waiting for, as {@link flush} does
   */
  sendWaiting(): boolean {
    const room = this.#waitingFrames
    if (room === undefined || room.empty) return true
    // A batch has either fragmented datagrams or others, so there may be more than one.
    do {
      room.leave(this.#leaver, performance.now(), this.#givenUp)
      if (this.isEmpty) return true
    } while (this.flush())
    return false
  }

  /** Drops the frames that wait for keys to peers that no longer exist. */
  dropGone(): void {
    const room = this.#waitingFrames
    if (room !== undefined && !room.empty) room.giveUp(this.#isGone, this.#givenUp)
  }

  #leave(frame: number, bytes: number, row: number): boolean {
    const sealer = this.#sealer
    if (sealer === undefined || this.#batch.full || !sealer.fits(bytes)) return false
    const passing = this.#pathPolicy.judge(row, bytes, frame, bytes)
    if (passing === REFUSED) {
      this.#pathPolicy.refuse(row, frame, bytes, bytes, 1)
      return true
    }
    if (!this.opens(passing === FRAGMENTED, this.#pathPolicy.takesRuns(row))) return false
    sealer.expect(1)
    sealer.copy(sealer.frame, frame, bytes)
    const sealed = sealer.seal(row, bytes)
    if (sealed === 0) return false
    this.#add(sealer, sealed, row, this.#peers.address(row), this.#outerOf(frame, bytes))
    return true
  }

  /** Adds the message that was sealed last, directly or by way of an introducer. */
  #add(sealer: Sealer, bytes: number, row: number, name: number, outer: number): void {
    const via = this.#memory.u32[(name + NAME.via) >>> 2]
    if (via === 0) this.#batch.addFrame(sealer.message, bytes, row, name, outer)
    else if (this.#relayHeaders?.toIntroducer(via - 1, row, this.#batch.headerSlot) === true)
      this.#addRelayed(sealer.message, bytes, row, this.#peers.address(via - 1), outer)
    else {
      this.#givenUp(row)
      return
    }
    sealer.keep(bytes)
  }

  #addRelayed(message: number, bytes: number, row: number, name: number, outer: number): void {
    this.#batch.addSegment(RELAY_HEADER_BYTES, message, bytes, row, name, outer)
  }

  /** {@link outerOf} the datagram that a frame becomes. */
  #outerOf(frame: number, bytes: number): number {
    const flowSocket = this.#flowSocket
    const field = dsField(this.#memory.view, frame, bytes, this.#l2Bytes) & this.#dsMask
    return flowSocket === undefined ? field : outerOf(field, flowSocket.of(frame, bytes))
  }

  /** Sends the rest of the batch. False if the send buffer is full and worth waiting for. */
  flush(): boolean {
    if (this.#batch.count === 0) return true
    this.#sealer?.finish()
    if (!this.#delivery.send(this.#fragmented)) return false
    this.#sealer?.clear()
    return true
  }

  /** Sends what can be sent now, and drops the rest. */
  flushOrDrop(): void {
    if (this.flush()) return
    this.#delivery.giveUp()
    this.#sealer?.clear()
  }
}

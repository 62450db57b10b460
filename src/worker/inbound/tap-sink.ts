import type { Encap } from '../../encap/encap.js'
import { EBADFD, EINVAL, EIO } from '../../linux/errno.js'
import { lastErrno, writev } from '../../linux/libc.js'
import { iovec, virtio_net_hdr } from '../../linux/structs.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import type { Mailbox } from '../../memory/mailbox.js'
import type { Offloads } from '../../memory/offloads.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { Records, SEALED } from '../../memory/record.js'
import type { Ring } from '../../memory/ring.js'
import type { StateWords } from '../../memory/state-words.js'
import { dropCounterOf, FILTERED, FLOOD } from '../../memory/target.js'
import type { ByteOperations } from '../../offload/bytes.js'
import { takeEcn } from '../../offload/ds-field.js'
import { Joiner, type JoinTarget } from '../../offload/join.js'
import { clampMss } from '../../offload/mss.js'
import { Unfilled } from '../../offload/unfilled.js'
import { Rates } from '../../rates.js'
import { isControl } from '../../wire/control.js'
import { marksInner } from '../../wire/ecn.js'
import { ETHERNET_HEADER_BYTES } from '../../wire/ethernet.js'
import { looksLikeIp } from '../../wire/ip.js'
import { isKernelProbe } from '../../wire/kernel-probe.js'
import { VXLAN_HEADER_BYTES, vniOf } from '../../wire/vxlan.js'
import type { Relay } from '../outbound/relay.js'
import { DONE, MORE, type Progress, type Sink } from '../port.js'
import type { Scratch } from '../scratch.js'
import type { Forwarding } from '../switching/forwarding.js'

/**
 * Control frames that go on to main from one peer: per second, and in a burst. A peer in bad hands could otherwise keep
 * main busy, and fill the queue, which all peers share. A burst of the longest introductions fills a half of it. An honest
 * end sends two hellos a second by itself, a hundred more for each person who pings, and 32 introductions in a burst.
 */
const CONTROL_PER_SECOND = 1_000
const CONTROL_BURST = 64

export interface TapSinkOptions {
  readonly fd: number
  readonly encap: Encap
  readonly offloads: Offloads
  readonly peers: PeerTable
  readonly peerCounters: Float64Array
  readonly drops: Drops
  readonly forwarding: Forwarding
  /** On a hub: passes frames on to other peers. */
  readonly relay: Relay | undefined
  readonly control: Mailbox
  /** Wakes main. Called only if main has not been told since it last looked into `control`. */
  readonly tellMain: () => void
  readonly words: StateWords
  /** The system call; a test may replace it. */
  readonly writev?: typeof writev
}

/**
 * Writes to the device the frames from the network that are for this side. It joins runs of a flow's segments
 * into super-frames. On a hub it passes frames for other peers on, one by one and unchanged.
 */
export class TapSink implements Sink, JoinTarget {
  readonly fd: number
  readonly blockedFd: number
  readonly #l2Bytes: number
  readonly #ethernet: boolean
  /** Bytes of a message before the frame in it. */
  readonly #headerBytes: number
  /** Whether a program in the other end's kernel may have sent a frame. */
  readonly #mayProbe: boolean
  /** VXLAN's network, -1 if there is none. */
  readonly #vni: number
  readonly #peers: PeerTable
  readonly #unfilled: Unfilled
  readonly #unfilledAddress: bigint
  readonly #offloads: Offloads
  readonly #deviceTso: number
  readonly #deviceUso: number
  readonly #peerCounters: Float64Array
  readonly #drops: Drops
  readonly #forwarding: Forwarding
  readonly #relay: Relay | undefined
  readonly #control: Mailbox
  readonly #controlRates: Rates
  readonly #tellMain: () => void
  /** One says how long the frames of TCP connections may become (MSS clamping). */
  readonly #words: StateWords
  readonly #writev: typeof writev
  readonly #counters: Float64Array
  readonly #scratch: Scratch
  readonly #records: Records
  readonly #joiner: Joiner
  readonly #joinedAddress: bigint
  /** Two `struct iovec`: an empty `virtio_net_hdr`, and a frame. */
  readonly #iov: number
  readonly #iovAddress: bigint
  #joins = true

  constructor(options: TapSinkOptions, scratch: Scratch, bytes: ByteOperations, counters: Float64Array) {
    const { memory } = scratch
    this.fd = options.fd
    this.blockedFd = options.fd
    this.#l2Bytes = options.encap.l2Bytes
    this.#ethernet = options.encap.ethernet
    this.#headerBytes = options.encap.headerBytes
    // Only a plain tunnel has nothing before a frame.
    this.#mayProbe = options.encap.headerBytes === 0
    this.#vni = options.encap.vni ?? -1
    this.#peers = options.peers
    this.#offloads = options.offloads
    this.#deviceTso = options.offloads.wordOf('device_tso')
    this.#deviceUso = options.offloads.wordOf('device_uso')
    this.#peerCounters = options.peerCounters
    this.#drops = options.drops
    this.#forwarding = options.forwarding
    this.#relay = options.relay
    this.#control = options.control
    const rows = options.peerCounters.length / PEER_STRIDE
    this.#controlRates = new Rates(rows, CONTROL_PER_SECOND, CONTROL_BURST)
    this.#tellMain = options.tellMain
    this.#words = options.words
    this.#writev = options.writev ?? writev
    this.#counters = counters
    this.#scratch = scratch
    this.#records = new Records(memory)
    this.#joiner = new Joiner(memory, bytes, scratch.take(Joiner.BYTES), options.encap.l2Bytes, this)
    this.#joinedAddress = memory.address(this.#joiner.iovecs)
    this.#unfilled = new Unfilled(memory, bytes, scratch.take(Unfilled.BYTES), options.encap.l2Bytes)
    this.#unfilledAddress = memory.address(this.#unfilled.iovecs)
    this.#iov = scratch.take(2 * iovec.size)
    this.#iovAddress = memory.address(this.#iov)
    memory.writePointer(this.#iov + iovec.iov_base, scratch.take(virtio_net_hdr.size))
    memory.u32[(this.#iov + iovec.iov_len) >>> 2] = virtio_net_hdr.size
  }

  drain(ring: Ring): Progress {
    const record = ring.peek()
    if (record < 0) return DONE
    this.#lookAtOffloads()
    const count = this.#records.count(record)
    this.#forwarding.begin()
    for (let i = 0; i < count; i++) this.#takeEntry(record, i)
    this.#joiner.flush()
    this.#relay?.flush()
    ring.release()
    return MORE
  }

  #lookAtOffloads(): void {
    this.#joins = this.#offloads.isSet(this.#deviceTso)
    this.#joiner.joinsUdp = this.#offloads.isSet(this.#deviceUso)
  }

  #takeEntry(record: number, index: number): void {
    const offset = this.#records.offset(record, index)
    const bytes = this.#records.bytes(record, index)
    const row = this.#records.row(record, index)
    const step = this.#records.gsoSize(record, index) || bytes
    const dsField = this.#records.dsField(record, index)
    if (row === SEALED) {
      this.#takeOpened(offset, bytes, step, dsField)
      return
    }
    for (let done = 0; done < bytes; done += step) {
      const frameBytes = Math.min(step, bytes - done)
      if (this.#vni < 0) this.#takeFrame(offset + done, frameBytes, row, frameBytes, dsField, false)
      else this.#takeVxlan(offset + done, frameBytes, row, dsField)
    }
  }

  #takeVxlan(at: number, bytes: number, row: number, dsField: number): void {
    if (bytes < VXLAN_HEADER_BYTES || vniOf(this.#scratch.memory.view, at) !== this.#vni) {
      this.#drops.inbound(C.dropVni, row, 1)
      return
    }
    const frame = at + VXLAN_HEADER_BYTES
    const frameBytes = bytes - VXLAN_HEADER_BYTES
    // It can only be a super-frame of a kernel then.
    const isLong = frameBytes > this.#words.maxFrameBytes
    if (!isLong && this.#peers.lacksSums(row)) this.#unfilled.fill(frame, frameBytes)
    if (isLong && !this.#unfilled.prepare(frame, frameBytes, this.#words.deviceMtuBytes))
      this.#drops.inbound(C.dropOversize, row, 1)
    else this.#takeFrame(frame, frameBytes, row, bytes, dsField, isLong)
  }

  /**
   * In a private tunnel each frame's length and its peer's row are at the start of its former header
   * (record.ts).
   */
  #takeOpened(offset: number, bytes: number, step: number, dsField: number): void {
    const headerBytes = this.#headerBytes
    const { view } = this.#scratch.memory
    for (let done = 0; bytes - done >= headerBytes; done += step) {
      const frameBytes = view.getUint32(offset + done, true)
      if (frameBytes === 0) continue
      const row = view.getUint32(offset + done + 4, true)
      const messageBytes = Math.min(step, bytes - done)
      this.#takeFrame(offset + done + headerBytes, frameBytes, row, messageBytes, dsField, false)
    }
  }

  /**
   * A message has been counted as a frame from its peer, and has none for the device. The block is this worker's
   * own. Only the sum of the blocks means something.
   */
  #countNoFrame(row: number, messageBytes: number): void {
    const at = row * PEER_STRIDE
    this.#peerCounters[at + P.receivedFrames]--
    this.#peerCounters[at + P.receivedBytes] -= messageBytes
    this.#peerCounters[at + P.receivedKeepalives]++
  }

  /**
   * @param messageBytes the bytes of the datagram's payload, which are those of the frame or more
   * @param dsField of the datagram's header
   * @param isPrepared whether it is a super-frame, prepared to be written uncut
   */
  #takeFrame(
    frame: number,
    bytes: number,
    row: number,
    messageBytes: number,
    dsField: number,
    isPrepared: boolean,
  ): void {
    if (this.#ethernet) {
      if (bytes < ETHERNET_HEADER_BYTES) {
        this.#drops.inbound(C.dropRunt, row, 1)
        return
      }
    } else if (!looksLikeIp(this.#scratch.memory.u8, frame, bytes)) {
      this.#drops.inbound(C.dropNotIp, row, 1)
      return
    }
    if (isControl(this.#scratch.memory.view, frame, bytes, this.#ethernet)) {
      this.#countNoFrame(row, messageBytes)
      const fits = this.#controlRates.allows(row, performance.now()) && this.#control.put(frame, bytes, row)
      if (!fits) this.#drops.ofNobody(C.dropControlFull, 1)
      else if (this.#control.mustTell()) this.#tellMain()
      return
    }
    const { memory } = this.#scratch
    if (this.#mayProbe && isKernelProbe(memory.view, frame, bytes, this.#ethernet)) {
      this.#countNoFrame(row, messageBytes)
      return
    }
    if (marksInner(dsField) && !takeEcn(memory.view, frame, bytes, this.#l2Bytes, dsField)) {
      this.#drops.inbound(C.dropCongested, row, 1)
      return
    }
    const clampBytes = this.#words.clampFrameBytes
    if (clampBytes !== 0 && clampMss(memory, frame, bytes, this.#l2Bytes, clampBytes))
      this.#counters[C.mssClamped]++
    const target = this.#forwarding.fromPeer(frame, bytes, row)
    if (target < FLOOD) {
      // A filtered frame is not counted as the peer's loss.
      if (target === FILTERED) this.#counters[C.filtered]++
      else this.#drops.inbound(dropCounterOf(target), row, 1)
      return
    }
    if (target >= 0) {
      this.#relay?.toPeer(frame, bytes, target)
      return
    }
    if (target === FLOOD) this.#relay?.toOthers(frame, bytes, row)
    if (isPrepared) this.#writeUncut(row, bytes)
    else if (this.#joins) this.#joiner.add(frame, bytes)
    else {
      // Joining may just have been switched off. The joiner may still hold earlier frames, which must be
      // written first.
      this.#joiner.flush()
      this.writeFrame(frame, bytes)
    }
  }

  writeFrame(frame: number, bytes: number): void {
    const { memory } = this.#scratch
    const at = this.#iov + iovec.size
    memory.writePointer(at + iovec.iov_base, frame)
    memory.u32[(at + iovec.iov_len) >>> 2] = bytes
    this.#counters[C.syscalls]++
    if (this.#writev(this.fd, this.#iovAddress, 2) >= 0) {
      this.#counters[C.writtenFrames]++
      this.#counters[C.writtenBytes] += bytes
    } else this.#refused(lastErrno(), 1)
  }

  writeSuperFrame(iovecs: number, frames: number, bytes: number): void {
    this.#writeSuper(this.#joinedAddress, iovecs, frames, bytes, this.#joiner.joinedUdp)
  }

  /** Writes the super-frame that was prepared last. It is of TCP. */
  #writeUncut(row: number, bytes: number): void {
    this.#joiner.flush()
    if (this.#joins) this.#writeSuper(this.#unfilledAddress, 2, 1, bytes, false)
    else this.#drops.inbound(C.dropOversize, row, 1)
  }

  #writeSuper(address: bigint, iovecs: number, frames: number, bytes: number, isUdp: boolean): void {
    this.#counters[C.syscalls]++
    if (this.#writev(this.fd, address, iovecs) >= 0) {
      this.#counters[C.writtenFrames] += frames
      this.#counters[C.writtenBytes] += bytes
      this.#counters[C.superFramesWritten]++
      return
    }
    const errno = lastErrno()
    if (errno === EINVAL) this.#giveUpJoining(isUdp)
    this.#refused(errno, frames)
  }

  /**
   * The device does not take such super-frames: kernels without USO, and Linux 6.6.44, which refused some as
   * malformed.
   */
  #giveUpJoining(isUdp: boolean): void {
    this.#offloads.set(isUdp ? 'device_uso' : 'device_tso', false)
    this.#lookAtOffloads()
  }

  #refused(errno: number, frames: number): void {
    if (errno === EBADFD) throw new Error('the device has been deleted')
    this.#drops.ofNobody(errno === EIO ? C.dropDeviceDown : C.dropDeviceRefused, frames)
  }
}

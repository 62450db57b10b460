import { EBADFD, EINVAL, EIO } from '../../linux/errno.js'
import { lastErrno, writev } from '../../linux/libc.js'
import { iovec, virtio_net_hdr } from '../../linux/structs.js'
import { C } from '../../memory/counters.js'
import type { Mailbox } from '../../memory/mailbox.js'
import type { Offloads } from '../../memory/offloads.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import { StateWord } from '../../memory/plan.js'
import { KIND_RUN, Records, SEALED } from '../../memory/record.js'
import type { Ring } from '../../memory/ring.js'
import { dropCounterOf, FILTERED, FLOOD } from '../../memory/target.js'
import type { ByteOperations } from '../../offload/bytes.js'
import { Joiner, type JoinTarget } from '../../offload/join.js'
import { clampMss } from '../../offload/mss.js'
import { isControl } from '../../wire/control.js'
import { ETHERNET_HEADER_BYTES } from '../../wire/ethernet.js'
import { looksLikeIp } from '../../wire/ip.js'
import { TRANSPORT_HEADER_BYTES } from '../../wire/wireguard.js'
import type { Relay } from '../outbound/relay.js'
import { DONE, MORE, type Progress, type Sink } from '../port.js'
import type { Scratch } from '../scratch.js'
import type { Forwarding } from '../switching/forwarding.js'

export interface TapSinkOptions {
  readonly fd: number
  /** Bytes of a frame before the IP header: 14, or 0 in tun mode. */
  readonly l2Bytes: number
  readonly offloads: Offloads
  readonly peerCounters: Float64Array
  readonly forwarding: Forwarding
  /** On a hub: passes frames on to other peers. */
  readonly relay: Relay | undefined
  readonly control: Mailbox
  /** Wakes main. Called only if main has not been told since it last looked into `control`. */
  readonly tellMain: () => void
  /** Offset of the state words. */
  readonly state: number
  /** The system call; a test may replace it. */
  readonly writev?: typeof writev
}

/**
 * Writes to the device the frames from the network that are for this side. It joins runs of a flow's segments
 * into super-frames. On a hub it passes frames for other peers on, one by one and unchanged.
 */
export class TapSink implements Sink, JoinTarget {
  readonly fd: number
  readonly #l2Bytes: number
  readonly #offloads: Offloads
  readonly #deviceTso: number
  readonly #deviceUso: number
  readonly #peerCounters: Float64Array
  readonly #forwarding: Forwarding
  readonly #relay: Relay | undefined
  readonly #control: Mailbox
  readonly #tellMain: () => void
  /** Index of the word that says how long the frames of TCP connections may become (MSS clamping). */
  readonly #clampWord: number
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
    this.#l2Bytes = options.l2Bytes
    this.#offloads = options.offloads
    this.#deviceTso = options.offloads.wordOf('device_tso')
    this.#deviceUso = options.offloads.wordOf('device_uso')
    this.#peerCounters = options.peerCounters
    this.#forwarding = options.forwarding
    this.#relay = options.relay
    this.#control = options.control
    this.#tellMain = options.tellMain
    this.#clampWord = (options.state >>> 2) + StateWord.clampFrameBytes
    this.#writev = options.writev ?? writev
    this.#counters = counters
    this.#scratch = scratch
    this.#records = new Records(memory)
    this.#joiner = new Joiner(memory, bytes, scratch.take(Joiner.BYTES), options.l2Bytes, this)
    this.#joinedAddress = memory.address(this.#joiner.iovecs)
    this.#iov = scratch.take(2 * iovec.size)
    this.#iovAddress = memory.address(this.#iov)
    memory.writePointer(this.#iov + iovec.iov_base, scratch.take(virtio_net_hdr.size))
    memory.u32[(this.#iov + iovec.iov_len) >>> 2] = virtio_net_hdr.size
  }

  drain(ring: Ring): Progress {
    const record = ring.peek()
    if (record < 0) return DONE
    if (this.#records.kind(record) === KIND_RUN) {
      this.#lookAtOffloads()
      const count = this.#records.count(record)
      this.#forwarding.begin()
      for (let i = 0; i < count; i++) this.#takeEntry(record, i)
      this.#joiner.flush()
      this.#relay?.flush()
    }
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
    const peer = this.#records.peer(record, index)
    const step = this.#records.gsoSize(record, index) || bytes
    if (peer === SEALED) {
      this.#takeOpened(offset, bytes, step)
      return
    }
    for (let done = 0; done < bytes; done += step)
      this.#takeFrame(offset + done, Math.min(step, bytes - done), peer)
  }

  /** In a private tunnel each frame's length and peer are at the start of its former header (record.ts). */
  #takeOpened(offset: number, bytes: number, step: number): void {
    const { view } = this.#scratch.memory
    for (let done = 0; bytes - done >= TRANSPORT_HEADER_BYTES; done += step) {
      const frameBytes = view.getUint32(offset + done, true)
      if (frameBytes === 0) continue
      const peer = view.getUint32(offset + done + 4, true)
      this.#takeFrame(offset + done + TRANSPORT_HEADER_BYTES, frameBytes, peer)
    }
  }

  #takeFrame(frame: number, bytes: number, peer: number): void {
    if (this.#l2Bytes !== 0) {
      if (bytes < ETHERNET_HEADER_BYTES) {
        this.#drop(C.dropRunt, peer)
        return
      }
    } else if (!looksLikeIp(this.#scratch.memory.u8, frame, bytes)) {
      this.#drop(C.dropNotIp, peer)
      return
    }
    if (isControl(this.#scratch.memory.view, frame, bytes, this.#l2Bytes !== 0)) {
      if (!this.#control.put(frame, bytes, peer)) this.#counters[C.dropControlFull]++
      if (this.#control.mustTell()) this.#tellMain()
      return
    }
    const { memory } = this.#scratch
    const clampBytes = memory.i32[this.#clampWord]
    if (clampBytes !== 0 && clampMss(memory, frame, bytes, this.#l2Bytes, clampBytes))
      this.#counters[C.mssClamped]++
    const target = this.#forwarding.fromPeer(frame, bytes, peer)
    if (target < FLOOD) {
      // A filtered frame is not counted as the peer's loss.
      if (target === FILTERED) this.#counters[C.filtered]++
      else this.#drop(dropCounterOf(target), peer)
      return
    }
    if (target >= 0) {
      this.#relay?.toPeer(frame, bytes, target)
      return
    }
    if (target === FLOOD) this.#relay?.toOthers(frame, bytes, peer)
    if (this.#joins) this.#joiner.add(frame, bytes)
    else {
      // Joining may just have been switched off. The joiner may still hold earlier frames, which must be
      // written first.
      this.#joiner.flush()
      this.writeFrame(frame, bytes)
    }
  }

  #drop(counter: number, peer: number): void {
    this.#counters[counter]++
    this.#peerCounters[peer * PEER_STRIDE + P.droppedInbound]++
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
    this.#counters[C.syscalls]++
    if (this.#writev(this.fd, this.#joinedAddress, iovecs) >= 0) {
      this.#counters[C.writtenFrames] += frames
      this.#counters[C.writtenBytes] += bytes
      this.#counters[C.superFramesWritten]++
      return
    }
    const errno = lastErrno()
    if (errno === EINVAL) this.#giveUpJoining()
    this.#refused(errno, frames)
  }

  /**
   * The device does not take such super-frames: kernels without USO, and Linux 6.6.44, which refused some as
   * malformed.
   */
  #giveUpJoining(): void {
    this.#offloads.set(this.#joiner.joinedUdp ? 'device_uso' : 'device_tso', false)
    this.#lookAtOffloads()
  }

  #refused(errno: number, frames: number): void {
    if (errno === EBADFD) throw new Error('the device has been deleted')
    this.#counters[errno === EIO ? C.dropDeviceDown : C.dropDeviceRefused] += frames
  }
}

import type { Encap } from '../../encap/encap.js'
import { VIRTIO_NET_HDR_F_NEEDS_CSUM } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { virtio_net_hdr } from '../../linux/structs.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { Records } from '../../memory/record.js'
import type { Ring } from '../../memory/ring.js'
import type { StateWords } from '../../memory/state-words.js'
import { dropCounterOf, FLOOD } from '../../memory/target.js'
import type { ByteOperations } from '../../offload/bytes.js'
import { clampMss } from '../../offload/mss.js'
import { isControl } from '../../wire/control.js'
import { UDP } from '../../wire/udp.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink } from '../port.js'
import type { Scratch } from '../scratch.js'
import type { Forwarding } from '../switching/forwarding.js'
import { Entry } from './entry.js'
import { Flood } from './flood.js'
import { Sender, type SenderOptions } from './sender.js'

export interface UdpSinkOptions extends SenderOptions {
  readonly encap: Encap
  readonly forwarding: Forwarding
  readonly words: StateWords
}

/**
 * Sends frames from the device to their peer, or to all peers. Each frame, and each segment of a super-frame,
 * is the whole payload of one datagram, with complete checksums. Every frame of a record has a `virtio_net_hdr`
 * right before it.
 */
export class UdpSink implements Sink {
  readonly fd: number
  readonly #l2Bytes: number
  readonly #ethernet: boolean
  readonly #peers: PeerTable
  readonly #forwarding: Forwarding
  readonly #memory: NativeMemory
  /** One says how long the frames of TCP connections may become (MSS clamping). */
  readonly #words: StateWords
  readonly #counters: Float64Array
  readonly #drops: Drops
  readonly #records: Records
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #bytes: ByteOperations
  readonly #sender: Sender
  readonly #entry: Entry
  readonly #flood: Flood
  /** The number of the entry in the ring's oldest record; and whether it has been taken up, and its target. */
  #index = 0
  #begun = false
  #target = FLOOD as number
  #keysChanged = false

  constructor(options: UdpSinkOptions, scratch: Scratch, bytes: ByteOperations, counters: Float64Array) {
    const { memory } = scratch
    this.fd = options.fds[0]
    this.#l2Bytes = options.encap.l2Bytes
    this.#ethernet = options.encap.ethernet
    this.#peers = options.peers
    this.#forwarding = options.forwarding
    this.#memory = memory
    this.#words = options.words
    this.#counters = counters
    this.#drops = options.drops
    this.#records = new Records(memory)
    this.#view = memory.view
    this.#u8 = memory.u8
    this.#bytes = bytes
    this.#sender = new Sender(options, scratch, counters)
    this.#entry = new Entry(options, this.#sender, memory, bytes)
    this.#flood = new Flood(options, this.#sender)
  }

  get blockedFd(): number {
    return this.#sender.blockedFd
  }

  drain(ring: Ring): Progress {
    if (!this.#sender.flush()) return BLOCKED
    if (this.#keysChanged && !this.#sendWaiting()) return BLOCKED
    const record = ring.peek()
    if (record < 0) return DONE
    this.#forwarding.begin()
    const count = this.#records.count(record)
    while (this.#index < count) {
      const full = !this.#take(record)
      if ((full || this.#index === count) && !this.#sender.flush()) return BLOCKED
    }
    this.#index = 0
    ring.release()
    return MORE
  }

  /** Puts as much of the next entry into the batch as fits, and advances. False if the batch is full. */
  #take(record: number): boolean {
    const entry = this.#entry
    if (!this.#begun) {
      const frame = this.#records.offset(record, this.#index)
      const bytes = this.#records.bytes(record, this.#index)
      this.#begun = this.#begin(frame, bytes, this.#records.gsoSize(record, this.#index) !== 0)
      if (!this.#begun) {
        this.#index++
        return true
      }
    }
    const fitted = this.#target === FLOOD ? this.#flood.add(entry) : entry.addTo(this.#target)
    if (fitted && entry.isAdded) {
      this.#begun = false
      this.#index++
    }
    return fitted && !this.#sender.full
  }

  /** Takes an entry up: prepares it for sending, and finds its target. False if it goes nowhere. */
  #begin(frame: number, bytes: number, isSuper: boolean): boolean {
    const entry = this.#entry
    if (isSuper) {
      if (!entry.beginSuperFrame(frame, bytes)) {
        this.#drops.ofNobody(C.dropMalformed, 1)
        return false
      }
    } else {
      entry.beginFrame(frame, bytes)
      if (isControl(this.#view, frame, bytes, this.#ethernet)) {
        this.#drops.ofNobody(C.dropControlLocal, 1)
        return false
      }
    }
    const { frames } = entry
    const only = this.#peers.onlyInUse
    const target = this.#forwarding.fromDevice(frame, bytes, only >= 0 ? 0 : frames)
    if (target < FLOOD) {
      this.#drops.ofNobody(dropCounterOf(target), frames)
      return false
    }
    const gone = target >= 0 && !this.#peers.inUse(target)
    if (gone && !this.#ethernet) {
      this.#drops.outbound(C.dropUnreachable, target, frames)
      return false
    }
    // If only one peer is in use, a frame for all peers goes to that peer.
    this.#target = target !== FLOOD && !gone ? target : only >= 0 ? only : FLOOD
    if (this.#target === FLOOD) this.#flood.begin()
    if (!isSuper) {
      this.#completeChecksum(frame, bytes)
      const clampBytes = this.#words.clampFrameBytes
      if (clampBytes !== 0 && clampMss(this.#memory, frame, bytes, this.#l2Bytes, clampBytes))
        this.#counters[C.mssClamped]++
    }
    return true
  }

  /**
   * There may be new keys for waiting frames. The next {@link drain} looks at them. Peers may also have been
   * removed: frames that wait for keys to those are dropped.
   */
  keysChanged(): void {
    this.#keysChanged = true
    this.#sender.dropGone()
  }

  /** Whether a batch is still unsent. */
  get holds(): boolean {
    return !this.#sender.isEmpty
  }

  #sendWaiting(): boolean {
    const isDone = this.#sender.sendWaiting()
    this.#keysChanged = !isDone
    return isDone
  }

  /** Completes a checksum that the kernel left incomplete. The field holds the sum of the pseudo header. */
  #completeChecksum(frame: number, bytes: number): void {
    const hdr = frame - virtio_net_hdr.size
    if ((this.#u8[hdr + virtio_net_hdr.flags] & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return
    const start = this.#view.getUint16(hdr + virtio_net_hdr.csum_start, true)
    const offset = this.#view.getUint16(hdr + virtio_net_hdr.csum_offset, true)
    const at = frame + start + offset
    if (at + 2 > frame + bytes) return
    const checksum = ~this.#bytes.sum(frame + start, bytes - start, 0) & 0xffff
    // In UDP a zero checksum means that there is none (RFC 768), so 0xffff is sent instead. The field's offset
    // tells UDP from TCP. In TCP zero is an ordinary value.
    this.#view.setUint16(at, checksum === 0 && offset === UDP.checksum ? 0xffff : checksum, true)
  }
}

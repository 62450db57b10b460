import { MSG_DONTWAIT, MSG_TRUNC, SO_EE_ORIGIN_LOCAL } from '../linux/constants.js'
import {
  EACCES,
  EAGAIN,
  ECONNREFUSED,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENOBUFS,
  EPERM,
} from '../linux/errno.js'
import { ErrorQueue } from '../linux/errqueue.js'
import { lastErrno, recvmmsg, sendmmsg } from '../linux/libc.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.js'
import { looksLikeIp } from '../wire/ip.js'
import type { DeviceMode } from '../wire/mode.js'
import { C } from './counters.js'
import type { PeerTable } from './peers.js'
import { StateWord } from './plan.js'
import { BLOCKED, DONE, MORE, type Port, type Progress } from './port.js'
import { framesOffset, KIND_RUN, Records } from './record.js'
import type { Ring } from './ring.js'
import { MessageVector, type Scratch } from './scratch.js'

/** Datagrams that one call sends or receives at the most. */
const BATCH = 32

/** Room in the ring that one receive asks for at the most, whatever the frames' size. */
const RECEIVE_BYTES = 128 * 1024

/** How long a full send buffer is waited for before the run of frames in hand is dropped. */
const SEND_PATIENCE_MS = 100

export interface UdpPortOptions {
  readonly fd: number
  readonly mode: DeviceMode
  /** Length of a socket address of the socket's family. */
  readonly sockaddrBytes: number
  /** The longest frame or packet taken from the network. */
  readonly maxFrameBytes: number
  readonly peers: PeerTable
  /** Offset of the state words. */
  readonly state: number
}

/** The UDP socket: a datagram is a frame (or packet) and nothing else. */
export class UdpPort implements Port {
  readonly fd: number
  readonly recordBytes: number
  readonly #options: UdpPortOptions
  readonly #counters: Float64Array
  readonly #records: Records
  readonly #u8: Uint8Array
  readonly #i32: Int32Array
  readonly #slotBytes: number
  readonly #slots: number
  readonly #names: number
  readonly #receive: MessageVector
  readonly #send: MessageVector
  readonly #errors: ErrorQueue
  /** Entries of the ring's oldest record that are done with. */
  #sent = 0
  /** The entry whose send has failed once: a pending ICMP error fails one unrelated send. */
  #retried = -1
  /** When the send buffer was found full, in `performance.now()` terms; 0 while it is not. */
  #blockedSinceMs = 0

  constructor(options: UdpPortOptions, scratch: Scratch, counters: Float64Array) {
    const { memory } = scratch
    this.fd = options.fd
    this.#options = options
    this.#counters = counters
    this.#records = new Records(memory)
    this.#u8 = memory.u8
    this.#i32 = memory.i32
    this.#slotBytes = (options.maxFrameBytes + 63) & -64
    this.#slots = Math.min(BATCH, Math.floor(RECEIVE_BYTES / this.#slotBytes))
    this.recordBytes = framesOffset(BATCH) + this.#slots * this.#slotBytes
    this.#names = scratch.take(BATCH * 64)
    this.#receive = new MessageVector(scratch, this.#slots)
    this.#send = new MessageVector(scratch, BATCH)
    this.#errors = new ErrorQueue(memory, scratch.take(ErrorQueue.BYTES))
  }

  fill(ring: Ring): Progress {
    const record = ring.reserve(this.recordBytes)
    if (record < 0) return BLOCKED
    const first = record + framesOffset(BATCH)
    for (let i = 0; i < this.#slots; i++) {
      this.#receive.setBuffer(i, first + i * this.#slotBytes, this.#options.maxFrameBytes)
      this.#receive.setName(i, this.#names + i * 64, SOCKADDR_BYTES)
    }
    const received = recvmmsg(this.fd, this.#receive.address, this.#slots, MSG_DONTWAIT, null)
    this.#counters[C.syscalls]++
    if (received < 0) return this.#receiveFailed()
    let count = 0
    for (let i = 0; i < received; i++) {
      const offset = first + i * this.#slotBytes
      const bytes = this.#receive.receivedBytes(i)
      if (!this.#accept(i, offset, bytes)) continue
      this.#records.setEntry(record, count++, offset, bytes, 0, 0)
      this.#counters[C.receivedBytes] += bytes
    }
    if (count > 0) {
      this.#counters[C.receivedFrames] += count
      this.#records.setCount(record, count)
      ring.commit(framesOffset(BATCH) + received * this.#slotBytes, KIND_RUN)
    }
    return received === this.#slots ? MORE : DONE
  }

  /** Nothing there, or an ICMP error was: that one is taken off, and poll tells whether there is more. */
  #receiveFailed(): Progress {
    if (lastErrno() !== EAGAIN) this.handleError()
    return DONE
  }

  #accept(message: number, offset: number, bytes: number): boolean {
    const { peers, state, maxFrameBytes, mode } = this.#options
    if (
      !peers.isFrom(0, this.#names + message * 64) &&
      Atomics.load(this.#i32, (state >>> 2) + StateWord.acceptAny) === 0
    ) {
      this.#counters[C.dropForeign]++
    } else if (bytes === 0) {
      this.#counters[C.dropEmpty]++
    } else if (bytes > maxFrameBytes || (this.#receive.flags(message) & MSG_TRUNC) !== 0) {
      this.#counters[C.dropOversize]++
    } else if (mode === 'tap' && bytes < ETHERNET_HEADER_BYTES) {
      this.#counters[C.dropRunt]++
    } else if (mode === 'tun' && !looksLikeIp(this.#u8, offset, bytes)) {
      this.#counters[C.dropNotIp]++
    } else {
      return true
    }
    return false
  }

  drain(ring: Ring): Progress {
    const record = ring.peek()
    if (record < 0) return DONE
    if (this.#records.kind(record) === KIND_RUN && !this.#sendRun(record)) return BLOCKED
    this.#sent = 0
    ring.release()
    return MORE
  }

  /** Sends what is left of a run; false when the send buffer is full and worth waiting for. */
  #sendRun(record: number): boolean {
    const count = this.#records.count(record)
    while (this.#sent < count) {
      const batch = Math.min(count - this.#sent, BATCH)
      this.#prepare(record, batch)
      const sent = sendmmsg(this.fd, this.#send.address, batch, MSG_DONTWAIT)
      this.#counters[C.syscalls]++
      if (sent > 0) this.#countSent(record, sent)
      else if (!this.#sendFailed(lastErrno(), count)) return false
    }
    return true
  }

  #prepare(record: number, batch: number): void {
    const { peers, sockaddrBytes } = this.#options
    for (let i = 0; i < batch; i++) {
      const entry = this.#sent + i
      this.#send.setBuffer(i, this.#records.offset(record, entry), this.#records.bytes(record, entry))
      this.#send.setName(i, peers.address(this.#records.peer(record, entry)), sockaddrBytes)
    }
  }

  #countSent(record: number, sent: number): void {
    let bytes = 0
    for (let i = 0; i < sent; i++) bytes += this.#records.bytes(record, this.#sent + i)
    this.#counters[C.sentFrames] += sent
    this.#counters[C.sentBytes] += bytes
    this.#sent += sent
    this.#retried = -1
    this.#blockedSinceMs = 0
  }

  /** Deals with the failure of the next entry's send; false when it is to be tried again after a poll. */
  #sendFailed(errno: number, count: number): boolean {
    if (errno === EAGAIN) {
      const now = performance.now()
      if (this.#blockedSinceMs === 0) this.#blockedSinceMs = now
      if (now - this.#blockedSinceMs < SEND_PATIENCE_MS) return false
      this.#counters[C.dropSendBufferFull] += count - this.#sent
      this.#blockedSinceMs = 0
      this.#sent = count
    } else if (this.#retried !== this.#sent) {
      this.#retried = this.#sent
    } else {
      this.#counters[sendDropCounter(errno)]++
      this.#retried = -1
      this.#sent++
    }
    return true
  }

  handleError(): void {
    while (this.#errors.next(this.fd)) {
      const { errno, origin } = this.#errors.error
      this.#counters[C.syscalls]++
      if (origin === SO_EE_ORIGIN_LOCAL) continue
      if (errno === EMSGSIZE) this.#counters[C.icmpTooBig]++
      else if (errno === ECONNREFUSED || errno === EHOSTUNREACH || errno === ENETUNREACH) {
        this.#counters[C.icmpUnreachable]++
      } else this.#counters[C.icmpOther]++
    }
    this.#counters[C.syscalls]++
  }
}

function sendDropCounter(errno: number): number {
  switch (errno) {
    case EMSGSIZE:
      return C.dropTooBig
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ECONNREFUSED:
      return C.dropUnreachable
    case EPERM:
    case EACCES:
      return C.dropForbidden
    case ENOBUFS:
      return C.dropSendBufferFull
    default:
      return C.dropSendFailed
  }
}

import { MSG_DONTWAIT } from '../../linux/constants.js'
import {
  EACCES,
  EAFNOSUPPORT,
  EAGAIN,
  EHOSTUNREACH,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENOBUFS,
  EPERM,
} from '../../linux/errno.js'
import { lastErrno, sendmmsg } from '../../linux/libc.js'
import { SOURCE_ERRORS } from '../../linux/pktinfo.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import type { PathPolicy } from './path-policy.js'
import type { SendBatch } from './send-batch.js'

/** How long a full send buffer is waited for before the batch is dropped. */
const SEND_PATIENCE_MS = 100

/** Errors with which the kernel refuses `UDP_SEGMENT`. EIO: there is no checksum offload (before 6.11). */
const OFFLOAD_ERRORS: ReadonlySet<number> = new Set([EIO, EINVAL])

/**
 * Errors that mean that there is no way to a peer at all: its next frame would fail alike. They come from the
 * routing table (ip_route_output_key_hash of net/ipv4/route.c, ip6_route_output of net/ipv6/route.c), or from
 * an interface that is down. EAFNOSUPPORT: the socket is bound to an address of the other family. EPERM is not among
 * them: there a firewall refuses one datagram.
 */
const NO_WAY_ERRORS: ReadonlySet<number> = new Set([
  ENETUNREACH,
  EHOSTUNREACH,
  ENETDOWN,
  EACCES,
  EAFNOSUPPORT,
])

export interface DeliveryOptions {
  /** The sockets, by their numbers. At least one. */
  readonly fds: readonly number[]
  readonly peerCounters: Float64Array
  readonly drops: Drops
  readonly pathPolicy: PathPolicy
  /** The system call; a test may replace it. */
  readonly sendmmsg?: typeof sendmmsg
}

/**
 * Gives a batch of messages to the kernel, and handles those that it refuses. A peer that cannot be reached
 * does not affect the others. Its messages are dropped and counted for it, and the other messages are sent.
 */
export class Delivery {
  readonly #batch: SendBatch
  readonly #fds: readonly number[]
  readonly #pathPolicy: PathPolicy
  readonly #sendmmsg: typeof sendmmsg
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array
  readonly #drops: Drops
  /** Whether the batch's datagrams may be fragmented. */
  #fragmented = false
  /** Messages of the batch that are finished. */
  #sent = 0
  /** Whether the batch's messages are complete. They may have been taken apart since. */
  #ready = false
  /** Whether the next message, a run that was refused, goes one frame at a time. */
  #alone = false
  /**
   * Whether the run was refused with an errno of the offload. Then only its first frame is sent alone. The
   * others follow as a run again.
   */
  #suspected = false
  /** A peer of this batch that cannot be reached, and the errno that said so. */
  #wayless = -1
  #waylessErrno = 0
  /** When the send buffer was found full, on the clock of `performance.now()`; 0 while it is not full. */
  #blockedSinceMs = 0

  constructor(batch: SendBatch, options: DeliveryOptions, counters: Float64Array) {
    this.#batch = batch
    this.#fds = options.fds
    this.#pathPolicy = options.pathPolicy
    this.#sendmmsg = options.sendmmsg ?? sendmmsg
    this.#counters = counters
    this.#peerCounters = options.peerCounters
    this.#drops = options.drops
  }

  /** The socket that sends next, or waits for room. */
  get nextFd(): number {
    return this.#fds[this.#batch.socketOf(this.#sent)]
  }

  /**
   * Sends the rest of the batch, which is empty afterwards.
   * @param fragmented whether the batch's datagrams may be fragmented
   * @returns false if the send buffer is full and worth waiting for; the rest is then still in the batch
   */
  send(fragmented: boolean): boolean {
    this.#fragmented = fragmented
    const batch = this.#batch
    if (!this.#ready) batch.seal()
    this.#ready = true
    while (this.#sent < batch.count) {
      if (batch.rowOf(this.#sent) === this.#wayless) {
        this.#drop(this.#waylessErrno, batch.framesIn(this.#sent))
        this.#sent++
        continue
      }
      const sent = this.#sendNext()
      if (sent > 0) this.#countSent(sent)
      else if (!this.#sendFailed(-sent)) return false
    }
    this.#done()
    return true
  }

  /** @returns how many messages the kernel has taken, or the negative errno */
  #sendNext(): number {
    const batch = this.#batch
    const fd = this.nextFd
    const left = this.#alone
      ? 1
      : this.#fds.length === 1
        ? batch.count - this.#sent
        : batch.ofOneSocket(this.#sent)
    if (this.#fragmented) this.#pathPolicy.setFragmenting(fd, true)
    const taken = this.#sendmmsg(fd, batch.addressOf(this.#sent), left, MSG_DONTWAIT)
    const sent = taken > 0 ? taken : -lastErrno()
    if (this.#fragmented) this.#pathPolicy.setFragmenting(fd, false)
    this.#counters[C.syscalls]++
    return sent
  }

  /** Drops what {@link send} has left in the batch. */
  giveUp(): void {
    this.#dropRest()
    this.#done()
  }

  #countSent(sent: number): void {
    this.#blockedSinceMs = 0
    const batch = this.#batch
    if (this.#alone) {
      this.#count(batch.rowOf(this.#sent), 1, batch.firstBytesIn(this.#sent))
      this.#leaveOut(1)
      return
    }
    for (let i = 0; i < sent; i++) {
      const message = this.#sent + i
      this.#count(batch.rowOf(message), batch.framesIn(message), batch.bytesIn(message))
    }
    this.#sent += sent
    this.#suspected = false
  }

  #count(row: number, frames: number, bytes: number): void {
    this.#counters[C.sentFrames] += frames
    this.#counters[C.sentBytes] += bytes
    if (this.#fragmented) this.#counters[C.fragmentedFrames] += frames
    const at = row * PEER_STRIDE
    this.#peerCounters[at + P.sentFrames] += frames
    this.#peerCounters[at + P.sentBytes] += bytes
  }

  /**
   * Handles a failed send of the next message. False if it must be tried again after a poll. No error comes
   * from ICMP (linux/udp.ts), so each error is believed at once.
   */
  #sendFailed(errno: number): boolean {
    if (errno === EAGAIN) {
      const now = performance.now()
      if (this.#blockedSinceMs === 0) this.#blockedSinceMs = now
      if (now - this.#blockedSinceMs < SEND_PATIENCE_MS) return false
      this.#dropRest()
      return true
    }
    const batch = this.#batch
    const message = this.#sent
    // The source address may just have gone. Main follows that a moment later.
    if (SOURCE_ERRORS.has(errno) && batch.dropSource(message)) return true
    const frames = batch.framesIn(message)
    if (NO_WAY_ERRORS.has(errno)) {
      this.#wayless = batch.rowOf(message)
      this.#waylessErrno = errno
    } else if (!this.#alone && (frames > 1 || this.#suspected)) {
      if (errno === EMSGSIZE || OFFLOAD_ERRORS.has(errno)) {
        this.#takeApart(errno)
        return true
      }
    }
    // After EMSGSIZE a shorter frame may still pass.
    const dropped = errno === EMSGSIZE ? batch.alikeIn(message) : frames
    this.#drop(errno, dropped)
    this.#suspected = false
    this.#leaveOut(dropped)
    return true
  }

  /**
   * A run was refused. Its frames show why. The first frame is as long as any of the run, and is sent alone. If
   * it is taken, and the frames behind it are refused as a run again, the offload is at fault. Both refusals
   * must have an errno of the offload. Then the offload is switched off for that peer. Otherwise the path was
   * at fault, or the fault has passed.
   */
  #takeApart(errno: number): void {
    const offload = OFFLOAD_ERRORS.has(errno)
    const row = this.#batch.rowOf(this.#sent)
    if (offload && this.#suspected) this.#pathPolicy.refuseRuns(row)
    this.#suspected = offload && !this.#suspected && this.#pathPolicy.takesRuns(row)
    this.#alone = true
    this.#batch.single(this.#sent)
  }

  /** The next `frames` frames of the message are finished. */
  #leaveOut(frames: number): void {
    const batch = this.#batch
    batch.leaveOut(this.#sent, frames)
    if (batch.framesIn(this.#sent) === 0) {
      this.#sent++
      this.#alone = false
      this.#suspected = false
    } else if (this.#suspected) this.#alone = false
    else batch.single(this.#sent)
  }

  #done(): void {
    this.#batch.clear()
    this.#ready = false
    this.#sent = 0
    this.#alone = false
    this.#suspected = false
    this.#wayless = -1
    this.#blockedSinceMs = 0
  }

  #dropRest(): void {
    for (; this.#sent < this.#batch.count; this.#sent++) this.#drop(EAGAIN, this.#batch.framesIn(this.#sent))
  }

  /** Drops frames of the message that is being sent. */
  #drop(errno: number, frames: number): void {
    this.#drops.outbound(dropCounter(errno), this.#batch.rowOf(this.#sent), frames)
  }
}

function dropCounter(errno: number): number {
  switch (errno) {
    case EMSGSIZE:
      return C.dropTooBig
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EAFNOSUPPORT:
      return C.dropUnreachable
    case EPERM:
    case EACCES:
      return C.dropForbidden
    case EAGAIN:
    case ENOBUFS:
      return C.dropSendBufferFull
    default:
      return C.dropSendFailed
  }
}

import { MSG_DONTWAIT } from '../linux/constants.js'
import {
  EACCES,
  EAGAIN,
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENOBUFS,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
  EPROTO,
} from '../linux/errno.js'
import { lastErrno, sendmmsg } from '../linux/libc.js'
import type { Segmenter } from '../offload/segment.js'
import { C } from './counters.js'
import type { Offloads } from './offloads.js'
import { FRAGMENTED, type Passage, REFUSED } from './passage.js'
import { P, PEER_STRIDE } from './peer-counters.js'
import type { PeerTable } from './peers.js'
import type { Scratch } from './scratch.js'
import type { Sealer } from './sealer.js'
import { SendBatch } from './send-batch.js'
import type { GivenUp, Leaver, WaitingRoom } from './waiting-room.js'

/** How long a full send buffer is waited for before the frames in hand are dropped. */
const SEND_PATIENCE_MS = 100

/** What the kernel refuses `UDP_SEGMENT` with: EIO without checksum offload (before 6.11). */
const OFFLOAD_ERRORS: ReadonlySet<number> = new Set([EIO, EINVAL])

/** What the kernel says where there is no way to a peer at all: its next frame would hear the same. */
const NO_WAY_ERRORS: ReadonlySet<number> = new Set([ENETUNREACH, EHOSTUNREACH, ENETDOWN, EPERM, EACCES])

/**
 * What an unconnected socket hears of hardly but by ICMP (net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c):
 * an error that was queued fails the next send, whomever that is to.
 */
const ICMP_ERRORS: ReadonlySet<number> = new Set([
  ECONNREFUSED,
  EHOSTUNREACH,
  EHOSTDOWN,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTO,
])

/** How often one message is tried again. */
const MAX_RETRIES = 4

/** What a private tunnel's frames go through on their way out. */
export interface Sealing {
  readonly sealer: Sealer
  /** Where frames wait for keys; without, they are dropped. */
  readonly waitingRoom: WaitingRoom | undefined
}

export interface SenderOptions {
  readonly fd: number
  /** Length of a socket address of the socket's family. */
  readonly sockaddrBytes: number
  readonly peerCounters: Float64Array
  readonly offloads: Offloads
  readonly passage: Passage
  /** Where the tunnel is private. */
  readonly sealing?: Sealing | undefined
  /** The system call, for a test to come between. */
  readonly sendmmsg?: typeof sendmmsg
}

/**
 * Sends batches of messages to peers, and finds out about those that are refused. A peer that cannot be sent to
 * costs the others nothing: its messages are dropped and counted against it, and theirs go on.
 */
export class Sender {
  /** What {@link flush} sends. */
  readonly batch: SendBatch
  readonly #fd: number
  readonly #offloads: Offloads
  readonly #udpSegment: number
  readonly #passage: Passage
  readonly #sealer: Sealer | undefined
  readonly #waitingRoom: WaitingRoom | undefined
  readonly #sendmmsg: typeof sendmmsg
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array
  /** Whether the batch's datagrams may be fragmented. */
  #fragmented = false
  /** Whether the kernel is thought to take runs. */
  #segments = true
  /** Messages of the batch that are done with. */
  #sent = 0
  /** Whether the batch's messages have been finished, and may have been taken apart since. */
  #ready = false
  /** Whether the next message, a run that was refused, goes a frame at a time. */
  #alone = false
  /** Whether it was refused with an errno of the offload's: its first frame is sent alone, the others as a run again. */
  #suspected = false
  /** Failures of the next message's send so far, other than for a full buffer, and the last one's errno. */
  #failures = 0
  #failedWith = 0
  /** The peer of this batch that there was no way to just now, and what the kernel said. */
  #wayless = -1
  #waylessErrno = 0
  /** When the send buffer was found full, in `performance.now()` terms; 0 while it is not. */
  #blockedSinceMs = 0
  readonly #givenUp: GivenUp = (peer) => {
    this.#counters[C.dropNoKeypair]++
    this.countFor(peer, 1)
  }

  constructor(options: SenderOptions, scratch: Scratch, counters: Float64Array) {
    this.#fd = options.fd
    this.#offloads = options.offloads
    this.#udpSegment = options.offloads.wordOf('udp_segment')
    this.#passage = options.passage
    this.#sealer = options.sealing?.sealer
    this.#waitingRoom = options.sealing?.waitingRoom
    this.#sendmmsg = options.sendmmsg ?? sendmmsg
    this.#counters = counters
    this.#peerCounters = options.peerCounters
    this.batch = new SendBatch(scratch, options.sockaddrBytes)
  }

  /** Whether each message is sealed for the peer it goes to, and so cannot go to another. */
  get seals(): boolean {
    return this.#sealer !== undefined
  }

  /** Whether there is room for a frame of `bytes` beside what the batch itself knows of. */
  fits(bytes: number): boolean {
    return this.#sealer === undefined || this.#sealer.fits(bytes)
  }

  /** Adds a frame, which fits, to the peer whose socket address lies at offset `name`. It may change. */
  addFrame(frame: number, bytes: number, peer: number, name: number): void {
    const sealer = this.#sealer
    if (sealer === undefined) {
      this.batch.addFrame(frame, bytes, peer, name)
      return
    }
    sealer.expect(1)
    sealer.copy(sealer.frame, frame, bytes)
    this.#seal(sealer, bytes, peer, name)
  }

  /** So many segments come next, all for one peer. */
  expect(segments: number): void {
    this.#sealer?.expect(segments)
  }

  /** Adds a segment, which fits, of what the segmenter has taken up. */
  addSegment(segmenter: Segmenter, segment: number, peer: number, name: number): void {
    const { headerBytes } = segmenter
    const payload = segmenter.payloadOffset(segment)
    const payloadBytes = segmenter.payloadBytes(segment)
    const sealer = this.#sealer
    if (sealer === undefined) {
      segmenter.writeHeader(segment, this.batch.headerSlot)
      this.batch.addSegment(headerBytes, payload, payloadBytes, peer, name)
      return
    }
    segmenter.writeHeader(segment, sealer.frame)
    sealer.copy(sealer.frame + headerBytes, payload, payloadBytes)
    this.#seal(sealer, headerBytes + payloadBytes, peer, name)
  }

  /** What the sealer has been given is sealed, and goes into the batch as one piece; without keys it waits. */
  #seal(sealer: Sealer, bytes: number, peer: number, name: number): void {
    const sealed = sealer.seal(peer, bytes)
    if (sealed > 0) {
      this.batch.addFrame(sealer.message, sealed, peer, name)
      sealer.keep(sealed)
    } else if (this.#waitingRoom?.put(sealer.frame, bytes, peer, performance.now(), this.#givenUp) !== true) {
      this.#givenUp(peer)
    }
  }

  /**
   * Sends what has waited for keys and has some now; to be called when there may be new ones, with an empty batch.
   * @returns false when the send buffer is full and worth waiting for, as {@link flush} does
   */
  sendWaiting(peers: PeerTable): boolean {
    const room = this.#waitingRoom
    if (room === undefined || room.empty) return true
    const leaver: Leaver = (frame, bytes, peer) => this.#leave(frame, bytes, peer, peers)
    room.leave(leaver, performance.now(), this.#givenUp)
    return this.flush()
  }

  /** Drops what waits for keys to those that are no peers any more. */
  dropGone(peers: PeerTable): void {
    const room = this.#waitingRoom
    if (room !== undefined && !room.empty) room.giveUp((peer) => !peers.inUse(peer), this.#givenUp)
  }

  #leave(frame: number, bytes: number, peer: number, peers: PeerTable): boolean {
    const sealer = this.#sealer
    if (sealer === undefined || this.batch.full || !sealer.fits(bytes)) return false
    const passing = this.#passage.judge(peer, bytes)
    if (passing === REFUSED) {
      this.#passage.refuse(peer, frame, bytes, bytes, 1)
      this.countFor(peer, 1)
      return true
    }
    if (!this.opens(passing === FRAGMENTED, this.#passage.takesRuns(peer))) return false
    sealer.expect(1)
    sealer.copy(sealer.frame, frame, bytes)
    const sealed = sealer.seal(peer, bytes)
    if (sealed === 0) return false
    this.batch.addFrame(sealer.message, sealed, peer, peers.address(peer))
    sealer.keep(sealed)
    return true
  }

  /**
   * Whether the batch takes frames that may be fragmented, or may not; an empty one becomes one that does.
   * @param runs whether those that come next may be put together in runs
   */
  opens(fragmented: boolean, runs: boolean): boolean {
    if (this.batch.count === 0) {
      this.#fragmented = fragmented
      this.#segments = !fragmented && this.#offloads.isSet(this.#udpSegment)
    }
    this.batch.segments = this.#segments && runs
    return this.#fragmented === fragmented
  }

  /** Sends what is left of the batch; false when the send buffer is full and worth waiting for. */
  flush(): boolean {
    if (this.batch.count === 0) return true
    if (!this.#fragmented) return this.#send()
    this.#passage.setFragmenting(true)
    const sent = this.#send()
    this.#passage.setFragmenting(false)
    return sent
  }

  #send(): boolean {
    const { batch } = this
    if (!this.#ready) batch.seal()
    this.#ready = true
    while (this.#sent < batch.count) {
      if (batch.peerOf(this.#sent) === this.#wayless) {
        this.#drop(this.#waylessErrno, batch.framesIn(this.#sent))
        this.#sent++
        continue
      }
      const left = this.#alone ? 1 : batch.count - this.#sent
      const sent = this.#sendmmsg(this.#fd, batch.addressOf(this.#sent), left, MSG_DONTWAIT)
      this.#counters[C.syscalls]++
      if (sent > 0) this.#countSent(sent)
      else if (!this.#sendFailed(lastErrno())) return false
    }
    this.#done()
    return true
  }

  /** Sends what can be sent now, and drops the rest. */
  flushOrDrop(): void {
    if (!this.flush()) this.#dropRest()
    this.#done()
  }

  /** Frames for a peer that has no address now are dropped. */
  dropFor(peer: number, frames: number): void {
    this.#counters[C.dropUnreachable] += frames
    this.countFor(peer, frames)
  }

  /** Counts frames for a peer that were dropped elsewhere. */
  countFor(peer: number, frames: number): void {
    this.#peerCounters[peer * PEER_STRIDE + P.droppedOutbound] += frames
  }

  #countSent(sent: number): void {
    this.#blockedSinceMs = 0
    if (this.#alone) {
      this.#count(this.batch.peerOf(this.#sent), 1, this.batch.firstBytesIn(this.#sent))
      this.#leaveOut(1)
      return
    }
    for (let i = 0; i < sent; i++) {
      const message = this.#sent + i
      this.#count(this.batch.peerOf(message), this.batch.framesIn(message), this.batch.bytesIn(message))
    }
    this.#sent += sent
    this.#suspected = false
    this.#forget()
  }

  #count(peer: number, frames: number, bytes: number): void {
    this.#counters[C.sentFrames] += frames
    this.#counters[C.sentBytes] += bytes
    if (this.#fragmented) this.#counters[C.fragmentedFrames] += frames
    const at = peer * PEER_STRIDE
    this.#peerCounters[at + P.sentFrames] += frames
    this.#peerCounters[at + P.sentBytes] += bytes
  }

  /** Deals with the failure of the next message's send; false when it is to be tried again after a poll. */
  #sendFailed(errno: number): boolean {
    if (errno === EAGAIN) {
      this.#forget()
      const now = performance.now()
      if (this.#blockedSinceMs === 0) this.#blockedSinceMs = now
      if (now - this.#blockedSinceMs < SEND_PATIENCE_MS) return false
      this.#dropRest()
      return true
    }
    if (this.#worthAnother(errno)) return true
    const { batch } = this
    const message = this.#sent
    const frames = batch.framesIn(message)
    if (NO_WAY_ERRORS.has(errno)) {
      this.#wayless = batch.peerOf(message)
      this.#waylessErrno = errno
    } else if (!this.#alone && (frames > 1 || this.#suspected)) {
      if (errno === EMSGSIZE || OFFLOAD_ERRORS.has(errno)) {
        this.#takeApart(errno)
        return true
      }
    }
    // What one frame is too long for, a shorter one may pass.
    const dropped = errno === EMSGSIZE ? batch.alikeIn(message) : frames
    this.#drop(errno, dropped)
    this.#suspected = false
    this.#leaveOut(dropped)
    return true
  }

  /**
   * A run was refused, and its frames tell why. Where the first of them, as long as any, is taken, and those
   * behind it are refused as a run again, with an errno of the offload's each time, it is the offload, which is
   * given up for that peer; else it was the way, or has passed.
   */
  #takeApart(errno: number): void {
    const offload = OFFLOAD_ERRORS.has(errno)
    const peer = this.batch.peerOf(this.#sent)
    if (offload && this.#suspected) this.#passage.refuseRuns(peer)
    this.#suspected = offload && !this.#suspected && this.#passage.takesRuns(peer)
    this.#alone = true
    this.batch.single(this.#sent)
    this.#forget()
  }

  /** So many frames of the next message are done with. */
  #leaveOut(frames: number): void {
    const { batch } = this
    batch.leaveOut(this.#sent, frames)
    if (batch.framesIn(this.#sent) === 0) {
      this.#sent++
      this.#alone = false
      this.#suspected = false
    } else if (this.#suspected) this.#alone = false
    else batch.single(this.#sent)
    this.#forget()
  }

  /**
   * Whether a failed message should be tried again, for the failure may be a pending ICMP error's: what ICMP alone
   * brings is not believed, all else is when it is heard twice on end. A congested way out has dropped the message,
   * all of a run (net/ipv4/ip_output.c, ip_send_skb): to try again would be more of the same.
   */
  #worthAnother(errno: number): boolean {
    if (errno === ENOBUFS || this.#failures === MAX_RETRIES) return false
    if (errno === this.#failedWith && !ICMP_ERRORS.has(errno)) return false
    this.#failures++
    this.#failedWith = errno
    return true
  }

  #forget(): void {
    this.#failures = 0
    this.#failedWith = 0
  }

  #done(): void {
    this.batch.clear()
    this.#sealer?.clear()
    this.#ready = false
    this.#sent = 0
    this.#alone = false
    this.#suspected = false
    this.#wayless = -1
    this.#blockedSinceMs = 0
    this.#forget()
  }

  #dropRest(): void {
    for (; this.#sent < this.batch.count; this.#sent++) this.#drop(EAGAIN, this.batch.framesIn(this.#sent))
  }

  /** Frames of the message that is being sent. */
  #drop(errno: number, frames: number): void {
    this.#counters[dropCounter(errno)] += frames
    this.#peerCounters[this.batch.peerOf(this.#sent) * PEER_STRIDE + P.droppedOutbound] += frames
  }
}

function dropCounter(errno: number): number {
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
    case EAGAIN:
    case ENOBUFS:
      return C.dropSendBufferFull
    default:
      return C.dropSendFailed
  }
}

import { MSG_DONTWAIT } from '../../linux/constants.js'
import {
  EACCES,
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
import { C } from '../../memory/counters.js'
import type { Offloads } from '../../memory/offloads.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import type { PeerTable } from '../../memory/peer-table.js'
import type { Segmenter } from '../../offload/segment.js'
import type { Scratch } from '../scratch.js'
import { FRAGMENTED, type PathPolicy, REFUSED } from './path-policy.js'
import type { Sealer } from './sealer.js'
import { SendBatch } from './send-batch.js'
import type { GivenUp, Leaver, WaitingFrames } from './waiting-frames.js'

/** How long the sender waits for a full send buffer before it drops the batch. */
const SEND_PATIENCE_MS = 100

/** Errors with which the kernel refuses `UDP_SEGMENT`. EIO: there is no checksum offload (before 6.11). */
const OFFLOAD_ERRORS: ReadonlySet<number> = new Set([EIO, EINVAL])

/**
 * Errors that mean that there is no way to a peer at all: its next frame would fail alike. They come from the
 * routing table (ip_route_output_key_hash of net/ipv4/route.c, ip6_route_output of net/ipv6/route.c), or from
 * an interface that is down. EPERM is not among them: there a firewall refuses one datagram.
 */
const NO_WAY_ERRORS: ReadonlySet<number> = new Set([ENETUNREACH, EHOSTUNREACH, ENETDOWN, EACCES])

/** What seals a private tunnel's frames before they are sent. */
export interface Sealing {
  readonly sealer: Sealer
  /** Where frames wait for keys. If undefined, frames without keys are dropped. */
  readonly waitingFrames: WaitingFrames | undefined
}

export interface SenderOptions {
  readonly fd: number
  /** Length of a socket address of the socket's family. */
  readonly sockaddrBytes: number
  readonly peerCounters: Float64Array
  readonly offloads: Offloads
  readonly pathPolicy: PathPolicy
  /** Only if the tunnel is private. */
  readonly sealing?: Sealing | undefined
  /** The system call; a test may replace it. */
  readonly sendmmsg?: typeof sendmmsg
}

/**
 * Sends batches of messages to peers, and handles those that are refused. A peer that cannot be reached does
 * not affect the others. Its messages are dropped and counted for it, and the other messages are sent.
 */
export class Sender {
  /** The messages that {@link flush} sends. */
  readonly batch: SendBatch
  readonly #fd: number
  readonly #offloads: Offloads
  readonly #udpSegment: number
  readonly #pathPolicy: PathPolicy
  readonly #sealer: Sealer | undefined
  readonly #waitingFrames: WaitingFrames | undefined
  readonly #sendmmsg: typeof sendmmsg
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array
  /** Whether the batch's datagrams may be fragmented. */
  #fragmented = false
  /** Whether the kernel is believed to take runs (`UDP_SEGMENT`). */
  #segments = true
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
  readonly #givenUp: GivenUp = (peer) => {
    this.#counters[C.dropNoKeypair]++
    this.countFor(peer, 1)
  }

  constructor(options: SenderOptions, scratch: Scratch, counters: Float64Array) {
    this.#fd = options.fd
    this.#offloads = options.offloads
    this.#udpSegment = options.offloads.wordOf('udp_segment')
    this.#pathPolicy = options.pathPolicy
    this.#sealer = options.sealing?.sealer
    this.#waitingFrames = options.sealing?.waitingFrames
    this.#sendmmsg = options.sendmmsg ?? sendmmsg
    this.#counters = counters
    this.#peerCounters = options.peerCounters
    this.batch = new SendBatch(scratch, options.sockaddrBytes)
  }

  /** Whether each message is sealed for its peer, and so cannot go to another peer. */
  get seals(): boolean {
    return this.#sealer !== undefined
  }

  /** Whether the sealer has room for a frame of `bytes`. The batch's own room is not checked here. */
  fits(bytes: number): boolean {
    return this.#sealer === undefined || this.#sealer.fits(bytes)
  }

  /**
   * Adds a frame that fits, to the peer whose socket address is at offset `name`. Unless the tunnel is
   * private, the frame must stay unchanged until {@link flush}.
   */
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

  /** Announces that `segments` segments come next, all for one peer. */
  expect(segments: number): void {
    this.#sealer?.expect(segments)
  }

  /** Adds a segment, which fits, of the super-frame that the segmenter has taken up. */
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

  /**
   * Seals the frame that is in the sealer, and adds it to the batch in one piece. Without keys the frame waits.
   */
  #seal(sealer: Sealer, bytes: number, peer: number, name: number): void {
    const sealed = sealer.seal(peer, bytes)
    if (sealed > 0) {
      this.batch.addFrame(sealer.message, sealed, peer, name)
      sealer.keep(sealed)
    } else if (
      this.#waitingFrames?.put(sealer.frame, bytes, peer, performance.now(), this.#givenUp) !== true
    ) {
      this.#givenUp(peer)
    }
  }

  /**
   * Sends the frames that waited for keys and have keys now. Call it with an empty batch, when there may be new
   * keys.
   * @returns false if the send buffer is full and worth waiting for, as {@link flush} does
   */
  sendWaiting(peers: PeerTable): boolean {
    const room = this.#waitingFrames
    if (room === undefined || room.empty) return true
    const leaver: Leaver = (frame, bytes, peer) => this.#leave(frame, bytes, peer, peers)
    room.leave(leaver, performance.now(), this.#givenUp)
    return this.flush()
  }

  /** Drops the frames that wait for keys to peers that no longer exist. */
  dropGone(peers: PeerTable): void {
    const room = this.#waitingFrames
    if (room !== undefined && !room.empty) room.giveUp((peer) => !peers.inUse(peer), this.#givenUp)
  }

  #leave(frame: number, bytes: number, peer: number, peers: PeerTable): boolean {
    const sealer = this.#sealer
    if (sealer === undefined || this.batch.full || !sealer.fits(bytes)) return false
    const passing = this.#pathPolicy.judge(peer, bytes)
    if (passing === REFUSED) {
      this.#pathPolicy.refuse(peer, frame, bytes, bytes, 1)
      this.countFor(peer, 1)
      return true
    }
    if (!this.opens(passing === FRAGMENTED, this.#pathPolicy.takesRuns(peer))) return false
    sealer.expect(1)
    sealer.copy(sealer.frame, frame, bytes)
    const sealed = sealer.seal(peer, bytes)
    if (sealed === 0) return false
    this.batch.addFrame(sealer.message, sealed, peer, peers.address(peer))
    sealer.keep(sealed)
    return true
  }

  /**
   * Whether frames of this sort, fragmented or not, may join the batch. An empty batch takes on the sort that
   * is asked for.
   * @param runs whether the next frames may be joined into runs
   */
  opens(fragmented: boolean, runs: boolean): boolean {
    if (this.batch.count === 0) {
      this.#fragmented = fragmented
      this.#segments = !fragmented && this.#offloads.isSet(this.#udpSegment)
    }
    this.batch.segments = this.#segments && runs
    return this.#fragmented === fragmented
  }

  /** Sends the rest of the batch. False if the send buffer is full and worth waiting for. */
  flush(): boolean {
    if (this.batch.count === 0) return true
    if (!this.#fragmented) return this.#send()
    this.#pathPolicy.setFragmenting(true)
    const sent = this.#send()
    this.#pathPolicy.setFragmenting(false)
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

  /** Drops and counts frames for a peer that has no address now. */
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
  }

  #count(peer: number, frames: number, bytes: number): void {
    this.#counters[C.sentFrames] += frames
    this.#counters[C.sentBytes] += bytes
    if (this.#fragmented) this.#counters[C.fragmentedFrames] += frames
    const at = peer * PEER_STRIDE
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
    const peer = this.batch.peerOf(this.#sent)
    if (offload && this.#suspected) this.#pathPolicy.refuseRuns(peer)
    this.#suspected = offload && !this.#suspected && this.#pathPolicy.takesRuns(peer)
    this.#alone = true
    this.batch.single(this.#sent)
  }

  /** The next `frames` frames of the message are finished. */
  #leaveOut(frames: number): void {
    const { batch } = this
    batch.leaveOut(this.#sent, frames)
    if (batch.framesIn(this.#sent) === 0) {
      this.#sent++
      this.#alone = false
      this.#suspected = false
    } else if (this.#suspected) this.#alone = false
    else batch.single(this.#sent)
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
  }

  #dropRest(): void {
    for (; this.#sent < this.batch.count; this.#sent++) this.#drop(EAGAIN, this.batch.framesIn(this.#sent))
  }

  /** Drops frames of the message that is being sent. */
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

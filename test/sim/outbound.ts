import { encapFor } from '../../src/encap/encap.js'
import { EMSGSIZE, ENETUNREACH } from '../../src/linux/errno.js'
import type { NativeMemory } from '../../src/linux/memory.js'
import { SOCKADDR_BYTES } from '../../src/linux/sockaddr.js'
import { C } from '../../src/memory/counters.js'
import { Drops } from '../../src/memory/drops.js'
import { NAME, NAME_BYTES } from '../../src/memory/name.js'
import { BLOCKED, type PathLimits } from '../../src/memory/path-limits.js'
import { P, PEER_STRIDE } from '../../src/memory/peer-counters.js'
import type { PeerTable } from '../../src/memory/peer-table.js'
import type { StateWords } from '../../src/memory/state-words.js'
import { dropCounterOf, FLOOD } from '../../src/memory/target.js'
import { scalarOperations } from '../../src/offload/bytes.js'
import { TOO_BIG_BYTES, TooBigAnswer } from '../../src/offload/too-big.js'
import type { DeviceMode } from '../../src/wire/mode.js'
import { RELAY_HEADER_BYTES } from '../../src/wire/relay.js'
import { FRAGMENTED, type Passing, PathPolicy, REFUSED } from '../../src/worker/outbound/path-policy.js'
import type { Scratch } from '../../src/worker/scratch.js'
import type { Router } from '../../src/worker/switching/router.js'
import type { SimClock } from './clock.js'
import type { PrivateParts } from './private-parts.js'

/** Room for the longest frame. */
const FRAME_BYTES = 65_536

export interface OutboundOptions {
  readonly memory: NativeMemory
  readonly scratch: Scratch
  readonly mode: DeviceMode
  readonly clock: SimClock
  readonly peers: PeerTable
  readonly limits: PathLimits
  readonly words: StateWords
  readonly counters: Float64Array
  readonly peerCounters: Float64Array
  /** Only in mode tun. */
  readonly router: Router | undefined
  /** Only if the tunnel is private. */
  readonly parts: PrivateParts | undefined
  readonly send: (datagram: Uint8Array, name: Uint8Array, mayFragment: boolean) => number
  /** Takes the answers to frames that are too long. */
  readonly onAnswer: (answer: Uint8Array) => void
}

/** From the device to the peers: which way, whether it passes in one datagram, sealing, sending. */
export class Outbound {
  readonly #options: OutboundOptions
  readonly #u8: Uint8Array
  readonly #drops: Drops
  readonly #policy: PathPolicy
  readonly #answer: TooBigAnswer
  readonly #l2Bytes: number
  /** Offsets of a frame from the device, and of the answer to it. */
  readonly #frame: number
  readonly #answerAt: number
  /** Offset of the header of a relayed message. */
  readonly #header: number

  constructor(options: OutboundOptions) {
    const { memory, scratch, mode, limits, words, counters, peerCounters, parts } = options
    const encap = encapFor(mode, parts !== undefined)
    const bytes = scalarOperations(memory)
    this.#options = options
    this.#u8 = memory.u8
    this.#drops = new Drops(counters, peerCounters)
    this.#l2Bytes = encap.l2Bytes
    this.#frame = scratch.take(FRAME_BYTES)
    this.#answerAt = scratch.take(TOO_BIG_BYTES + 16)
    this.#header = scratch.take(RELAY_HEADER_BYTES)
    this.#answer = new TooBigAnswer(memory, bytes, this.#answerAt)
    // It only judges here, and so needs no fd: its answers are limited by a clock of their own, in real time.
    const around = { limits, words, encap, drops: this.#drops, sockaddrBytes: SOCKADDR_BYTES }
    this.#policy = new PathPolicy({ ...around, tapFd: -1 }, scratch, bytes, counters)
  }

  /** Mode tun: the host sends a packet, to the peer that has its destination. */
  route(packet: Uint8Array): void {
    const { router, peers } = this.#options
    if (router === undefined) throw new Error('a tunnel of mode tap routes nothing')
    this.#u8.set(packet, this.#frame)
    router.begin()
    const target = router.fromDevice(this.#frame, packet.length)
    if (target < FLOOD) this.#drops.ofNobody(dropCounterOf(target), 1)
    else if (!peers.inUse(target)) this.#drops.outbound(C.dropUnreachable, target, 1)
    else this.#pass(target, packet.length)
  }

  /** Mode tap: the host sends a frame, to the peer of a row. */
  offer(row: number, frame: Uint8Array): void {
    this.#u8.set(frame, this.#frame)
    if (this.#options.peers.inUse(row)) this.#pass(row, frame.length)
    else this.#drops.outbound(C.dropUnreachable, row, 1)
  }

  #pass(row: number, bytes: number): void {
    const { parts, clock } = this.#options
    const frame = this.#frame
    const passing = this.#policy.judge(row, bytes, frame, bytes)
    if (passing === REFUSED) this.#refuse(row, frame, bytes)
    else if (parts === undefined) this.#send(row, passing, this.#u8.subarray(frame, frame + bytes))
    else if (!this.#seal(parts, row, passing, frame, bytes)) {
      if (!parts.waiting.put(frame, bytes, row, clock.nowMs(), this.#givenUp)) this.#givenUp(row)
    }
  }

  /** There may be new keys: frames that waited for them leave, or are given up. */
  leaveWaiting(): void {
    const { parts, peers, clock } = this.#options
    if (parts === undefined) return
    parts.waiting.giveUp((row) => !peers.inUse(row), this.#givenUp)
    const leave = (frame: number, bytes: number, row: number) => this.#leave(parts, frame, bytes, row)
    parts.waiting.leave(leave, clock.nowMs(), this.#givenUp)
  }

  /** Returns whether the frame is finished. */
  #leave(parts: PrivateParts, frame: number, bytes: number, row: number): boolean {
    const passing = this.#policy.judge(row, bytes, frame, bytes)
    if (passing !== REFUSED) return this.#seal(parts, row, passing, frame, bytes)
    this.#refuse(row, frame, bytes)
    return true
  }

  /** Seals a frame and sends it. False if there are no keys. */
  #seal(parts: PrivateParts, row: number, passing: Passing, frame: number, bytes: number): boolean {
    const { sealer } = parts
    parts.look()
    this.#u8.copyWithin(sealer.frame, frame, frame + bytes)
    sealer.expect(1)
    const sealed = sealer.seal(row, bytes)
    if (sealed === 0) return false
    this.#send(row, passing, this.#u8.subarray(sealer.message, sealer.message + sealed))
    sealer.clear()
    return true
  }

  #send(row: number, passing: Passing, datagram: Uint8Array): void {
    const { memory, peers, counters, peerCounters, parts, send } = this.#options
    let name = peers.address(row)
    let whole = datagram
    const via = memory.u32[(name + NAME.via) >>> 2]
    if (via !== 0) {
      if (parts?.headers.toIntroducer(via - 1, row, this.#header) !== true) {
        this.#givenUp(row)
        return
      }
      whole = Buffer.concat([this.#u8.subarray(this.#header, this.#header + RELAY_HEADER_BYTES), datagram])
      name = peers.address(via - 1)
    }
    const errno = send(whole, this.#u8.slice(name, name + NAME_BYTES), passing === FRAGMENTED)
    if (errno !== 0) {
      const noWay = errno === ENETUNREACH ? C.dropUnreachable : C.dropSendFailed
      this.#drops.outbound(errno === EMSGSIZE ? C.dropTooBig : noWay, row, 1)
      return
    }
    counters[C.sentFrames]++
    counters[C.sentBytes] += datagram.length
    if (passing === FRAGMENTED) counters[C.fragmentedFrames]++
    peerCounters[row * PEER_STRIDE + P.sentFrames]++
    peerCounters[row * PEER_STRIDE + P.sentBytes] += datagram.length
  }

  /** Drops a frame that is too long for the path, and answers as a router would, if that is due. */
  #refuse(row: number, frame: number, bytes: number): void {
    const { limits, words, counters, onAnswer } = this.#options
    const longest = limits.whole(row)
    this.#drops.outbound(longest === BLOCKED ? C.dropUnreachable : C.dropOverPath, row, 1)
    if (longest === BLOCKED) return
    const length = this.#answer.write(frame, bytes, bytes, this.#l2Bytes, longest, words.deviceMtuBytes)
    if (length === 0) return
    counters[C.tooBigAnswers]++
    onAnswer(this.#u8.slice(this.#answerAt, this.#answerAt + length))
  }

  readonly #givenUp = (row: number) => this.#drops.outbound(C.dropNoKeypair, row, 1)
}

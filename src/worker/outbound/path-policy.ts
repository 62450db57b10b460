import type { Encap } from '../../encap/encap.js'
import {
  AF_INET6,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_OMIT,
  IP_PMTUDISC_PROBE,
  IPV6_MTU_DISCOVER,
  IPV6_PMTUDISC_DONT,
  type IPV6_PMTUDISC_PROBE,
  SOL_IP,
  SOL_IPV6,
} from '../../linux/constants.js'
import { setsockopt, writev } from '../../linux/libc.js'
import type { NativeMemory } from '../../linux/memory.js'
import { type SocketFamily, sockaddrLength } from '../../linux/sockaddr.js'
import { iovec, virtio_net_hdr } from '../../linux/structs.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import { BLOCKED, type PathLimits } from '../../memory/path-limits.js'
import type { StateWords } from '../../memory/state-words.js'
import type { ByteOperations } from '../../offload/bytes.js'
import { TOO_BIG_BYTES, TooBigAnswer } from '../../offload/too-big.js'
import type { Scratch } from '../scratch.js'

/** How a frame goes to a peer: in one datagram; in one that may be fragmented; not at all. */
export const WHOLE = 0
export const FRAGMENTED = 1
export const REFUSED = 2
export type Passing = typeof WHOLE | typeof FRAGMENTED | typeof REFUSED

/** Answers to frames that are too big: the most in a burst, and per second. */
const ANSWERS = 20
const ANSWERS_PER_SECOND = 100

/**
 * Room for the start of a segment that is quoted in an answer: its headers, and as much payload as can be
 * quoted.
 */
export const QUOTE_BYTES = TOO_BIG_BYTES

export interface PathPolicyOptions {
  readonly limits: PathLimits
  /** Length of a socket address of the socket's family. */
  readonly sockaddrBytes: number
  readonly tapFd: number
  readonly encap: Encap
  readonly words: StateWords
  readonly drops: Drops
}

/** Path policy: what the paths to the peers carry, and what happens to a frame that is too long for one. */
export class PathPolicy {
  /** Offset of {@link QUOTE_BYTES} bytes. */
  readonly quote: number
  readonly #options: PathPolicyOptions
  readonly #memory: NativeMemory
  readonly #counters: Float64Array
  readonly #answer: TooBigAnswer
  /** Two `struct iovec`: an empty `virtio_net_hdr`, and the answer. */
  readonly #iov: number
  readonly #iovAddress: bigint
  /** Addresses of the values for the socket options. */
  readonly #omit: bigint
  readonly #dont: bigint
  readonly #probe: bigint
  #answers = ANSWERS
  #answeredMs = 0

  constructor(options: PathPolicyOptions, scratch: Scratch, bytes: ByteOperations, counters: Float64Array) {
    const { memory } = scratch
    this.#options = options
    this.#memory = memory
    this.#counters = counters
    this.quote = scratch.take(QUOTE_BYTES + 16)
    const answer = scratch.take(TOO_BIG_BYTES + 16)
    this.#answer = new TooBigAnswer(memory, bytes, answer)
    this.#iov = scratch.take(2 * iovec.size)
    this.#iovAddress = memory.address(this.#iov)
    memory.writePointer(this.#iov + iovec.iov_base, scratch.take(virtio_net_hdr.size))
    memory.u32[(this.#iov + iovec.iov_len) >>> 2] = virtio_net_hdr.size
    memory.writePointer(this.#iov + iovec.size + iovec.iov_base, answer)
    const value = (number: number) => {
      const at = scratch.take(4)
      memory.i32[at >>> 2] = number
      return memory.address(at)
    }
    this.#omit = value(IP_PMTUDISC_OMIT)
    this.#dont = value(IPV6_PMTUDISC_DONT)
    // IPv4 and IPv6 have the same number for this.
    this.#probe = value(IP_PMTUDISC_PROBE satisfies typeof IPV6_PMTUDISC_PROBE)
  }

  /** Whether the path to the peer in this row carries a frame of `bytes` in one datagram. */
  isWhole(row: number, bytes: number): boolean {
    return bytes <= this.#options.limits.whole(row)
  }

  /**
   * How a frame of `bytes` goes to the peer in this row.
   * @param frame offset of the frame, or of a super-frame with such segments, of which `available` bytes are there
   */
  judge(row: number, bytes: number, frame: number, available: number): Passing {
    const { limits, encap } = this.#options
    if (bytes <= limits.whole(row)) return WHOLE
    if (bytes <= limits.fragmented(row)) return FRAGMENTED
    if (bytes > limits.unanswered(row)) return REFUSED
    return this.#answer.isDue(frame, available, bytes, encap.l2Bytes) ? REFUSED : FRAGMENTED
  }

  /** Whether the kernel takes runs of datagrams to the peer in this row in one message. */
  takesRuns(row: number): boolean {
    return this.#options.limits.takesRuns(row)
  }

  /** The kernel has refused a run to the peer in this row. */
  refuseRuns(row: number): void {
    this.#options.limits.refuseRuns(row)
  }

  /**
   * Drops `frames` frames of `bytes` each that are too long for the path, or that may not be sent. Answers the
   * former as a router would, if the
   * device's MTU promises more than the path carries. A packet longer than the
   * device's MTU gets no answer: that MTU is just being lowered.
   * @param frame offset of the first frame, of which `available` bytes are there
   */
  refuse(row: number, frame: number, available: number, bytes: number, frames: number): void {
    const { limits, encap, words, tapFd, drops } = this.#options
    const longest = limits.whole(row)
    drops.outbound(longest === BLOCKED ? C.dropUnreachable : C.dropOverPath, row, frames)
    if (longest === BLOCKED) return
    const { deviceMtuBytes } = words
    if (!this.#mayAnswer()) return
    const length = this.#answer.write(frame, available, bytes, encap.l2Bytes, longest, deviceMtuBytes)
    if (length === 0) return
    this.#answers--
    this.#memory.u32[(this.#iov + iovec.size + iovec.iov_len) >>> 2] = length
    this.#counters[C.syscalls]++
    if (writev(tapFd, this.#iovAddress, 2) >= 0) this.#counters[C.tooBigAnswers]++
  }

  #mayAnswer(): boolean {
    const nowMs = performance.now()
    const more = ((nowMs - this.#answeredMs) * ANSWERS_PER_SECOND) / 1_000
    this.#answers = Math.min(ANSWERS, this.#answers + more)
    this.#answeredMs = nowMs
    return this.#answers >= 1
  }

  /**
   * Allows or forbids fragmentation of the datagrams of a socket. IPv4 datagrams are then sent without don't-fragment. IPv6
   * datagrams are fragmented by this host, by the path MTU in its cache (ip(7), ipv6(7)). A state word is odd
   * while fragmentation is allowed. Main reads it, because what main sends on the socket in that time is
   * fragmented too.
   */
  setFragmenting(udpFd: number, on: boolean): void {
    const { sockaddrBytes, words } = this.#options
    if (on) words.fragmentingChanged()
    setsockopt(udpFd, SOL_IP, IP_MTU_DISCOVER, on ? this.#omit : this.#probe, 4)
    this.#counters[C.syscalls]++
    if (sockaddrBytes === sockaddrLength(AF_INET6 satisfies SocketFamily)) {
      setsockopt(udpFd, SOL_IPV6, IPV6_MTU_DISCOVER, on ? this.#dont : this.#probe, 4)
      this.#counters[C.syscalls]++
    }
    if (!on) words.fragmentingChanged()
  }
}

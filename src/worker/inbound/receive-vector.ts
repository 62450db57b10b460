import { SOL_UDP, UDP_GRO } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { cmsghdr, iovec, mmsghdr, msghdr } from '../../linux/structs.js'
import type { Scratch } from '../scratch.js'

const NAME_BYTES = 64
const CONTROL_BYTES = 64

/** How many datagrams there are in a message of `bytes` with this {@link ReceiveVector.gsoSize}. */
export function datagramsIn(bytes: number, gsoSize: number): number {
  return gsoSize === 0 ? 1 : Math.ceil(bytes / gsoSize)
}

/**
 * An array of `struct mmsghdr` for recvmmsg(2). Each has a buffer, the sender's name and the word of `UDP_GRO`.
 */
export class ReceiveVector {
  /** Address of the array. */
  readonly address: bigint
  readonly #memory: NativeMemory
  readonly #messages: number
  readonly #iovecs: number
  readonly #names: number
  readonly #controls: number
  readonly #sockaddrBytes: number

  constructor(scratch: Scratch, count: number, sockaddrBytes: number) {
    const memory = scratch.memory
    this.#memory = memory
    this.#sockaddrBytes = sockaddrBytes
    this.#messages = scratch.take(count * mmsghdr.size)
    this.#iovecs = scratch.take(count * iovec.size)
    this.#names = scratch.take(count * NAME_BYTES)
    this.#controls = scratch.take(count * CONTROL_BYTES)
    this.address = memory.address(this.#messages)
    for (let i = 0; i < count; i++) {
      const at = this.#messages + i * mmsghdr.size
      memory.writePointer(at + msghdr.msg_name, this.#names + i * NAME_BYTES)
      memory.writePointer(at + msghdr.msg_iov, this.#iovecs + i * iovec.size)
      memory.u32[(at + msghdr.msg_iovlen) >>> 2] = 1
      memory.writePointer(at + msghdr.msg_control, this.#controls + i * CONTROL_BYTES)
    }
  }

  /** Prepares message `index` to be received into `bytes` bytes at `offset`. */
  prepare(index: number, offset: number, bytes: number): void {
    const at = this.#messages + index * mmsghdr.size
    const iov = this.#iovecs + index * iovec.size
    this.#memory.writePointer(iov + iovec.iov_base, offset)
    this.#memory.u32[(iov + iovec.iov_len) >>> 2] = bytes
    this.#memory.u32[(at + msghdr.msg_namelen) >>> 2] = this.#sockaddrBytes
    this.#memory.u32[(at + msghdr.msg_controllen) >>> 2] = CONTROL_BYTES
  }

  /** Bytes received into message `index`. */
  bytes(index: number): number {
    return this.#memory.u32[(this.#messages + index * mmsghdr.size + mmsghdr.msg_len) >>> 2]
  }

  flags(index: number): number {
    return this.#memory.u32[(this.#messages + index * mmsghdr.size + msghdr.msg_flags) >>> 2]
  }

  /** Offset of the sender's socket address. Zeros follow a short address. */
  name(index: number): number {
    return this.#names + index * NAME_BYTES
  }

  /** If the message is several datagrams: bytes of each but the last (`UDP_GRO`, udp(7)). Otherwise 0. */
  gsoSize(index: number): number {
    const u32 = this.#memory.u32
    const at = this.#messages + index * mmsghdr.size
    const control = (this.#controls + index * CONTROL_BYTES) >>> 2
    // There are no branches here, because V8 discards compiled code when the first run takes a branch not seen
    // before.
    const short = u32[(at + msghdr.msg_controllen) >>> 2] < cmsghdr.size + 4 ? 1 : 0
    const level = u32[control + (cmsghdr.cmsg_level >>> 2)] ^ SOL_UDP
    const type = u32[control + (cmsghdr.cmsg_type >>> 2)] ^ UDP_GRO
    const size = u32[control + (cmsghdr.size >>> 2)]
    const run = size < this.bytes(index) ? size : 0
    return (short | level | type) === 0 ? run : 0
  }
}

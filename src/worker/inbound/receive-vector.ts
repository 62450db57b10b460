import { SOL_UDP, UDP_GRO } from '../../linux/constants.js'
import { DS_SPACE, dsFieldIn } from '../../linux/ds-field.js'
import type { NativeMemory } from '../../linux/memory.js'
import { PKTINFO_SPACE, type PktInfo, pktInfoOf } from '../../linux/pktinfo.js'
import { SOCKADDR_BYTES } from '../../linux/sockaddr.js'
import { cmsghdr, iovec, mmsghdr, msghdr } from '../../linux/structs.js'
import { NAME } from '../../memory/name.js'
import type { Scratch } from '../scratch.js'

/** From one name to the next: a cache line. */
const NAME_STRIDE = 64
/** `CMSG_SPACE(sizeof(int))` (cmsg(3)). */
const GRO_SPACE = cmsghdr.size + 8
const CONTROL_BYTES = GRO_SPACE + PKTINFO_SPACE + DS_SPACE

/** The third word of an IPv4-mapped address (RFC 4291, 2.5.5.2), as it lies in memory. */
const MAPPED = 0xffff_0000 | 0

/** How many datagrams there are in a message of `bytes` with this {@link ReceiveVector.gsoSize}. */
export function datagramsIn(bytes: number, gsoSize: number): number {
  return gsoSize === 0 ? 1 : Math.ceil(bytes / gsoSize)
}

/**
 * An array of `struct mmsghdr` for recvmmsg(2). Each has a buffer, the sender's name, the word of `UDP_GRO`, the
 * address of this host that it was sent to, and the DS field.
 */
export class ReceiveVector {
  /** Address of the array. */
  readonly address: bigint
  readonly #memory: NativeMemory
  readonly #messages: number
  readonly #iovecs: number
  readonly #names: number
  readonly #controls: number
  readonly #pktInfo: PktInfo
  /** All ones if local addresses have four words, and zero if they have one. */
  readonly #wide: number

  /** @param sockaddrBytes length of the socket's addresses */
  constructor(scratch: Scratch, count: number, sockaddrBytes: number) {
    const memory = scratch.memory
    this.#memory = memory
    this.#pktInfo = pktInfoOf(sockaddrBytes)
    this.#wide = this.#pktInfo.words === 4 ? -1 : 0
    this.#messages = scratch.take(count * mmsghdr.size)
    this.#iovecs = scratch.take(count * iovec.size)
    this.#names = scratch.take(count * NAME_STRIDE)
    this.#controls = scratch.take(count * CONTROL_BYTES)
    this.address = memory.address(this.#messages)
    for (let i = 0; i < count; i++) {
      const at = this.#messages + i * mmsghdr.size
      memory.writePointer(at + msghdr.msg_name, this.#names + i * NAME_STRIDE)
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
    this.#memory.u32[(at + msghdr.msg_namelen) >>> 2] = SOCKADDR_BYTES
    this.#memory.u32[(at + msghdr.msg_controllen) >>> 2] = CONTROL_BYTES
  }

  /** Bytes received into message `index`. */
  bytes(index: number): number {
    return this.#memory.u32[(this.#messages + index * mmsghdr.size + mmsghdr.msg_len) >>> 2]
  }

  flags(index: number): number {
    return this.#memory.u32[(this.#messages + index * mmsghdr.size + msghdr.msg_flags) >>> 2]
  }

  /**
   * Offset of the sender's name (memory/name.ts). Its local address is there after {@link readLocal}.
   */
  name(index: number): number {
    return this.#names + index * NAME_STRIDE
  }

  /**
   * Puts the address that the message was sent to behind its sender's socket address; zeros if the kernel has not
   * told it. It is behind the word of `UDP_GRO`, if there is one.
   */
  readLocal(index: number): void {
    const u32 = this.#memory.u32
    const { level, type, space, receivedAt } = this.#pktInfo
    const at = this.#messages + index * mmsghdr.size
    const behind = this.#isRun(index) === 0 ? GRO_SPACE : 0
    const message = this.#controls + index * CONTROL_BYTES + behind
    // Without branches, as in gsoSize.
    const short = u32[(at + msghdr.msg_controllen) >>> 2] < behind + space ? 1 : 0
    const other =
      (u32[(message + cmsghdr.cmsg_level) >>> 2] ^ level) | (u32[(message + cmsghdr.cmsg_type) >>> 2] ^ type)
    const told = (short | other) === 0 ? -1 : 0
    const wide = told & this.#wide
    const from = (message + receivedAt) >>> 2
    const to = (this.#names + index * NAME_STRIDE + NAME.local) >>> 2
    const high = this.#wide & 1
    u32[to] = u32[from] & wide
    u32[to + 1] = u32[from + high] & wide
    u32[to + 2] = (u32[from + 2 * high] & wide) | (MAPPED & told & ~this.#wide)
    u32[to + 3] = u32[from + 3 * high] & told
  }

  /** If the message is several datagrams: bytes of each but the last (`UDP_GRO`, udp(7)). Otherwise 0. */
  gsoSize(index: number): number {
    const u32 = this.#memory.u32
    const control = (this.#controls + index * CONTROL_BYTES) >>> 2
    // There are no branches here, because V8 discards compiled code when the first run takes a branch not seen
    // before.
    const size = u32[control + (cmsghdr.size >>> 2)]
    const run = size < this.bytes(index) ? size : 0
    return this.#isRun(index) === 0 ? run : 0
  }

  /** The DS field of the message, and so of each datagram in it: the kernel joins none that have another. */
  dsField(index: number): number {
    const { u32 } = this.#memory
    const bytes = u32[(this.#messages + index * mmsghdr.size + msghdr.msg_controllen) >>> 2]
    return dsFieldIn(this.#memory, this.#controls + index * CONTROL_BYTES, bytes)
  }

  /** 0 if the first control message is that of `UDP_GRO`. */
  #isRun(index: number): number {
    const u32 = this.#memory.u32
    const at = this.#messages + index * mmsghdr.size
    const control = (this.#controls + index * CONTROL_BYTES) >>> 2
    const short = u32[(at + msghdr.msg_controllen) >>> 2] < cmsghdr.size + 4 ? 1 : 0
    const level = u32[control + (cmsghdr.cmsg_level >>> 2)] ^ SOL_UDP
    const type = u32[control + (cmsghdr.cmsg_type >>> 2)] ^ UDP_GRO
    return short | level | type
  }
}

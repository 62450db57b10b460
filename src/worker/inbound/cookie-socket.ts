import { MSG_DONTWAIT, SIOCOUTQ } from '../../linux/constants.js'
import { ioctl, lastErrno, sendmsg } from '../../linux/libc.js'
import type { NativeMemory } from '../../linux/memory.js'
import { type PktInfo, pktInfoOf, preparePktInfo, SOURCE_ERRORS, setSource } from '../../linux/pktinfo.js'
import { iovec, msghdr } from '../../linux/structs.js'
import { NAME, NAME_BYTES } from '../../memory/name.js'

export const COOKIE_SOCKET_SCRATCH_BYTES = 320

/** Offsets in the scratch memory: a name, a number, a message, its iovec, and its control message. */
const NAME_AT = 0
const USED = 64
const MESSAGE = 128
const IOVEC = 192
const SOURCE = 256

/** Where cookie replies leave. Offsets are into the shared memory. Nothing here waits. */
export interface CookieOutlet {
  /** Sends the reply to the name at offset `name`, from its local address. Returns whether it has gone. */
  send(name: number): boolean
  /** Bytes of the send buffer in use, as the kernel counts them. */
  usedBytes(): number
}

export interface CookieSocketOptions {
  readonly memory: NativeMemory
  readonly fd: number
  /** Length of the socket's addresses. */
  readonly sockaddrBytes: number
  /** Offset and length of the reply. */
  readonly reply: number
  readonly replyBytes: number
  /** Offset of {@link COOKIE_SOCKET_SCRATCH_BYTES} bytes, a multiple of 64. */
  readonly scratch: number
  /** Called for each system call. */
  readonly called: () => void
}

/** The data socket, as the gate sends its cookie replies by it. */
export class CookieSocket implements CookieOutlet {
  readonly #options: CookieSocketOptions
  readonly #pktInfo: PktInfo
  readonly #message: bigint
  readonly #used: number
  readonly #usedAddress: bigint

  constructor(options: CookieSocketOptions) {
    const { memory, reply, replyBytes, sockaddrBytes, scratch } = options
    this.#options = options
    this.#pktInfo = pktInfoOf(sockaddrBytes)
    this.#message = memory.address(scratch + MESSAGE)
    this.#used = (scratch + USED) >>> 2
    this.#usedAddress = memory.address(scratch + USED)
    const { u32 } = memory
    const message = scratch + MESSAGE
    memory.writePointer(message + msghdr.msg_name, scratch + NAME_AT)
    u32[(message + msghdr.msg_namelen) >>> 2] = sockaddrBytes
    memory.writePointer(message + msghdr.msg_iov, scratch + IOVEC)
    u32[(message + msghdr.msg_iovlen) >>> 2] = 1
    memory.writePointer(message + msghdr.msg_control, scratch + SOURCE)
    memory.writePointer(scratch + IOVEC + iovec.iov_base, reply)
    u32[(scratch + IOVEC + iovec.iov_len) >>> 2] = replyBytes
    preparePktInfo(memory, this.#pktInfo, scratch + SOURCE)
  }

  send(name: number): boolean {
    const { memory, scratch } = this.#options
    const { u32 } = memory
    const own = scratch + NAME_AT
    memory.u8.copyWithin(own, name, name + NAME_BYTES)
    const local = (own + NAME.local) >>> 2
    const known = (u32[local] | u32[local + 1] | u32[local + 2] | u32[local + 3]) !== 0
    if (known) setSource(memory, this.#pktInfo, scratch + SOURCE, own + NAME.local)
    if (this.#send(known)) return true
    // A broadcast or multicast address cannot be the source.
    return known && SOURCE_ERRORS.has(lastErrno()) && this.#send(false)
  }

  #send(bearsLocal: boolean): boolean {
    const { memory, fd, scratch, called } = this.#options
    memory.u32[(scratch + MESSAGE + msghdr.msg_controllen) >>> 2] = bearsLocal ? this.#pktInfo.space : 0
    called()
    return sendmsg(fd, this.#message, MSG_DONTWAIT) >= 0
  }

  usedBytes(): number {
    const { memory, fd, called } = this.#options
    called()
    return ioctl(fd, SIOCOUTQ, this.#usedAddress) < 0 ? 0 : memory.u32[this.#used]
  }
}

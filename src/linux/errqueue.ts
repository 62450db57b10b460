import { IP_RECVERR, IPV6_RECVERR, MSG_DONTWAIT, MSG_ERRQUEUE, SOL_IP, SOL_IPV6 } from './constants.js'
import { recvmsg } from './libc.js'
import type { NativeMemory } from './memory.js'
import { SOCKADDR_BYTES } from './sockaddr.js'
import { cmsghdr, iovec, msghdr, sock_extended_err } from './structs.js'

/** One error from a socket's error queue (`struct sock_extended_err`, <linux/errqueue.h>). */
export interface ExtendedError {
  errno: number
  /** `SO_EE_ORIGIN_…` */
  origin: number
  /** ICMP type and code, if the origin is ICMP. */
  type: number
  code: number
  /** The MTU, for EMSGSIZE. */
  info: number
  /**
   * Offsets in the memory of two socket addresses, with zeros after a short one. The first is the destination
   * of the datagram that the error is about. The second is the sender of the error (`SO_EE_OFFENDER`).
   */
  readonly destination: number
  readonly offender: number
}

const CONTROL_BYTES = 512
const PAYLOAD_BYTES = 64
const NAME_BYTES = 64

/** Reads a socket's error queue (`MSG_ERRQUEUE`, ip(7)) into one object, which is used again for each error. */
export class ErrorQueue {
  /** Bytes of memory that it needs. */
  static readonly BYTES = 64 + 64 + PAYLOAD_BYTES + 2 * NAME_BYTES + CONTROL_BYTES
  readonly error: ExtendedError
  readonly #memory: NativeMemory
  readonly #message: number
  readonly #control: number
  readonly #address: bigint

  /** @param at offset of {@link BYTES} zeroed bytes in `memory`, a multiple of 64 */
  constructor(memory: NativeMemory, at: number) {
    this.#memory = memory
    this.#message = at
    const iov = at + 64
    const payload = at + 128
    const destination = payload + PAYLOAD_BYTES
    const offender = destination + NAME_BYTES
    this.#control = offender + NAME_BYTES
    this.error = { errno: 0, origin: 0, type: 0, code: 0, info: 0, destination, offender }
    this.#address = memory.address(at)
    memory.writePointer(at + msghdr.msg_name, destination)
    memory.writePointer(at + msghdr.msg_iov, iov)
    memory.u32[(at + msghdr.msg_iovlen) >>> 2] = 1
    memory.writePointer(at + msghdr.msg_control, this.#control)
    memory.writePointer(iov + iovec.iov_base, payload)
    memory.u32[(iov + iovec.iov_len) >>> 2] = PAYLOAD_BYTES
  }

  /** Takes the oldest error off `fd`'s queue into {@link error}. Returns false if there is none. */
  next(fd: number): boolean {
    const { u8, u32 } = this.#memory
    const { destination, offender } = this.error
    u8.fill(0, destination, offender + NAME_BYTES)
    u32[(this.#message + msghdr.msg_namelen) >>> 2] = SOCKADDR_BYTES
    u32[(this.#message + msghdr.msg_controllen) >>> 2] = CONTROL_BYTES
    if (recvmsg(fd, this.#address, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return false
    const end = this.#control + u32[(this.#message + msghdr.msg_controllen) >>> 2]
    this.error.errno = 0
    this.error.origin = 0
    for (let at = this.#control; at + cmsghdr.size <= end; ) {
      const length = u32[(at + cmsghdr.cmsg_len) >>> 2]
      if (length < cmsghdr.size) break
      const level = u32[(at + cmsghdr.cmsg_level) >>> 2]
      const type = u32[(at + cmsghdr.cmsg_type) >>> 2]
      if ((level === SOL_IP && type === IP_RECVERR) || (level === SOL_IPV6 && type === IPV6_RECVERR)) {
        this.#parse(at + cmsghdr.size, length - cmsghdr.size)
      }
      at += (length + 7) & -8
    }
    return true
  }

  #parse(at: number, bytes: number): void {
    const { u8, u32 } = this.#memory
    const name = at + sock_extended_err.size
    u8.copyWithin(this.error.offender, name, Math.min(at + bytes, name + SOCKADDR_BYTES))
    this.error.errno = u32[(at + sock_extended_err.ee_errno) >>> 2]
    this.error.origin = u8[at + sock_extended_err.ee_origin]
    this.error.type = u8[at + sock_extended_err.ee_type]
    this.error.code = u8[at + sock_extended_err.ee_code]
    this.error.info = u32[(at + sock_extended_err.ee_info) >>> 2]
  }
}

import { IP_RECVERR, IPV6_RECVERR, MSG_DONTWAIT, MSG_ERRQUEUE, SOL_IP, SOL_IPV6 } from './constants.js'
import { recvmsg } from './libc.js'
import type { NativeMemory } from './memory.js'
import { cmsghdr, iovec, msghdr, sock_extended_err } from './structs.js'

/** One error from a socket's error queue (`struct sock_extended_err`, <linux/errqueue.h>). */
export interface ExtendedError {
  errno: number
  /** `SO_EE_ORIGIN_…` */
  origin: number
  /** ICMP type and code, where the origin is ICMP. */
  type: number
  code: number
  /** The MTU, for EMSGSIZE. */
  info: number
}

const CONTROL_BYTES = 512
const PAYLOAD_BYTES = 64

/** Reads a socket's error queue (`MSG_ERRQUEUE`, ip(7)) into one object that is used again and again. */
export class ErrorQueue {
  /** Bytes of memory it needs. */
  static readonly BYTES = 64 + 64 + PAYLOAD_BYTES + CONTROL_BYTES
  readonly error: ExtendedError = { errno: 0, origin: 0, type: 0, code: 0, info: 0 }
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
    this.#control = payload + PAYLOAD_BYTES
    this.#address = memory.address(at)
    memory.writePointer(at + msghdr.msg_iov, iov)
    memory.u32[(at + msghdr.msg_iovlen) >>> 2] = 1
    memory.writePointer(at + msghdr.msg_control, this.#control)
    memory.writePointer(iov + iovec.iov_base, payload)
    memory.u32[(iov + iovec.iov_len) >>> 2] = PAYLOAD_BYTES
  }

  /** Takes the oldest error off `fd`'s queue into {@link error}; false when there is none. */
  next(fd: number): boolean {
    const u32 = this.#memory.u32
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
        this.#parse(at + cmsghdr.size)
      }
      at += (length + 7) & -8
    }
    return true
  }

  #parse(at: number): void {
    const { u8, u32 } = this.#memory
    this.error.errno = u32[(at + sock_extended_err.ee_errno) >>> 2]
    this.error.origin = u8[at + sock_extended_err.ee_origin]
    this.error.type = u8[at + sock_extended_err.ee_type]
    this.error.code = u8[at + sock_extended_err.ee_code]
    this.error.info = u32[(at + sock_extended_err.ee_info) >>> 2]
  }
}

import {
  AF_NETLINK,
  IFF_UP,
  NETLINK_GET_STRICT_CHK,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  RTA_OIF,
  RTM_DELROUTE,
  RTM_NEWLINK,
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_NETLINK,
} from './constants.js'
import { EAGAIN, ENOBUFS, KernelError } from './errno.js'
import { bind, close, lastErrno, must, recv, send, setsockopt, socket } from './libc.js'
import { ifinfomsg, nlmsgerr, nlmsghdr, rtattr, rtmsg, sockaddr_nl } from './structs.js'

/** One attribute: its type, then a value in host byte order or nested attributes. */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]]

/** A message from the kernel: `body` is everything after `nlmsghdr`, first the fixed part, then attributes. */
export interface NetlinkReply {
  readonly type: number
  readonly body: Buffer
}

const align4 = (bytes: number) => (bytes + 3) & ~3

/** `__be16`, such as a port. */
export function be16(value: number): Buffer {
  return Buffer.of(value >>> 8, value & 0xff)
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'latin1')
}

/** Attributes in the kernel's layout (`struct rtattr`, each padded to 4 bytes; netlink(7)). */
export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  const parts = attributes.map(([type, value]) => {
    const payload = value instanceof Uint8Array ? value : encodeAttributes(value)
    const bytes = Buffer.alloc(align4(rtattr.size + payload.length))
    bytes.writeUInt16LE(rtattr.size + payload.length, rtattr.rta_len)
    bytes.writeUInt16LE(type, rtattr.rta_type)
    bytes.set(payload, rtattr.size)
    return bytes
  })
  return Buffer.concat(parts)
}

/** The attributes in `bytes`, by type, without the nest and byte order flags. The last one of a type wins. */
export function decodeAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>()
  for (let at = 0; at + rtattr.size <= bytes.length; ) {
    const length = bytes.readUInt16LE(at + rtattr.rta_len)
    if (length < rtattr.size || at + length > bytes.length) break
    attributes.set(
      bytes.readUInt16LE(at + rtattr.rta_type) & 0x3fff,
      bytes.subarray(at + rtattr.size, at + length),
    )
    at += align4(length)
  }
  return attributes
}

/**
 * A netlink socket of the calling thread's network namespace (rtnetlink(7)). The kernel answers a request
 * before `send` returns, so nothing here waits.
 */
export class Netlink {
  readonly #fd: number
  /**
   * Kept for all requests. Main asks every second; new buffers would add up to megabytes before they are
   * collected.
   */
  readonly #buffer = Buffer.alloc(65536)
  #sequence = 0

  /** @param family which part of the kernel answers (netlink(7)) @throws KernelError */
  constructor(family: number = NETLINK_ROUTE) {
    this.#fd = must('socket', () => socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, family))
  }

  /**
   * Sends one request and returns the messages that came before its acknowledgement.
   * @param fixed the type's fixed part (`ifinfomsg`, …), a multiple of 4 bytes
   * @param what the name of the request in an error
   * @throws KernelError with the errno of the kernel's acknowledgement
   */
  request(
    what: string,
    type: number,
    flags: number,
    fixed: Buffer,
    attributes: readonly Attribute[],
  ): NetlinkReply[] {
    const payload = encodeAttributes(attributes)
    const header = Buffer.alloc(nlmsghdr.size)
    const sequence = ++this.#sequence
    const dump = (flags & NLM_F_DUMP) === NLM_F_DUMP
    header.writeUInt32LE(nlmsghdr.size + fixed.length + payload.length, nlmsghdr.nlmsg_len)
    header.writeUInt16LE(type, nlmsghdr.nlmsg_type)
    header.writeUInt16LE(flags | NLM_F_REQUEST | (dump ? 0 : NLM_F_ACK), nlmsghdr.nlmsg_flags)
    header.writeUInt32LE(sequence, nlmsghdr.nlmsg_seq)
    const message = Buffer.concat([header, fixed, payload])
    must(what, () => send(this.#fd, message, message.length, 0))
    return this.#replies(what, sequence)
  }

  #replies(what: string, sequence: number): NetlinkReply[] {
    const buffer = this.#buffer
    const replies: NetlinkReply[] = []
    for (;;) {
      const received = must(what, () => recv(this.#fd, buffer, buffer.length, 0))
      for (let at = 0; at + nlmsghdr.size <= received; ) {
        const length = buffer.readUInt32LE(at + nlmsghdr.nlmsg_len)
        if (length < nlmsghdr.size) break
        const type = buffer.readUInt16LE(at + nlmsghdr.nlmsg_type)
        const body = Buffer.from(buffer.subarray(at + nlmsghdr.size, at + length))
        const mine = buffer.readUInt32LE(at + nlmsghdr.nlmsg_seq) === sequence
        at += align4(length)
        if (!mine) continue
        if (type === NLMSG_DONE) return replies
        if (type === NLMSG_ERROR) {
          const error = body.readInt32LE(nlmsgerr.error)
          if (error !== 0) throw new KernelError(what, -error)
          return replies
        }
        replies.push({ type, body })
      }
    }
  }

  /**
   * Has the kernel heed what a request for a list asks for (Linux 4.20). Otherwise it may list everything.
   * @returns this
   */
  beStrict(): this {
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, new Int32Array([1]), 4)
    return this
  }

  close(): void {
    close(this.#fd)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/**
 * Tells that interfaces, addresses or routes of this network namespace have changed (rtnetlink(7)). It does not
 * tell how, but for what one interface has lost.
 */
export class RouteMonitor {
  readonly #fd: number
  readonly #buffer = Buffer.alloc(65_536)
  /** The interface whose losses count. */
  #index: number | undefined
  #hasLost = false

  constructor() {
    this.#fd = must('socket', () =>
      socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE),
    )
    const name = Buffer.alloc(sockaddr_nl.size)
    name.writeUInt16LE(AF_NETLINK, sockaddr_nl.nl_family)
    name.writeUInt32LE(
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
      sockaddr_nl.nl_groups,
    )
    must('bind', () => bind(this.#fd, name, name.length))
  }

  /** Whether anything has changed since the last call. Does not wait. */
  changed(): boolean {
    let changed = false
    for (;;) {
      const received = recv(this.#fd, this.#buffer, this.#buffer.length, 0)
      if (received >= 0) {
        changed = true
        this.#lookForLoss(received)
      } else if (lastErrno() === EAGAIN) return changed
      // ENOBUFS: there were more messages than the socket could hold. Any of them may have been a loss.
      else if (lastErrno() === ENOBUFS) changed = this.#hasLost = true
      else return changed
    }
  }

  /** From now on, {@link hasLost} tells of this interface. */
  watch(index: number): void {
    this.#index = index
  }

  /**
   * Whether the watched interface was down, or a route by it was removed, since the last call; as far as {@link changed}
   * has heard. When an interface goes down, the kernel does not tell which routes of IPv4 it removes.
   */
  hasLost(): boolean {
    const lost = this.#hasLost
    this.#hasLost = false
    return lost
  }

  #lookForLoss(received: number): void {
    if (this.#index === undefined) return
    for (let at = 0; at + nlmsghdr.size <= received; ) {
      const length = this.#buffer.readUInt32LE(at + nlmsghdr.nlmsg_len)
      if (length < nlmsghdr.size) return
      const type = this.#buffer.readUInt16LE(at + nlmsghdr.nlmsg_type)
      const body = this.#buffer.subarray(at + nlmsghdr.size, Math.min(at + length, received))
      if (isLossOf(this.#index, type, body)) this.#hasLost = true
      at += align4(length)
    }
  }

  close(): void {
    close(this.#fd)
  }
}

/** Whether a message says that an interface is down, or that a route by it is gone. */
function isLossOf(index: number, type: number, body: Buffer): boolean {
  if (type === RTM_NEWLINK)
    return (
      body.readInt32LE(ifinfomsg.ifi_index) === index &&
      (body.readUInt32LE(ifinfomsg.ifi_flags) & IFF_UP) === 0
    )
  if (type !== RTM_DELROUTE) return false
  return decodeAttributes(body.subarray(rtmsg.size)).get(RTA_OIF)?.readUInt32LE() === index
}

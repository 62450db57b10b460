import { AF_INET, IP_PKTINFO, IPV6_PKTINFO, IPV6_RECVPKTINFO, SOL_IP, SOL_IPV6 } from './constants.js'
import { EINVAL, ENETUNREACH } from './errno.js'
import { setsockopt } from './libc.js'
import type { NativeMemory } from './memory.js'
import { LOCAL_BYTES, type SocketFamily, sockaddrLength } from './sockaddr.js'
import { cmsghdr, in_pktinfo, in6_pktinfo } from './structs.js'

/**
 * The address of this host that a datagram was sent to, or is sent from. The kernel has it in a control message:
 * `IPV6_PKTINFO` on an `AF_INET6` socket, also for IPv4 (ipv6(7)), and `IP_PKTINFO` on an `AF_INET` one (ip(7)).
 */
const LOCAL_WORDS = LOCAL_BYTES / 4

/** Errors with which the kernel refuses a source address that this host does not have, or not for this datagram. */
export const SOURCE_ERRORS: ReadonlySet<number> = new Set([ENETUNREACH, EINVAL])

/** The control message of one family. Offsets are from its start. */
export interface PktInfo {
  readonly level: number
  readonly type: number
  /** `CMSG_LEN` and `CMSG_SPACE` (cmsg(3)). */
  readonly length: number
  readonly space: number
  /** How many words the address has, and where it is in what is received and in what is sent. */
  readonly words: 1 | 4
  readonly receivedAt: number
  readonly sentAt: number
}

const space = (bytes: number) => (bytes + 7) & -8

const IPV4: PktInfo = {
  level: SOL_IP,
  type: IP_PKTINFO,
  length: cmsghdr.size + in_pktinfo.size,
  space: space(cmsghdr.size + in_pktinfo.size),
  words: 1,
  receivedAt: cmsghdr.size + in_pktinfo.ipi_addr,
  sentAt: cmsghdr.size + in_pktinfo.ipi_spec_dst,
}

const IPV6: PktInfo = {
  level: SOL_IPV6,
  type: IPV6_PKTINFO,
  length: cmsghdr.size + in6_pktinfo.size,
  space: space(cmsghdr.size + in6_pktinfo.size),
  words: 4,
  receivedAt: cmsghdr.size + in6_pktinfo.ipi6_addr,
  sentAt: cmsghdr.size + in6_pktinfo.ipi6_addr,
}

/** The longest {@link PktInfo.space}. */
export const PKTINFO_SPACE = IPV6.space

/** @param sockaddrBytes length of the socket's addresses */
export function pktInfoOf(sockaddrBytes: number): PktInfo {
  return sockaddrBytes === sockaddrLength(AF_INET) ? IPV4 : IPV6
}

/** Makes the kernel tell of each datagram which address of this host it was sent to. Returns 0, or -1. */
export function receivePktInfo(fd: number, family: SocketFamily): number {
  const [level, option] = family === AF_INET ? [SOL_IP, IP_PKTINFO] : [SOL_IPV6, IPV6_RECVPKTINFO]
  return setsockopt(fd, level, option, new Int32Array([1]), 4)
}

/** Writes all of the control message but the address, for any interface. The memory at `at` must be zero. */
export function preparePktInfo({ u32 }: NativeMemory, { level, type, length }: PktInfo, at: number): void {
  u32[(at + cmsghdr.cmsg_len) >>> 2] = length
  u32[(at + cmsghdr.cmsg_level) >>> 2] = level
  u32[(at + cmsghdr.cmsg_type) >>> 2] = type
}

/** Writes the source address into a prepared control message at `at`, from the local address at offset `local`. */
export function setSource(
  { u32 }: NativeMemory,
  { words, sentAt }: PktInfo,
  at: number,
  local: number,
): void {
  const to = (at + sentAt) >>> 2
  const from = (local >>> 2) + LOCAL_WORDS - words
  for (let word = 0; word < words; word++) u32[to + word] = u32[from + word]
}

import {
  AF_INET,
  AF_INET6,
  IP_RECVTOS,
  IP_TOS,
  IPV6_RECVTCLASS,
  IPV6_TCLASS,
  SOL_IP,
  SOL_IPV6,
} from './constants.js'
import { setsockopt } from './libc.js'
import type { NativeMemory } from './memory.js'
import { type SocketFamily, sockaddrLength } from './sockaddr.js'
import { cmsghdr, sockaddr_in6 } from './structs.js'

/**
 * The DS field (RFC 2474) of a datagram's IP header: DSCP and ECN. The kernel has it in a control message: `IP_TOS` for
 * IPv4, also on a dual-stack socket (ip(7)), and `IPV6_TCLASS` for IPv6 (ipv6(7)). For IPv4 it is one byte when it is
 * received. Otherwise it is an `int`.
 */

/** `CMSG_SPACE` of one byte, and of an `int` (cmsg(3)). */
export const DS_SPACE = cmsghdr.size + 8
/** `CMSG_LEN(sizeof(int))`. */
const DS_LENGTH = cmsghdr.size + 4

/** The third word of an IPv4-mapped address (RFC 4291, 2.5.5.2), as it lies in memory. */
const MAPPED = 0xffff_0000 | 0

/**
 * Makes the kernel tell of each datagram which DS field it had. It is the last control message (`udpv6_recvmsg` of
 * net/ipv6/udp.c, `ip_cmsg_recv_offset` of net/ipv4/ip_sockglue.c). Returns 0, or -1.
 */
export function receiveDsField(fd: number, family: SocketFamily): number {
  const on = new Int32Array([1])
  if (family === AF_INET6 && setsockopt(fd, SOL_IPV6, IPV6_RECVTCLASS, on, 4) < 0) return -1
  return setsockopt(fd, SOL_IP, IP_RECVTOS, on, 4)
}

/**
 * The DS field of a datagram that was received, 0 if the kernel has not told it.
 * @param control offset of its control messages
 * @param bytes their length
 */
export function dsFieldIn({ u32, u8 }: NativeMemory, control: number, bytes: number): number {
  // Without branches, as in ReceiveVector.
  const told = bytes < DS_SPACE ? 0 : 0xff
  const last = control + (told & 1) * (bytes - DS_SPACE)
  const level = u32[(last + cmsghdr.cmsg_level) >>> 2]
  const type = u32[(last + cmsghdr.cmsg_type) >>> 2]
  const ipv4 = ((level ^ SOL_IP) | (type ^ IP_TOS)) === 0 ? 0xff : 0
  const ipv6 = ((level ^ SOL_IPV6) | (type ^ IPV6_TCLASS)) === 0 ? 0xff : 0
  return u8[last + cmsghdr.size] & (ipv4 | ipv6) & told
}

/**
 * Writes the control message with a DS field at `at`, for a datagram to the socket address at `name`.
 * @param sockaddrBytes length of the socket's addresses
 */
export function writeDsField(
  { u32 }: NativeMemory,
  at: number,
  name: number,
  sockaddrBytes: number,
  dsField: number,
): void {
  const isIpv4 = sockaddrBytes === sockaddrLength(AF_INET) || isMapped(u32, name)
  u32[(at + cmsghdr.cmsg_len) >>> 2] = DS_LENGTH
  u32[(at + cmsghdr.cmsg_level) >>> 2] = isIpv4 ? SOL_IP : SOL_IPV6
  u32[(at + cmsghdr.cmsg_type) >>> 2] = isIpv4 ? IP_TOS : IPV6_TCLASS
  u32[(at + cmsghdr.size) >>> 2] = dsField
}

function isMapped(u32: Uint32Array, name: number): boolean {
  const word = (name + sockaddr_in6.sin6_addr) >>> 2
  return (u32[word] | u32[word + 1]) === 0 && (u32[word + 2] | 0) === MAPPED
}

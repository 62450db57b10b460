import {
  AF_INET,
  AF_INET6,
  IP_FREEBIND,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_PROBE,
  IPV6_MTU_DISCOVER,
  IPV6_PMTUDISC_PROBE,
  IPV6_V6ONLY,
  MSG_DONTWAIT,
  SK_MEMINFO_DROPS,
  SO_ERROR,
  SO_MARK,
  SO_MEMINFO,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
  UDP_NO_CHECK6_RX,
} from './constants.js'
import { receiveDsField } from './ds-field.js'
import { EAFNOSUPPORT, KernelError } from './errno.js'
import { bind, close, getsockname, getsockopt, lastErrno, must, sendto, setsockopt, socket } from './libc.js'
import { receivePktInfo } from './pktinfo.js'
import {
  decodeSockaddr,
  type Endpoint,
  encodeSockaddr,
  SOCKADDR_BYTES,
  type SocketFamily,
  sockaddrLength,
} from './sockaddr.js'

export interface UdpSocket {
  /** Non-blocking. */
  readonly fd: number
  readonly family: SocketFamily
  /** The address and port that it is bound to. */
  readonly local: Endpoint
}

export interface UdpOptions {
  /** `address` undefined: every address of this host, IPv6 and IPv4. */
  readonly listen: { readonly address: string | undefined; readonly port: number }
  /** Whether the address may be one that this host does not have (`IP_FREEBIND`, ip(7)). */
  readonly foreign?: boolean
  /** Requested bytes. The kernel doubles them for its own bookkeeping (socket(7)). */
  readonly receiveBufferBytes: number
  readonly sendBufferBytes: number
}

/**
 * Opens an unconnected socket: the one that all peers share, or one more to send by. It is dual-stack if the host has
 * IPv6. Don't-fragment is set. The kernel's path MTU cache is ignored (`IP_PMTUDISC_PROBE`), because one forged ICMP could
 * fill it.
 *
 * The socket does not have `IP_RECVERR` (ip(7), ipv6(7)), so it receives no ICMP errors. Each of them would
 * fail a send to some other destination. An error of a send therefore comes from this host and is about that
 * datagram.
 *
 * The kernel tells of each datagram which DS field it had (ds-field.ts).
 *
 * If it is not bound to an address, the kernel tells of each datagram which one it was sent to (pktinfo.ts).
 * @throws KernelError from `socket`, `setsockopt` or `bind` (EADDRINUSE, EADDRNOTAVAIL)
 */
export function openUdp(options: UdpOptions): UdpSocket {
  const { fd, family } = openDualStack()
  try {
    if (family === AF_INET6) {
      setOption(fd, SOL_IPV6, IPV6_V6ONLY, 0)
      setOption(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE)
    }
    setOption(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
    if (options.foreign === true) setOption(fd, SOL_IP, IP_FREEBIND, 1)
    must('setsockopt', () => receiveDsField(fd, family))
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBufferBytes)
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBufferBytes)
    const any = family === AF_INET6 ? '::' : '0.0.0.0'
    const { address = any, port } = options.listen
    const name = encodeSockaddr(family, { address, port })
    must('bind', () => bind(fd, name, sockaddrLength(family)))
    if (address === '::' || address === '0.0.0.0') must('setsockopt', () => receivePktInfo(fd, family))
    return { fd, family, local: localEndpoint(fd) }
  } catch (error) {
    close(fd)
    throw error
  }
}

/**
 * Sends one datagram on a non-blocking socket.
 * @param name from `encodeSockaddr`
 * @returns 0, or the errno
 */
export function sendDatagram(
  { fd, family }: Pick<UdpSocket, 'fd' | 'family'>,
  payload: Uint8Array,
  name: Uint8Array,
): number {
  const sent = sendto(fd, payload, payload.length, MSG_DONTWAIT, name, sockaddrLength(family))
  return sent >= 0 ? 0 : lastErrno()
}

/** Makes the kernel join datagrams of one sender (`UDP_GRO`, Linux 5.0). Returns false if the kernel cannot. */
export function enableGro(fd: number): boolean {
  return setsockopt(fd, SOL_UDP, UDP_GRO, new Int32Array([1]), 4) === 0
}

/** Marks what the socket sends (`SO_MARK`, socket(7)). @param mark 32 bits; 0 for none @throws KernelError (EPERM) */
export function setMark(fd: number, mark: number): void {
  setOption(fd, SOL_SOCKET, SO_MARK, mark)
}

/** Has the socket receive datagrams over IPv6 that have no checksum (RFC 6935), as it does over IPv4. */
export function receiveUnsummed({ fd, family }: Pick<UdpSocket, 'fd' | 'family'>): void {
  if (family === AF_INET6) setOption(fd, SOL_UDP, UDP_NO_CHECK6_RX, 1)
}

function openDualStack(): { fd: number; family: SocketFamily } {
  const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC
  const fd = socket(AF_INET6, type, 0)
  if (fd >= 0) return { fd, family: AF_INET6 }
  const errno = lastErrno()
  if (errno !== EAFNOSUPPORT) throw new KernelError('socket', errno)
  return { fd: must('socket', () => socket(AF_INET, type, 0)), family: AF_INET }
}

function setOption(fd: number, level: number, name: number, value: number): void {
  must('setsockopt', () => setsockopt(fd, level, name, new Int32Array([value]), 4))
}

/** Goes beyond the system's limit if this process has the capability; otherwise only up to that limit. */
function setBuffer(fd: number, force: number, plain: number, bytes: number): void {
  if (setsockopt(fd, SOL_SOCKET, force, new Int32Array([bytes]), 4) < 0) {
    setOption(fd, SOL_SOCKET, plain, bytes)
  }
}

function localEndpoint(fd: number): Endpoint {
  const name = new Uint8Array(SOCKADDR_BYTES)
  must('getsockname', () => getsockname(fd, name, new Uint32Array([SOCKADDR_BYTES])))
  return decodeSockaddr(name)
}

const ERROR = new Int32Array(1)
const ERROR_BYTES = new Uint32Array(1)

/** Reads and clears a socket's pending error (`SO_ERROR`, socket(7)). Returns its errno; 0 if there is none. */
export function takeError(fd: number): number {
  ERROR_BYTES[0] = ERROR.byteLength
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, ERROR, ERROR_BYTES) < 0 ? 0 : ERROR[0]
}

/**
 * How many datagrams the kernel dropped because the socket's receive buffer was full (`SO_MEMINFO`, Linux
 * 4.12).
 */
export function receiveDrops(fd: number): number {
  const info = new Uint32Array(16)
  const length = new Uint32Array([info.byteLength])
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, length) < 0) return 0
  return info[SK_MEMINFO_DROPS]
}

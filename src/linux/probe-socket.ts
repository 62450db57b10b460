import type { IpFamily } from '../wire/ip.js'
import {
  AF_INET,
  AF_INET6,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_PROBE,
  IP_RECVERR,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_PMTUDISC_PROBE,
  IPV6_RECVERR,
  MSG_DONTWAIT,
  SO_EE_ORIGIN_ICMP,
  SO_EE_ORIGIN_ICMP6,
  SO_EE_ORIGIN_LOCAL,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
} from './constants.js'
import { EMSGSIZE, KernelError } from './errno.js'
import { ErrorQueue } from './errqueue.js'
import { bind, close, connect, getsockopt, must, recvfrom, setsockopt, socket } from './libc.js'
import { NativeMemory } from './memory.js'
import {
  decodeSockaddr,
  encodeSockaddr,
  SOCKADDR_BYTES,
  type SocketFamily,
  sockaddrLength,
} from './sockaddr.js'
import { sendDatagram, setMark } from './udp.js'

/** The answer to a datagram to `port`. */
export type ProbeAnswer =
  /** This host's interface takes no more than `mtuBytes`. */
  | { readonly kind: 'local'; readonly mtuBytes: number }
  /** The router `from` passes no more than `mtuBytes`; 0 if the router does not say. */
  | { readonly kind: 'too_big'; readonly port: number; readonly mtuBytes: number; readonly from: string }
  /** The far end received the datagram: the answer comes from the far end itself. */
  | { readonly kind: 'arrived'; readonly port: number; readonly from: string }
  /** Another ICMP error. */
  | { readonly kind: 'refused'; readonly port: number; readonly from: string; readonly errno: number }

const socketFamily = (family: IpFamily): SocketFamily => (family === 'ipv4' ? AF_INET : AF_INET6)

function open(family: IpFamily): number {
  return must('socket', () => socket(socketFamily(family), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
}

function setOption(fd: number, level: number, name: number, value: number): void {
  must('setsockopt', () => setsockopt(fd, level, name, new Int32Array([value]), 4))
}

/** Binds a socket to a source address. If this host does not have it any more, the kernel chooses one. */
function bindTo(fd: number, family: IpFamily, from: string | undefined): void {
  if (from === undefined) return
  const name = encodeSockaddr(socketFamily(family), { address: from, port: 0 })
  bind(fd, name, sockaddrLength(socketFamily(family)))
}

/**
 * The path MTU to `address` that the kernel assumes: the `IP_MTU` of a connected socket (ip(7), ipv6(7)). It
 * comes from the kernel's cache or from the route. It is undefined if there is no route, or no interface of
 * that zone.
 * @param from the source address, if the kernel does not choose it
 * @param mark of the packets (ip-rule(8)); 0 for none
 */
export function kernelPathMtu(
  family: IpFamily,
  address: string,
  from?: string,
  mark = 0,
): number | undefined {
  const fd = open(family)
  try {
    if (mark !== 0) setMark(fd, mark)
    bindTo(fd, family, from)
    // The port does not matter, because nothing is sent.
    const name = encodeSockaddr(socketFamily(family), { address, port: 9 })
    if (connect(fd, name, sockaddrLength(socketFamily(family))) < 0) return undefined
    const value = new Int32Array(1)
    const [level, option] = family === 'ipv4' ? [SOL_IP, IP_MTU] : [SOL_IPV6, IPV6_MTU]
    if (getsockopt(fd, level, option, value, new Uint32Array([4])) < 0) return undefined
    return value[0]
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  } finally {
    close(fd)
  }
}

/**
 * Sends datagrams of chosen sizes to chosen ports of one address, and returns what ICMP said about each
 * (`IP_RECVERR`, `MSG_ERRQUEUE`; ip(7), ipv6(7)). Don't-fragment is set, and the kernel's path MTU cache is
 * ignored. It has its own unconnected socket, so that its errors do not disturb another socket. Nothing here
 * waits.
 */
export class ProbeSocket {
  readonly #fd: number
  readonly #family: IpFamily
  readonly #address: string
  readonly #memory = NativeMemory.allocate(ErrorQueue.BYTES)
  readonly #errors = new ErrorQueue(this.#memory, 0)

  /**
   * @param from the source address, if the kernel does not choose it
   * @param mark of the datagrams (ip-rule(8)); 0 for none
   * @throws KernelError; RangeError for an address with a zone that is not an interface
   */
  constructor(family: IpFamily, address: string, from?: string, mark = 0) {
    this.#family = family
    this.#address = address
    encodeSockaddr(socketFamily(family), { address, port: 0 })
    this.#fd = open(family)
    try {
      if (family === 'ipv4') {
        setOption(this.#fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        setOption(this.#fd, SOL_IP, IP_RECVERR, 1)
      } else {
        setOption(this.#fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE)
        setOption(this.#fd, SOL_IPV6, IPV6_RECVERR, 1)
      }
      setOption(this.#fd, SOL_SOCKET, SO_SNDBUF, 256 * 1024)
      if (mark !== 0) setMark(this.#fd, mark)
      bindTo(this.#fd, family, from)
    } catch (error) {
      close(this.#fd)
      throw error
    }
  }

  /**
   * Sends a datagram with `payloadBytes` zeros.
   * @returns false if this host's interface does not take it; the answer is then in the queue
   * @throws KernelError if the kernel refuses it for another reason (ENETUNREACH, EPERM)
   */
  send(port: number, payloadBytes: number): boolean {
    const family = socketFamily(this.#family)
    const name = encodeSockaddr(family, { address: this.#address, port })
    const payload = new Uint8Array(payloadBytes)
    const socket = { fd: this.#fd, family }
    let errno = sendDatagram(socket, payload, name)
    // A waiting ICMP error fails one unrelated send (`IP_RECVERR`), so we try a second time.
    if (errno !== 0) errno = sendDatagram(socket, payload, name)
    if (errno !== 0 && errno !== EMSGSIZE) throw new KernelError('sendto', errno)
    return errno === 0
  }

  /** The oldest answer that was not taken yet. Skips what is not an answer to a probe. */
  next(): ProbeAnswer | undefined {
    while (this.#errors.next(this.#fd)) {
      const answer = this.#answer()
      if (answer !== undefined) return answer
    }
    const from = new Uint8Array(SOCKADDR_BYTES)
    while (
      recvfrom(this.#fd, new Uint8Array(1), 1, MSG_DONTWAIT, from, new Uint32Array([from.length])) >= 0
    ) {
      const { address, port } = decodeSockaddr(from)
      if (address === this.#bare) return { kind: 'arrived', port, from: address }
    }
    return undefined
  }

  #answer(): ProbeAnswer | undefined {
    const { errno, origin, info, destination, offender } = this.#errors.error
    if (origin === SO_EE_ORIGIN_LOCAL)
      return errno === EMSGSIZE ? { kind: 'local', mtuBytes: info } : undefined
    if (origin !== SO_EE_ORIGIN_ICMP && origin !== SO_EE_ORIGIN_ICMP6) return undefined
    const at = (offset: number) => decodeSockaddr(this.#memory.u8.slice(offset, offset + SOCKADDR_BYTES))
    const { address, port } = at(destination)
    if (address.split('%')[0] !== this.#bare) return undefined
    const from = at(offender).address.split('%')[0]
    if (errno === EMSGSIZE) return { kind: 'too_big', port, mtuBytes: info, from }
    return from === this.#bare ? { kind: 'arrived', port, from } : { kind: 'refused', port, from, errno }
  }

  /** The address in the kernel's form, without its zone. */
  get #bare(): string {
    const name = encodeSockaddr(socketFamily(this.#family), { address: this.#address, port: 0 })
    return decodeSockaddr(name).address.split('%')[0]
  }

  close(): void {
    close(this.#fd)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

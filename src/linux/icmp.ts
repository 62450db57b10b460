import {
  type Echo,
  echoRequest,
  ICMP_HEADER_BYTES,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  parseEchoReply,
  parseEchoReplyV6,
} from '../wire/icmp.js'
import type { IpFamily } from '../wire/ip.js'
import {
  AF_INET,
  AF_INET6,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DO,
  IPV6_DONTFRAG,
  IPV6_MTU_DISCOVER,
  IPV6_PMTUDISC_DO,
  POLLIN,
  SO_BINDTODEVICE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
} from './constants.js'
import { KernelError } from './errno.js'
import { close, connect, lastErrno, must, poll, recv, send, setsockopt, socket } from './libc.js'
import { encodeSockaddr, sockaddrLength } from './sockaddr.js'
import { pollfd } from './structs.js'

/** The same as ping(8). */
export const ECHO_DATA_BYTES = 56

/** Before the data of a reply: the longest IPv4 header (RFC 791, 3.1), and that of ICMP. */
const MOST_HEADER_BYTES = 60 + ICMP_HEADER_BYTES

export interface EchoOptions {
  /** The interface that requests leave by, and replies come by; undefined: as the routes say. */
  readonly device?: string
  /** Bytes after the ICMP header. */
  readonly dataBytes?: number
}

/** Sends echo requests to one address through a raw socket (raw(7)). They are not fragmented. */
export class EchoSocket {
  readonly #fd: number
  readonly #family: IpFamily
  readonly #dataBytes: number
  readonly #identifier = process.pid & 0xffff
  #sequence = 0
  readonly #packet: Uint8Array
  readonly #polled = Buffer.alloc(pollfd.size)

  /** @throws KernelError (EPERM without CAP_NET_RAW; ENODEV; ENETUNREACH, if there is no route) */
  constructor(address: string, { device, dataBytes = ECHO_DATA_BYTES }: EchoOptions = {}) {
    this.#family = address.includes(':') ? 'ipv6' : 'ipv4'
    this.#dataBytes = dataBytes
    this.#packet = new Uint8Array(MOST_HEADER_BYTES + dataBytes)
    const ipv4 = this.#family === 'ipv4'
    const family = ipv4 ? AF_INET : AF_INET6
    const protocol = ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6
    const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC
    this.#fd = must('socket', () => socket(family, type, protocol))
    try {
      if (ipv4) this.#set(SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
      else {
        this.#set(SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
        this.#set(SOL_IPV6, IPV6_DONTFRAG, 1)
      }
      if (device !== undefined) {
        const name = Buffer.from(`${device}\0`)
        must('setsockopt', () => setsockopt(this.#fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length))
      }
      const name = encodeSockaddr(family, { address, port: 0 })
      must('connect', () => connect(this.#fd, name, sockaddrLength(family)))
    } catch (error) {
      close(this.#fd)
      throw error
    }
    this.#polled.writeInt32LE(this.#fd, pollfd.fd)
    this.#polled.writeInt16LE(POLLIN, pollfd.events)
  }

  #set(level: number, name: number, value: number): void {
    must('setsockopt', () => setsockopt(this.#fd, level, name, new Int32Array([value]), 4))
  }

  /**
   * Sends a request. Never waits.
   * @returns its sequence number: 16 bits
   * @throws KernelError (EMSGSIZE if it is longer than what the path carries, as far as the kernel knows)
   */
  send(): number {
    if (this.#send() < 0) throw new KernelError('send', lastErrno())
    return this.#sequence
  }

  #send(): number {
    this.#sequence = (this.#sequence + 1) & 0xffff
    const echo = { identifier: this.#identifier, sequence: this.#sequence }
    const request = echoRequest(echo, this.#dataBytes, this.#family)
    const sent = send(this.#fd, request, request.length, 0)
    // An ICMP error about an earlier request fails one send.
    return sent < 0 ? send(this.#fd, request, request.length, 0) : sent
  }

  /** The sequence number of a reply; undefined if none comes in time, or if something else came. Blocks. */
  receive(withinMs: number): number | undefined {
    if (poll(this.#polled, 1, Math.ceil(withinMs)) <= 0) return undefined
    const bytes = recv(this.#fd, this.#packet, this.#packet.length, 0)
    const reply = this.#parse(this.#packet.subarray(0, Math.max(bytes, 0)))
    return reply?.identifier === this.#identifier ? reply.sequence : undefined
  }

  /** The round-trip time of one echo in milliseconds; undefined if it is not sent, or no reply comes in time. Blocks. */
  echo(timeoutMs: number): number | undefined {
    const sentMs = performance.now()
    this.#send()
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = sentMs + timeoutMs - performance.now()) {
      if (this.receive(leftMs) === this.#sequence) return performance.now() - sentMs
    }
    return undefined
  }

  #parse(packet: Uint8Array): Echo | undefined {
    return this.#family === 'ipv4' ? parseEchoReply(packet) : parseEchoReplyV6(packet)
  }

  close(): void {
    close(this.#fd)
  }
}

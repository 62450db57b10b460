import {
  ICMP_HEADER_BYTES,
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
} from '../wire/icmp.js'
import { type IcmpError, icmpErrorParser } from '../wire/icmp-error.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpFamily } from '../wire/ip.js'
import { IPV4, IPV4_FRAGMENT_OFFSET } from '../wire/ipv4.js'
import { IPV6, IPV6_FRAGMENT, IPV6_FRAGMENT_HEADER_BYTES, IPV6_FRAGMENT_OFFSET } from '../wire/ipv6.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import {
  AF_INET,
  AF_INET6,
  BPF_ABS,
  BPF_B,
  BPF_H,
  BPF_IND,
  BPF_JEQ,
  BPF_JMP,
  BPF_JSET,
  BPF_LD,
  BPF_LDX,
  BPF_MSH,
  BPF_RET,
  ICMP_FILTER,
  ICMPV6_FILTER,
  MSG_DONTWAIT,
  SO_RCVBUF,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_ICMPV6,
  SOL_RAW,
  SOL_SOCKET,
} from './constants.js'
import { close, must, recvfrom, setsockopt, socket } from './libc.js'
import { attachFilter, type Instruction } from './packet-filter.js'
import { SOCKADDR_BYTES } from './sockaddr.js'
import { sockaddr_in6 } from './structs.js'
import { receiveDrops } from './udp.js'

/** Requested bytes: room for some hundred errors. A flood of ICMP can keep no more than this waiting. */
const RECEIVE_BUFFER_BYTES = 128 * 1024

/** No router quotes more (RFC 1812, 4.3.2.3; RFC 4443, 2.4). A longer message is cut and then not understood. */
const MESSAGE_BYTES = 2048

const ICMP_ERROR_TYPES = [ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED, ICMP_PARAMETER_PROBLEM]
const ICMPV6_ERROR_TYPES = [
  ICMPV6_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_PARAMETER_PROBLEM,
]

/** Which port of the datagrams that errors are about. */
export type QuotedPort = 'source' | 'destination'

export interface HeardIcmpError extends IcmpError {
  /**
   * The interface of a link-local sender, else 0. If the destination is link-local, the sender is link-local
   * too.
   */
  readonly scopeId: number
}

/**
 * Receives the ICMP errors about datagrams from one UDP port of this host, or to one of others, through a raw socket (raw(7),
 * ipv6(7)). The kernel could also report them to the UDP socket, but each report would fail one send.
 */
export class IcmpErrorSocket {
  readonly #fd: number
  readonly #parse: (bytes: Uint8Array) => IcmpError | undefined
  readonly #message = new Uint8Array(MESSAGE_BYTES)
  readonly #from = new Uint8Array(SOCKADDR_BYTES)
  readonly #fromView = new DataView(this.#from.buffer)
  readonly #fromBytes = new Uint32Array(1)

  /** @throws KernelError (EPERM without CAP_NET_RAW; EAFNOSUPPORT) */
  constructor(family: IpFamily, port: number, which: QuotedPort = 'source') {
    const [domain, protocol] = family === 'ipv4' ? [AF_INET, IPPROTO_ICMP] : [AF_INET6, IPPROTO_ICMPV6]
    const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC
    this.#fd = must('socket', () => socket(domain, type, protocol))
    this.#parse = icmpErrorParser(family)
    try {
      const at = which === 'source' ? UDP.ports : UDP.ports + 2
      attachFilter(this.#fd, family === 'ipv4' ? aboutUdpOverIpv4(port, at) : aboutUdpOverIpv6(port, at))
      if (family === 'ipv4') this.#set(SOL_RAW, ICMP_FILTER, allBut(ICMP_ERROR_TYPES, 1))
      else this.#set(SOL_ICMPV6, ICMPV6_FILTER, allBut(ICMPV6_ERROR_TYPES, 8))
      this.#set(SOL_SOCKET, SO_RCVBUF, new Uint32Array([RECEIVE_BUFFER_BYTES]))
      // Discards what came before the filter was set.
      while (this.#receive() >= 0);
    } catch (error) {
      close(this.#fd)
      throw error
    }
  }

  /**
   * Takes the waiting messages, oldest first, at most `most`. Does not wait.
   * @returns the number of messages that it has taken
   */
  take(most: number, heard: (error: HeardIcmpError) => void): number {
    for (let taken = 0; taken < most; taken++) {
      const bytes = this.#receive()
      if (bytes < 0) return taken
      const error = this.#parse(this.#message.subarray(0, bytes))
      const scopeId = this.#fromView.getUint32(sockaddr_in6.sin6_scope_id, true)
      if (error !== undefined) heard({ ...error, scopeId })
    }
    return most
  }

  /** How many errors were lost because the buffer was full. The kernel includes other ICMP of that moment. */
  get drops(): number {
    return receiveDrops(this.#fd)
  }

  close(): void {
    close(this.#fd)
  }

  #receive(): number {
    this.#from.fill(0)
    this.#fromBytes[0] = this.#from.length
    return recvfrom(this.#fd, this.#message, MESSAGE_BYTES, MSG_DONTWAIT, this.#from, this.#fromBytes)
  }

  #set(level: number, name: number, value: Uint32Array): void {
    must('setsockopt', () => setsockopt(this.#fd, level, name, value, value.byteLength))
  }
}

/** A set bit blocks a type (`struct icmp_filter`, <linux/icmp.h>; `struct icmp6_filter`, <linux/icmpv6.h>). */
function allBut(types: readonly number[], words: number): Uint32Array {
  const blocked = new Uint32Array(words).fill(0xffff_ffff)
  for (const type of types) blocked[type >>> 5] &= ~(1 << (type & 31))
  return blocked
}

const QUOTED = ICMP_HEADER_BYTES
const PASS: Instruction = [BPF_RET, 0, 0, 0xffff_ffff]
const DROP: Instruction = [BPF_RET, 0, 0, 0]

/** The packet begins with its IPv4 header. The length of that header goes into the index register. */
function aboutUdpOverIpv4(port: number, at: number): readonly Instruction[] {
  const load = (size: number, from: number): Instruction => [BPF_LD | size | BPF_IND, 0, 0, from]
  return [
    [BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0],
    // This host sends without IPv4 options.
    load(BPF_B, QUOTED),
    [BPF_JMP | BPF_JEQ, 0, 7, 0x45],
    load(BPF_H, QUOTED + IPV4.flagsFragment),
    [BPF_JMP | BPF_JSET, 5, 0, IPV4_FRAGMENT_OFFSET],
    load(BPF_B, QUOTED + IPV4.protocol),
    [BPF_JMP | BPF_JEQ, 0, 3, IPPROTO_UDP],
    load(BPF_H, QUOTED + IPV4_HEADER_BYTES + at),
    [BPF_JMP | BPF_JEQ, 0, 1, port],
    PASS,
    DROP,
  ]
}

/**
 * The packet begins with its ICMPv6 header. If this host sent the datagram in fragments, the quote includes a
 * fragment header.
 */
function aboutUdpOverIpv6(port: number, at: number): readonly Instruction[] {
  const load = (size: number, from: number): Instruction => [BPF_LD | size | BPF_ABS, 0, 0, from]
  const next = QUOTED + IPV6_HEADER_BYTES
  return [
    load(BPF_B, QUOTED + IPV6.nextHeader),
    [BPF_JMP | BPF_JEQ, 7, 0, IPPROTO_UDP],
    [BPF_JMP | BPF_JEQ, 0, 8, IPV6_FRAGMENT],
    load(BPF_B, next),
    [BPF_JMP | BPF_JEQ, 0, 6, IPPROTO_UDP],
    load(BPF_H, next + 2),
    [BPF_JMP | BPF_JSET, 4, 0, IPV6_FRAGMENT_OFFSET],
    load(BPF_H, next + IPV6_FRAGMENT_HEADER_BYTES + at),
    [BPF_JMP | BPF_JEQ, 3, 2, port],
    load(BPF_H, next + at),
    [BPF_JMP | BPF_JEQ, 1, 0, port],
    DROP,
    PASS,
  ]
}

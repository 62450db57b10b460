import { AF_INET6 } from '../linux/constants.js'
import { KernelError } from '../linux/errno.js'
import { type HeardIcmpError, IcmpErrorSocket } from '../linux/icmp-error-socket.js'
import { encodeAddress, encodeSockaddr } from '../linux/sockaddr.js'
import type { UdpSocket } from '../linux/udp.js'
import { C } from '../memory/counters.js'
import type { IpFamily } from '../wire/ip.js'

/** Errors of a family that one look takes at the most: a flood of them costs so much, and no more. */
const LOOK_ERRORS = 128

export interface IcmpWatchOptions {
  /** The data socket. */
  readonly socket: UdpSocket
  /** Where main counts. */
  readonly counters: Float64Array
  /** Called with the socket address of a datagram, and what is said to pass, 0 where that is not said. */
  readonly onTooBig: (sockaddr: Uint8Array, mtuBytes: number) => void
}

/**
 * Hears the ICMP errors about datagrams of the data socket, by sockets of its own: no error, forged or not, can
 * come between the data socket and a frame.
 */
export class IcmpWatch {
  /** Why nothing is heard; undefined where it is. */
  readonly deaf: string | undefined
  readonly #options: IcmpWatchOptions
  readonly #sockets: IcmpErrorSocket[] = []
  /** Addresses as the socket has them: of the datagrams' sender where it is bound to one, else undefined. */
  readonly #boundTo: Uint8Array | undefined

  constructor(options: IcmpWatchOptions) {
    this.#options = options
    const { family, local } = options.socket
    const families: readonly IpFamily[] = family === AF_INET6 ? ['ipv4', 'ipv6'] : ['ipv4']
    this.deaf = this.#open(families, local.port)
    const bound = encodeSockaddr(family, local)
    const any = encodeSockaddr(family, { address: family === AF_INET6 ? '::' : '0.0.0.0', port: local.port })
    this.#boundTo = Buffer.from(bound).equals(any) ? undefined : bound
  }

  /** Takes what has come. To be called now and then; does not wait. */
  look(): void {
    for (const socket of this.#sockets) socket.take(LOOK_ERRORS, (error) => this.#hear(error))
  }

  /** Errors that came faster than they are looked at. */
  get unread(): number {
    return this.#sockets.reduce((all, socket) => all + socket.drops, 0)
  }

  close(): void {
    for (const socket of this.#sockets) socket.close()
  }

  /** Without CAP_NET_RAW it goes on without: what the paths carry is found by probes alone then. */
  #open(families: readonly IpFamily[], port: number): string | undefined {
    try {
      for (const family of families) this.#sockets.push(new IcmpErrorSocket(family, port))
      return undefined
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      return error.message
    }
  }

  #hear(error: HeardIcmpError): void {
    const { socket, counters, onTooBig } = this.#options
    const { family } = socket
    const encode = (address: Uint8Array, port: number) =>
      encodeAddress(family, address, port, isLinkLocal(address) ? error.scopeId : 0)
    const source = encode(error.source, error.sourcePort)
    if (this.#boundTo !== undefined && !Buffer.from(this.#boundTo).equals(source)) return
    if (error.kind === 'unreachable') counters[C.icmpUnreachable]++
    else if (error.kind === 'other') counters[C.icmpOther]++
    else {
      counters[C.icmpTooBig]++
      onTooBig(encode(error.destination, error.destinationPort), error.mtuBytes)
    }
  }
}

/** Of fe80::/10 (RFC 4291, 2.4). */
const isLinkLocal = (address: Uint8Array) =>
  address.length === 16 && address[0] === 0xfe && (address[1] & 0xc0) === 0x80

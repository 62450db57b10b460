import { AF_INET6 } from '../linux/constants.js'
import { KernelError } from '../linux/errno.js'
import { type HeardIcmpError, IcmpErrorSocket } from '../linux/icmp-error-socket.js'
import { encodeAddress, encodeSockaddr } from '../linux/sockaddr.js'
import type { UdpSocket } from '../linux/udp.js'
import { C } from '../memory/counters.js'
import type { IpFamily } from '../wire/ip.js'

/** How many errors of one family are read in one look. This limits the cost of a flood. */
const LOOK_ERRORS = 128

export interface IcmpWatchOptions {
  /** The data socket. */
  readonly socket: UdpSocket
  /** Main's counters. */
  readonly counters: Float64Array
  /** Called with the socket address of a datagram and the size that passes; 0 if the error gives none. */
  readonly onTooBig: (sockaddr: Uint8Array, mtuBytes: number) => void
}

/**
 * Receives the ICMP errors about datagrams of the data socket, on sockets of its own. So no error, forged or
 * not, can disturb the data socket.
 */
export class IcmpWatch {
  /** Why no errors can be received; undefined if they can. */
  readonly deaf: string | undefined
  readonly #options: IcmpWatchOptions
  readonly #sockets: IcmpErrorSocket[] = []
  /**
   * The source address of the datagrams, if the socket is bound to one; otherwise undefined. In the socket's
   * own form.
   */
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

  /** Takes the errors that have come. Must be called regularly. Does not wait. */
  look(): void {
    for (const socket of this.#sockets) socket.take(LOOK_ERRORS, (error) => this.#hear(error))
  }

  /** How many errors came faster than they were read. */
  get unread(): number {
    return this.#sockets.reduce((all, socket) => all + socket.drops, 0)
  }

  close(): void {
    for (const socket of this.#sockets) socket.close()
  }

  /** Without CAP_NET_RAW, the tunnel works without these errors. Then only probes find the path MTUs. */
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

/** Whether the address is in fe80::/10 (RFC 4291, 2.4). */
const isLinkLocal = (address: Uint8Array) =>
  address.length === 16 && address[0] === 0xfe && (address[1] & 0xc0) === 0x80

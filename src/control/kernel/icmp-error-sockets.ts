import { AF_INET6 } from '../../linux/constants.js'
import { KernelError } from '../../linux/errno.js'
import { IcmpErrorSocket, type QuotedPort } from '../../linux/icmp-error-socket.js'
import type { SocketFamily } from '../../linux/sockaddr.js'
import type { IpFamily } from '../../wire/ip.js'
import type { HeardIcmpError, IcmpErrors } from '../network.js'

/** How many errors of one family are read in one look. This limits the cost of a flood. */
const LOOK_ERRORS = 128

/**
 * The ICMP errors about datagrams from one UDP port, or to one, on sockets of their own. So no error, forged or not, can
 * disturb the data socket.
 */
export class IcmpErrorSockets implements IcmpErrors {
  #deaf: string | undefined
  #sockets: IcmpErrorSocket[] = []
  /** What the sockets before these have dropped. */
  #unreadBefore = 0
  readonly #families: readonly IpFamily[]
  readonly #which: QuotedPort

  /** @param which of the datagrams' ports it is */
  constructor(family: SocketFamily, port: number, which: QuotedPort) {
    this.#which = which
    this.#families = family === AF_INET6 ? ['ipv4', 'ipv6'] : ['ipv4']
    this.#deaf = this.#open(port)
  }

  get deaf(): string | undefined {
    return this.#deaf
  }

  follow(port: number): void {
    this.#unreadBefore = this.unread
    this.close()
    this.#sockets = []
    this.#deaf = this.#open(port)
  }

  take(heard: (error: HeardIcmpError) => void): void {
    for (const socket of this.#sockets) socket.take(LOOK_ERRORS, heard)
  }

  get unread(): number {
    return this.#sockets.reduce((all, socket) => all + socket.drops, this.#unreadBefore)
  }

  close(): void {
    for (const socket of this.#sockets) socket.close()
  }

  /** Without CAP_NET_RAW, the tunnel works without these errors. Then only probes find the path MTUs. */
  #open(port: number): string | undefined {
    try {
      for (const family of this.#families) this.#sockets.push(new IcmpErrorSocket(family, port, this.#which))
      return undefined
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      return error.message
    }
  }
}

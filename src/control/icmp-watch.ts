import { encodeAddress, encodeSockaddr } from '../linux/sockaddr.js'
import type { HeardIcmpError } from './network.js'
import type { Platform } from './platform.js'
import type { OwnCounters } from './tables.js'

export interface IcmpWatchOptions {
  readonly platform: Pick<Platform, 'socket' | 'network'>
  readonly counters: OwnCounters
  /** The address of the peer with this socket address; undefined if no peer is there. */
  readonly addressOf: (sockaddr: Uint8Array) => string | undefined
  /**
   * Called at most once in each look, with the addresses that datagrams were too big for and the least size that passes;
   * 0 if an error gave none.
   */
  readonly onTooBig: (least: ReadonlyMap<string, number>) => void
}

/** Takes the ICMP errors about datagrams of the data socket, counts them, and tells those that are too big. */
export class IcmpWatch {
  readonly #options: IcmpWatchOptions
  /** What this look has heard. Anybody can forge many errors, and each call takes a look at all peers. */
  readonly #least = new Map<string, number>()

  constructor(options: IcmpWatchOptions) {
    this.#options = options
  }

  /** Takes the errors that have come. Must be called regularly. Does not wait. */
  look(): void {
    try {
      this.#options.platform.network.icmp.take((error) => this.#hear(error))
    } finally {
      if (this.#least.size > 0) this.#options.onTooBig(this.#least)
      this.#least.clear()
    }
  }

  #hear(error: HeardIcmpError): void {
    const { platform, counters, addressOf } = this.#options
    const { family, local } = platform.socket
    const encode = (address: Uint8Array, port: number) =>
      encodeAddress(family, address, port, isLinkLocal(address) ? error.scopeId : 0)
    // VXLAN has other source ports than the socket's. That the error is about this tunnel, a filter has seen.
    const source = encode(error.source, local.port)
    const boundTo = this.#boundTo
    if (boundTo !== undefined && !Buffer.from(boundTo).equals(source)) return
    if (error.kind === 'unreachable') counters.count('icmpUnreachable')
    else if (error.kind === 'other') counters.count('icmpOther')
    else {
      counters.count('icmpTooBig')
      const address = addressOf(encode(error.destination, error.destinationPort))
      if (address === undefined) return
      this.#least.set(address, Math.min(error.mtuBytes, this.#least.get(address) ?? Number.POSITIVE_INFINITY))
    }
  }

  /** The source address of the datagrams, if the socket is bound to one; otherwise undefined. */
  get #boundTo(): Uint8Array | undefined {
    const { family, local } = this.#options.platform.socket
    const { address } = local
    return address === '::' || address === '0.0.0.0' ? undefined : encodeSockaddr(family, local)
  }
}

/** Whether the address is in fe80::/10 (RFC 4291, 2.4). */
const isLinkLocal = (address: Uint8Array) =>
  address.length === 16 && address[0] === 0xfe && (address[1] & 0xc0) === 0x80

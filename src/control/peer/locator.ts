import { UserError } from '../../errors.js'
import { KernelError } from '../../linux/errno.js'
import type { Netlink } from '../../linux/netlink.js'
import { decodeSockaddr, type Endpoint, encodeSockaddr } from '../../linux/sockaddr.js'
import { sockaddr_in } from '../../linux/structs.js'
import type { UdpSocket } from '../../linux/udp.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { type Refusal, refusalOf } from './endpoint-refusal.js'
import { type Underlay, type Way, wayTo } from './underlay.js'

/** For this long, a refused address is refused again without a look at the routes. */
const REFUSED_MS = 1_000

/**
 * The result of a move. `none`: the peer is there already. `port`: another port of the same address. `address`:
 * another address.
 */
export type Move = 'none' | 'port' | 'address'

export interface EndpointContext {
  readonly socket: UdpSocket
  readonly netlink: Netlink
  readonly table: PeerTable
  /** The index of the tunnel's own device; undefined until it exists. */
  readonly deviceIndex: () => number | undefined
  /** Whether the switch has learnt this MAC address behind a peer. */
  readonly isBehindPeer: (mac: Uint8Array) => boolean
}

/**
 * The endpoint of one peer, and the route to it. Settings, name lookups, handshakes and data may all give a new
 * endpoint. All of them ask here. If the new endpoint is refused, the peer keeps the old one.
 */
export class PeerEndpoint {
  readonly #row: number
  readonly #context: EndpointContext
  #endpoint: Endpoint | undefined
  #sockaddr: Uint8Array | undefined
  #way: Way | undefined
  /** The last refusal. */
  #refused: { readonly sockaddr: Uint8Array; readonly refusal: Refusal; readonly atMs: number } | undefined

  constructor(row: number, context: EndpointContext) {
    this.#row = row
    this.#context = context
  }

  /** Undefined until the peer has been found. */
  get endpoint(): Endpoint | undefined {
    return this.#endpoint
  }

  /** The endpoint as a socket address, as {@link encodeSockaddr} makes it. */
  get sockaddr(): Uint8Array | undefined {
    return this.#sockaddr
  }

  /** How datagrams get to the endpoint. */
  get underlay(): Underlay | undefined {
    return this.#way?.underlay
  }

  /** Whether the route to the endpoint leads into the tunnel itself. Such a route may be added at any time. */
  get isInside(): boolean {
    return this.#way?.kind === 'inside'
  }

  /**
   * Sets an endpoint that comes from the settings or from a name lookup.
   * @throws UserError if this host's socket cannot send there; KernelError from rtnetlink
   */
  locate(endpoint: Endpoint): Move | Refusal {
    return this.#move(endpoint, encode(this.#context.socket, endpoint), false)
  }

  /**
   * Sets the endpoint that an authentic message came from.
   * @param sockaddr all its bytes; a short address is filled up with zeros
   */
  roam(sockaddr: Uint8Array, nowMs: number): Move | Refusal {
    const now = this.#sockaddr
    if (now !== undefined && Buffer.from(now).equals(sockaddr)) return 'none'
    const refused = this.#refused
    if (refused !== undefined && nowMs - refused.atMs < REFUSED_MS) {
      const same = refused.refusal === 'itself' ? sameEndpoint : sameAddress
      if (same(refused.sockaddr, sockaddr)) return refused.refusal
    }
    const move = this.#tryMove(sockaddr)
    this.#refused = isRefusal(move) ? { sockaddr, refusal: move, atMs: nowMs } : undefined
    return move
  }

  #tryMove(sockaddr: Uint8Array): Move | Refusal {
    try {
      return this.#move(decodeSockaddr(sockaddr), sockaddr, true)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      return 'untold'
    }
  }

  /** @param heard whether a message came from there, so that the kernel must know the next hop */
  #move(endpoint: Endpoint, sockaddr: Uint8Array, heard: boolean): Move | Refusal {
    const { socket, netlink, table, deviceIndex, isBehindPeer } = this.#context
    const onlyPort = this.#sockaddr !== undefined && sameAddress(this.#sockaddr, sockaddr)
    const known = onlyPort ? this.#way : undefined
    const way = known ?? wayTo(netlink, endpoint.address, deviceIndex(), isBehindPeer)
    if (heard && way.kind === 'unknown') return 'untold'
    const refusal = refusalOf({ endpoint, kind: way.kind, listen: socket.local })
    if (refusal !== undefined) return refusal
    this.#endpoint = endpoint
    this.#sockaddr = sockaddr
    this.#way = way
    table.setAddress(this.#row, sockaddr)
    return onlyPort ? 'port' : 'address'
  }

  /** Follows the route to the endpoint. It may change at any time. @throws KernelError from rtnetlink */
  follow(): void {
    if (this.#endpoint === undefined) return
    const { socket, netlink, table, deviceIndex, isBehindPeer } = this.#context
    const { address } = this.#endpoint
    this.#way = wayTo(netlink, address, deviceIndex(), isBehindPeer)
    if (this.underlay?.interface === undefined || !address.includes('%')) return
    // The interface of the zone may have been created anew, with another index.
    this.#sockaddr = encode(socket, this.#endpoint)
    table.setAddress(this.#row, this.#sockaddr)
  }
}

export function isRefusal(move: Move | Refusal): move is Refusal {
  return move !== 'none' && move !== 'port' && move !== 'address'
}

function sameEndpoint(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a).equals(b)
}

/** Whether two socket addresses of one family are equal except for the port. */
function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  const port = sockaddr_in.sin_port
  return a.every((byte, index) => byte === b[index] || index === port || index === port + 1)
}

function encode(socket: UdpSocket, remote: Endpoint): Uint8Array {
  try {
    return encodeSockaddr(socket.family, remote)
  } catch (error) {
    throw new UserError(`the remote cannot be reached: ${(error as Error).message}; check its address`)
  }
}

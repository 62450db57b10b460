import { UserError } from '../../errors.js'
import { KernelError } from '../../linux/errno.js'
import type { Netlink } from '../../linux/netlink.js'
import { decodeSockaddr, type Endpoint, encodeSockaddr } from '../../linux/sockaddr.js'
import { sockaddr_in } from '../../linux/structs.js'
import type { UdpSocket } from '../../linux/udp.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { type Refusal, refusalOf } from './endpoint-refusal.js'
import { type Underlay, type Way, wayTo } from './underlay.js'

/** What is refused is refused again for so long without a look at the routes. */
const REFUSED_MS = 1_000

/** What came of a move: nothing, for it is there already; another port of the same address; another address. */
export type Move = 'none' | 'port' | 'address'

export interface EndpointContext {
  readonly socket: UdpSocket
  readonly netlink: Netlink
  readonly table: PeerTable
  /** The tunnel's own device; undefined before it is there. */
  readonly deviceIndex: () => number | undefined
}

/**
 * Where one peer is, and the way there. Whoever learns that it is somewhere, from the settings, a name, a
 * handshake or data, asks here, and may be refused: then it stays where it was.
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

  /** The same as a socket address, as `encodeSockaddr` makes it. */
  get sockaddr(): Uint8Array | undefined {
    return this.#sockaddr
  }

  /** How datagrams go there. */
  get underlay(): Underlay | undefined {
    return this.#way?.underlay
  }

  /** Whether the way there is the tunnel itself, by a route that was made since. */
  get isInside(): boolean {
    return this.#way?.kind === 'inside'
  }

  /**
   * The settings, or a name, say that it is there.
   * @throws UserError where this host's socket cannot send there; KernelError from rtnetlink
   */
  locate(endpoint: Endpoint): Move | Refusal {
    return this.#move(endpoint, encode(this.#context.socket, endpoint))
  }

  /**
   * It has been heard, authentically, from there.
   * @param sockaddr all its bytes, zeros behind a short one
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
      return this.#move(decodeSockaddr(sockaddr), sockaddr)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      return 'untold'
    }
  }

  #move(endpoint: Endpoint, sockaddr: Uint8Array): Move | Refusal {
    const { socket, netlink, table, deviceIndex } = this.#context
    const onlyPort = this.#sockaddr !== undefined && sameAddress(this.#sockaddr, sockaddr)
    const known = onlyPort ? this.#way : undefined
    const way = known ?? wayTo(netlink, endpoint.address, deviceIndex())
    const refusal = refusalOf({ endpoint, kind: way.kind, listen: socket.local })
    if (refusal !== undefined) return refusal
    this.#endpoint = endpoint
    this.#sockaddr = sockaddr
    this.#way = way
    table.setAddress(this.#row, sockaddr)
    return onlyPort ? 'port' : 'address'
  }

  /** Looks at the way there, which may change at any time. @throws KernelError from rtnetlink */
  follow(): void {
    if (this.#endpoint === undefined) return
    const { socket, netlink, table, deviceIndex } = this.#context
    const { address } = this.#endpoint
    this.#way = wayTo(netlink, address, deviceIndex())
    if (this.underlay?.interface === undefined || !address.includes('%')) return
    // A zone's interface may have been made anew, and have another index.
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

/** Whether two socket addresses of one family differ by the port at the most. */
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

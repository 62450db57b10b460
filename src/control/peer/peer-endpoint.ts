import { UserError } from '../../errors.js'
import { KernelError } from '../../linux/errno.js'
import {
  decodeLocal,
  decodeSockaddr,
  type Endpoint,
  encodeSockaddr,
  LOCAL_BYTES,
} from '../../linux/sockaddr.js'
import { sockaddr_in } from '../../linux/structs.js'
import { encodeName, encodeRelayed } from '../../memory/name.js'
import type { PeerTable } from '../../memory/peer-table.js'
import type { DataSocket, Platform } from '../platform.js'
import { type Refusal, refusalOf } from './endpoint-refusal.js'
import { familyOf, NO_UNDERLAY, type Underlay, type Way } from './underlay.js'

/** For this long, a refused address is refused again without a look at the routes. */
const REFUSED_MS = 1_000

/** The peer has spoken to no address of this host, as far as is known. */
const NOT_SPOKEN_TO: Uint8Array = new Uint8Array(LOCAL_BYTES)

/**
 * The result of a move. `none`: the peer is there already. `port`: another port of the same address. `address`:
 * another address.
 */
export type Move = 'none' | 'port' | 'address'

/** An endpoint that a peer may have. */
export interface Place {
  readonly endpoint: Endpoint
  /** The same as a socket address. */
  readonly sockaddr: Uint8Array
  readonly way: Way
  /** The source address of datagrams there, if the kernel does not choose it. */
  readonly from: string | undefined
}

/** An introducer that relays for this host. */
export interface Relay {
  readonly row: number
  readonly name: string
  readonly place: PeerEndpoint
}

export interface EndpointContext {
  readonly platform: Pick<Platform, 'socket' | 'network'>
  readonly table: PeerTable
  /** Whether the switch has learnt this MAC address behind a peer. */
  readonly isBehindPeer: (mac: Uint8Array) => boolean
  /** Whether the workers are not told where it is, and so carry nothing to it or from it. */
  readonly isClosed?: boolean
}

/**
 * The endpoint of one peer, the route to it, and the source address of what is sent there. Settings, name lookups, handshakes and data may all give a new
 * endpoint. All of them ask here. If the new endpoint is refused, the peer keeps the old one.
 *
 * A peer is answered from the address of this host that it has spoken to. Otherwise it would not know the answer, and
 * a firewall on the way would not let it pass. If the kernel would choose that address anyway, it is left to the
 * kernel.
 *
 * A peer may be reached by way of an introducer. Then all that is said here of its endpoint is the introducer's.
 */
export class PeerEndpoint {
  readonly #row: number
  readonly #context: EndpointContext
  #endpoint: Endpoint | undefined
  #sockaddr: Uint8Array | undefined
  #way: Way | undefined
  /** The address of this host that the peer has spoken to last (linux/sockaddr.ts); zeros if that is not known. */
  #local: Uint8Array = NOT_SPOKEN_TO
  #from: string | undefined
  /** Whether the peer has spoken to another address since the last {@link follow}. */
  #isNews = false
  #relay: Relay | undefined
  /** The last refusal. */
  #refused: { readonly sockaddr: Uint8Array; readonly refusal: Refusal; readonly atMs: number } | undefined

  constructor(row: number, context: EndpointContext) {
    this.#row = row
    this.#context = context
  }

  /** Undefined until the peer has been found. */
  get endpoint(): Endpoint | undefined {
    return this.#relay?.place.endpoint ?? this.#endpoint
  }

  /** The introducer that relays what is for the peer; undefined if it goes there directly. */
  get relay(): Relay | undefined {
    return this.#relay
  }

  /** The endpoint as a socket address, as {@link encodeSockaddr} makes it; undefined if the peer is relayed. */
  get sockaddr(): Uint8Array | undefined {
    return this.#sockaddr
  }

  /** The endpoint and the source address, as the socket takes them (memory/name.ts). */
  get datagramName(): Uint8Array | undefined {
    if (this.#relay !== undefined) return encodeRelayed({ via: this.#relay.row, far: this.#row })
    return this.#sockaddr && encodeName(this.#sockaddr, this.#local, this.#from !== undefined)
  }

  /** The source address of datagrams to the peer, if the kernel does not choose it. */
  get from(): string | undefined {
    return this.#relay === undefined ? this.#from : this.#relay.place.from
  }

  /** The source address of datagrams to the peer, whoever chooses it; undefined if that is not known. */
  get source(): string | undefined {
    return this.#relay?.place.source ?? this.#from ?? this.#way?.source
  }

  /** Whether the peer is known to speak to this address of this host. */
  speaksTo(local: Uint8Array): boolean {
    return Buffer.from(this.#local).equals(local)
  }

  /** The peer speaks to this address of this host from now on. {@link follow} must be called after that. */
  spokenTo(local: Uint8Array): void {
    this.#local = Uint8Array.from(local)
    this.#from = undefined
    this.#isNews = true
    this.#publish()
  }

  /** How datagrams get to the endpoint. */
  get underlay(): Underlay | undefined {
    return this.#relay === undefined ? this.#way?.underlay : this.#relay.place.underlay
  }

  /**
   * If the route to the endpoint leads into the tunnel itself: the interface by which it does so. Such a route may
   * be added at any time.
   */
  get inwards(): string | undefined {
    return this.#relay === undefined ? this.#way?.inwards : this.#relay.place.inwards
  }

  /**
   * Looks whether the peer may be at an endpoint that comes from the settings or from a name lookup. Changes nothing.
   * @throws UserError if this host's socket cannot send there; KernelError from rtnetlink
   */
  look(endpoint: Endpoint): Place | Refusal {
    return this.#look(endpoint, encode(this.#context.platform.socket, endpoint), false)
  }

  /** The place at an endpoint where the peer could be before; undefined if it cannot now. */
  tryLook(endpoint: Endpoint): Place | undefined {
    try {
      const found = this.look(endpoint)
      return typeof found === 'string' ? undefined : found
    } catch (error) {
      if (error instanceof UserError || error instanceof KernelError) return undefined
      throw error
    }
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
      const place = this.#look(decodeSockaddr(sockaddr), sockaddr, true)
      return typeof place === 'string' ? place : this.moveTo(place)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      return 'untold'
    }
  }

  /** @param heard whether a message came from there, so that the kernel must know the next hop */
  #look(endpoint: Endpoint, sockaddr: Uint8Array, heard: boolean): Place | Refusal {
    const { socket } = this.#context.platform
    const known = this.#isOnlyPort(sockaddr) ? this.#way : undefined
    // At another address it has not spoken to this host yet.
    const { way, from } =
      known === undefined ? this.#route(endpoint, NOT_SPOKEN_TO) : { way: known, from: this.#from }
    if (heard && way.kind === 'unknown') return 'untold'
    return refusalOf({ endpoint, kind: way.kind, listen: socket.local }) ?? { endpoint, sockaddr, way, from }
  }

  /** The route to an endpoint, and the source address of what is sent there. */
  #route({ address, port }: Endpoint, spokenTo = this.#local): Pick<Place, 'way' | 'from'> {
    const { platform, isBehindPeer } = this.#context
    const { network } = platform
    const way = network.wayTo(address, isBehindPeer, undefined, port)
    const local = decodeLocal(spokenTo)
    if (local === undefined || local === way.source || familyOf(local) !== familyOf(address))
      return { way, from: undefined }
    // Not a broadcast or multicast address, nor one that has gone.
    if (network.wayTo(local, isBehindPeer).kind !== 'own') return { way, from: undefined }
    const chosen = network.wayTo(address, isBehindPeer, local, port)
    return chosen.kind === 'unroutable' ? { way, from: undefined } : { way: chosen, from: local }
  }

  /** Tells the workers. */
  #publish(): void {
    if (this.#sockaddr === undefined || this.#context.isClosed) return
    this.#context.table.setAddress(this.#row, this.#sockaddr, this.#local, this.#from !== undefined)
  }

  /** The peer is at `place` from now on. */
  moveTo({ endpoint, sockaddr, way, from }: Place): Move {
    const onlyPort = this.#isOnlyPort(sockaddr)
    if (!onlyPort) this.#local = NOT_SPOKEN_TO
    this.#relay = undefined
    this.#endpoint = endpoint
    this.#sockaddr = sockaddr
    this.#way = way
    this.#from = from
    this.#publish()
    return onlyPort ? 'port' : 'address'
  }

  /** From now on an introducer relays what is for the peer; undefined: nobody does, and it is nowhere. */
  relayBy(relay: Relay | undefined): void {
    this.#relay = relay
    this.#endpoint = undefined
    this.#sockaddr = undefined
    this.#way = undefined
    this.#from = undefined
    this.#local = NOT_SPOKEN_TO
    const { table } = this.#context
    if (relay === undefined) table.clear(this.#row)
    else table.setRelayed(this.#row, relay.row)
  }

  /** Whether `sockaddr` differs from the present one by its port, or not at all. */
  #isOnlyPort(sockaddr: Uint8Array): boolean {
    return this.#sockaddr !== undefined && sameAddress(this.#sockaddr, sockaddr)
  }

  /** Follows the route to the endpoint. It may change at any time. @throws KernelError from rtnetlink */
  follow(): void {
    if (this.#endpoint === undefined) return
    const endpoint = this.#endpoint
    const { underlay: before, from: fromBefore } = this
    const isNews = this.#isNews
    this.#isNews = false
    let { way, from } = this.#route(endpoint)
    if (from !== undefined && !isNews && way.underlay.interface !== before?.interface) {
      // An address that was good for the way before need not be for this one. The peer may speak to it again.
      this.#local = NOT_SPOKEN_TO
      ;({ way, from } = this.#route(endpoint))
    }
    this.#way = way
    this.#from = from
    const mtuBytes = before?.mtuBytes
    // A loop carries nothing, so what was known of the way before is kept.
    if (this.inwards !== undefined) this.turnsInwards(this.inwards, mtuBytes ?? this.#way.underlay.mtuBytes)
    const zoned = this.underlay?.interface !== undefined && endpoint.address.includes('%')
    // The interface of the zone may have been created anew, with another index.
    if (zoned) this.#sockaddr = encode(this.#context.platform.socket, endpoint)
    if (zoned || from !== fromBefore) this.#publish()
  }

  /**
   * The present route leads into the tunnel itself, by the interface `inwards`.
   * @param mtuBytes the MTU of the interface of the last good route
   */
  turnsInwards(inwards: string, mtuBytes: number): void {
    this.#way = { kind: 'inside', underlay: { ...NO_UNDERLAY, mtuBytes }, inwards }
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

function encode(socket: DataSocket, remote: Endpoint): Uint8Array {
  try {
    return encodeSockaddr(socket.family, remote)
  } catch (error) {
    throw new UserError(`the remote cannot be reached: ${(error as Error).message}; check its address`)
  }
}

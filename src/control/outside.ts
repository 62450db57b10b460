import type { Endpoint, SocketFamily } from '../linux/sockaddr.js'
import type { IpFamily } from '../wire/ip.js'

/**
 * What main needs from outside: the clock, random bytes, the data socket, rtnetlink, the name service, and
 * sockets that ask a path for its MTU. Main is given one of these. kernel.ts makes the real one. Tests make a
 * simulated one, so that main's own code runs whole networks in simulated time.
 */
export interface Outside {
  readonly clock: Clock
  /** Secret random bytes. */
  random(bytes: number): Buffer
  readonly socket: DataSocket
  readonly routes: Routing
  /**
   * Every address of a host name, at least one, of the family that the socket can send to.
   * @throws the system's error, with its `code`: EAI_AGAIN if asking again later may help
   */
  resolve(host: string): Promise<readonly string[]>
  readonly paths: Paths
}

/** Something that happens later, once or repeatedly. */
export interface Timer {
  cancel(): void
}

/** The time, and timers. */
export interface Clock {
  /** Milliseconds since some moment. Never runs backward. CLOCK_BOOTTIME, so a suspend counts. */
  nowMs(): number
  /** Milliseconds since 1970. A person may set this clock back. */
  unixMs(): number
  /** Calls `work` once, after `ms` milliseconds. */
  after(ms: number, work: () => void): Timer
  /** Calls `work` every `ms` milliseconds. */
  every(ms: number, work: () => void): Timer
}

/** The socket that the workers receive from; main only sends on it. */
export interface DataSocket {
  readonly family: SocketFamily
  /** The endpoint that the socket is bound to. */
  readonly local: Endpoint
  /**
   * Sends one datagram. Never waits.
   * @param name a socket address, as `encodeSockaddr` makes it
   * @returns 0, or the errno
   */
  send(payload: Uint8Array, name: Uint8Array): number
}

/** How packets leave this host. */
export interface Egress {
  /** The interface: its index, its name, and its MTU in bytes. */
  readonly link: { readonly index: number; readonly name: string; readonly mtuBytes: number }
  /** The next router; undefined if the destination is a neighbour. */
  readonly gateway: string | undefined
}

/** What rtnetlink tells. */
export interface Routing {
  /** How packets to an address leave; undefined while there is no route. @throws KernelError */
  egressTo(address: string): Egress | undefined
  /** Whether an interface, an address or a route has changed since the last call. */
  changed(): boolean
}

/** What can be learnt of a path without the far end's help. */
export interface Paths {
  /** The MTU that the kernel believes the path has; undefined while there is no route. */
  known(family: IpFamily, address: string): number | undefined
  /** @throws KernelError; RangeError for an address whose zone names no interface */
  open(family: IpFamily, address: string): PathProbe
}

/** This host's interface takes no more than `mtuBytes`. */
export type PathAnswer =
  /** This host's interface takes no more than `mtuBytes`. */
  | { readonly kind: 'local'; readonly mtuBytes: number }
  /** The router `from` passes no more than `mtuBytes`; 0 if it does not say how much. */
  | { readonly kind: 'too_big'; readonly port: number; readonly mtuBytes: number; readonly from: string }
  /** The far end itself says that it received the datagram. */
  | { readonly kind: 'arrived'; readonly port: number; readonly from: string }
  /** Another ICMP error. */
  | { readonly kind: 'refused'; readonly port: number; readonly from: string; readonly errno: number }

/** Sends datagrams of chosen sizes to ports of one address, and receives the ICMP answers. Nothing waits. */
export interface PathProbe {
  /**
   * Sends a datagram of `payloadBytes` bytes.
   * @returns false if this host's interface does not take it; {@link next} then gives that answer
   * @throws KernelError if the kernel refuses it for another reason (ENETUNREACH, EPERM)
   */
  send(port: number, payloadBytes: number): boolean
  /** The oldest answer that was not taken yet; undefined if there is none. */
  next(): PathAnswer | undefined
  close(): void
}

import type { ProbeSocket } from '../linux/probe-socket.js'
import type { IcmpError } from '../wire/icmp-error.js'
import type { IpFamily } from '../wire/ip.js'
import type { Way } from './peer/underlay.js'

/** How many sent packets an interface has dropped, by its own account. */
export interface InterfaceDrops {
  readonly index: number
  /** Dropped by the interface itself. */
  readonly txDropped: number
  /** Its queueing discipline: the identity, and the drops as 32 bits; undefined if there is none. */
  readonly qdisc: { readonly identity: string; readonly drops: number } | undefined
}

/** An address of one of this host's interfaces. */
export interface HostAddress {
  /** A link-local one includes its interface. */
  readonly address: string
  /** Whether it can be used: no duplicate address detection runs, or has failed. */
  readonly ready: boolean
  /** Whether it is good beyond the link. */
  readonly global: boolean
  /** Whether it is about to go. */
  readonly deprecated: boolean
  /** Whether it is not the first of its network or, for IPv6, a temporary one. */
  readonly secondary: boolean
}

/** A socket to one port of a router. */
export interface GatewaySocket {
  /** The address of this host that it sends from; undefined until that is known. */
  readonly source: string | undefined
  /** Sends without a guarantee. Nothing is sent before {@link source} is known. */
  send(bytes: Uint8Array): void
  close(): void
}

/** What the kernel knows of the underlay. Nothing here waits. */
export interface Network {
  /**
   * How datagrams leave this host for an address.
   * @param isBehindPeer whether the tunnel's switch has learnt a MAC address behind a peer
   * @param from the source address of the datagrams, if the kernel does not choose it
   * @param port where they go to: it may decide about the route (ip-rule(8))
   * @throws KernelError
   */
  wayTo(address: string, isBehindPeer: (mac: Uint8Array) => boolean, from?: string, port?: number): Way
  /** Whether what other programs send to an address leaves by the tunnel's device. @throws KernelError */
  leavesByDevice(address: string): boolean
  /** The addresses of an interface; undefined if there is none of that name. @throws KernelError */
  addressesOf(name: string): readonly HostAddress[] | undefined
  /**
   * The addresses of all interfaces that are up, but for the tunnel's own device and the bridge that it is a port of.
   * @throws KernelError
   */
  ownAddresses(): readonly HostAddress[]
  /** Opens a socket to a port of a router with this IPv4 address. @param onMessage gets what comes from there */
  openGateway(address: string, port: number, onMessage: (bytes: Uint8Array) => void): GatewaySocket
  /** Whether a route, an address or an interface has changed since the last call. */
  changed(): boolean
  /**
   * Whether the tunnel's device was down, or a route by it was removed, since the last call; as far as {@link changed} has
   * heard.
   */
  deviceHasLost(): boolean
  /** The drops of interfaces, given by name. Names of interfaces that have gone are left out. */
  dropsOf(names: Iterable<string>): Map<string, InterfaceDrops>
  /** The path MTU that the kernel's cache or the route gives; undefined if there is none. */
  kernelPathMtu(family: IpFamily, address: string, from?: string): number | undefined
  /**
   * @param from the source address of the probes, if the kernel does not choose it
   * @throws KernelError; RangeError for an address whose zone names no interface
   */
  openProbes(family: IpFamily, address: string, from?: string): Probes
  readonly icmp: IcmpErrors
}

/** A socket that asks closed ports of one host, to find what the path to it carries. */
export type Probes = Pick<ProbeSocket, 'send' | 'next' | 'close'>

/** An ICMP error, and the interface of a link-local sender (else 0). */
export interface HeardIcmpError extends IcmpError {
  readonly scopeId: number
}

/** The ICMP errors about datagrams of the data socket. */
export interface IcmpErrors {
  /** Why no errors can be received; undefined if they can. */
  readonly deaf: string | undefined
  /** Receives errors about datagrams from another port from now on. */
  follow(port: number): void
  /** Takes the waiting errors, up to some hundred. Does not wait. */
  take(heard: (error: HeardIcmpError) => void): void
  /** How many errors came faster than they were read. */
  readonly unread: number
}

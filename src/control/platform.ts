import type { Commands } from '../command/server.js'
import type { Configurable } from '../command/wireguard/server.js'
import type { Settings } from '../config/schema.js'
import type { Prefix } from '../config/values.js'
import type { Store } from '../etcd/store.js'
import type { RoutesOutcome } from '../host/host-side.js'
import type { LinkStatistics } from '../linux/interface.js'
import type { NativeMemory } from '../linux/memory.js'
import type { ProbeSocket } from '../linux/probe-socket.js'
import type { Endpoint, SocketFamily } from '../linux/sockaddr.js'
import type { MemoryPlan } from '../memory/plan.js'
import type { Route } from '../memory/routes.js'
import type { Times } from '../noise/peer.js'
import type { MacAddress } from '../wire/ethernet.js'
import type { IcmpError } from '../wire/icmp-error.js'
import type { IpFamily } from '../wire/ip.js'
import type { HandshakeKeys } from '../worker/task.js'

export type { HandshakeKeys }

import type { Clock } from './clock.js'
import type { Way } from './peer/underlay.js'

/**
 * What main needs from the world around it. `assembly.ts` makes the real one. The tests make simulated ones
 * (test/sim), so that main's logic runs without a kernel and in simulated time.
 */
export interface Platform {
  readonly clock: Clock
  /** When keys are renewed and expire, and how long an answer is waited for. */
  readonly times: Times
  /** Random bytes that nobody can guess. */
  random(bytes: number): Buffer
  /** The memory that main shares with the workers, and where everything is in it. */
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly socket: DataSocket
  readonly network: Network
  readonly resolver: Resolver
  readonly state: State
  readonly workers: WorkerThreads
  /** Where other hosts are found, if the settings have a `discovery`. */
  readonly store?: Store | undefined
  /** Makes the device. @throws UserError */
  openDevice(settings: Settings, mtuBytes: number): Device
  /** What a tunnel sets on this host beside its device. @param device was opened before */
  openHostSide(settings: Settings, device: Device): HostSide
  /** Loads the kernel's own datapath. @throws KernelError if this kernel has none, or if this process may not */
  openKernelPath(device: Device): KernelPath
  /**
   * Answers the commands of this host about a device.
   * @returns a function that ends it
   * @throws UserError
   */
  serve(device: Device, commands: Commands): Promise<() => void>
  /**
   * Lets wg(8) read and change the configuration of a device.
   * @returns a function that ends it
   */
  serveWireGuard(
    device: Device,
    configurable: Configurable,
    onRemoved: (() => void) | undefined,
  ): Promise<() => void>
  /** Closes all that is open. The device is gone afterwards. The workers must have been stopped. */
  close(): Promise<void>
}

/** What is kept from one run to the next, a file for each thing (state/state-directory.ts). */
export interface State {
  /** Where it is, for a person. */
  readonly path: string
  /** The text of a file that is of use, but not needed; undefined if there is none, or none to be trusted. */
  read(name: string): string | undefined
  /**
   * Replaces such a file as a whole, without blocking this thread. Calls for one file must not overlap.
   * @returns whether that could be done
   */
  replace(name: string, text: string): Promise<boolean>
  /** The text of a file that must not be lost; undefined if there is none. @throws if it cannot be read, or could be forged */
  load(name: string): string | undefined
  /** Replaces such a file, at once or not at all. @returns why it cannot be written; undefined if it is */
  save(name: string, text: string): string | undefined
}

/** Routes, rules, name servers and the like. They are taken back when the platform is closed. */
export interface HostSide {
  /** The tables that have routes of {@link setRoutes}, by their numbers, the least first. */
  readonly tables: readonly number[]
  /**
   * Makes routes to these networks by the device, and takes back those that were made to others.
   * @param endpoints the addresses where the peers are, without a zone
   * @throws KernelError
   */
  setRoutes(prefixes: readonly Prefix[], endpoints: readonly string[]): Promise<RoutesOutcome>
  /**
   * Sets the device's name servers and search domains.
   * @returns a sentence if they cannot be set
   */
  setNames(dns: readonly string[]): Promise<string | undefined>
}

/** A peer's place, as the kernel's own datapath must know it. */
export interface KernelWay {
  /** The interface on the underlay. */
  readonly interface: string
  /** Addresses, without a zone. */
  readonly source: string
  readonly destination: string
  readonly destinationPort: number
  /** The longest frame that the path carries in one datagram. */
  readonly longestFrameBytes: number
}

/** What the kernel's own datapath has carried for one peer since it was opened. */
export interface KernelCounts {
  readonly outFrames: number
  readonly outBytes: number
  readonly inFrames: number
  readonly inBytes: number
  /** Dropped: from an address that is not the peer's; for a host behind another peer. */
  readonly notAllowed: number
  readonly filtered: number
}

/** A MAC that was seen behind a peer, where the datapath does not have it; or the source of a probe. */
export interface KernelNews {
  readonly mac: Uint8Array
  readonly row: number
  readonly probe: boolean
}

/** What else is known of a MAC: that the configuration says where it is; that frames for it may go by the kernel. */
export interface MacFlags {
  readonly pinned?: boolean
  readonly carried?: boolean
}

/**
 * The kernel's own datapath (src/bpf): programs that carry frames for known MACs to known peers. Nothing here waits.
 * All methods may throw a KernelError.
 */
export interface KernelPath {
  /** Why the device's frames must go through the workers now; undefined if nothing is in the way. */
  readonly hindrance: string | undefined
  /** @returns whether an IPsec policy of this host, as it is now, is for a way, or for its answers */
  policies(): (way: KernelWay) => boolean
  /** Whether netfilter changes addresses or ports of a way, or of its answers. It is too dear for each look. */
  isTranslated(way: KernelWay): boolean
  /** Whether programs run where frames leave the device. */
  carry(on: boolean): void
  /** Where a MAC is: at a peer's row, or at the device. */
  setMac(mac: Uint8Array, port: number, of: MacFlags): void
  removeMac(mac: Uint8Array): void
  /** Whose a prefix is, in mode tun. @param carried whether frames for it may go by the kernel */
  setPrefix(route: Route, carried: boolean): void
  removePrefix(route: Omit<Route, 'row'>): void
  /** Seconds since a frame from there was seen; undefined if none was. */
  seenS(mac: Uint8Array): number | undefined
  /** @returns false if the interface is gone, or is no Ethernet */
  setPeer(row: number, way: KernelWay): boolean
  removePeer(row: number): void
  counts(row: number): KernelCounts
  /** Takes what has come since the last call. */
  news(): readonly KernelNews[]
  /** Sends a probe to a peer, by the device. @param token six bytes by which its answer names it: a MAC in mode tap */
  probe(row: number, token: Uint8Array): void
  close(): void
}

/** The UDP socket that all peers share. Workers receive from it. */
export interface DataSocket {
  readonly family: SocketFamily
  /**
   * The address and port that it is bound to. While it is bound to no address of this host, only the port means
   * something.
   */
  readonly local: Endpoint
  /** Whether it is bound to an address of this host, or to all. */
  readonly isBound: boolean
  /**
   * Binds it to another address or port. What waits in its buffers is lost. Workers that sleep must be rung for.
   * @param address undefined: none of this host. Nothing is sent or received then.
   * @param port the same if it is left out; 0: one that the kernel chooses
   * @throws KernelError (EADDRNOTAVAIL, EADDRINUSE); RangeError for a zone that is no interface. It stays as it was
   *   then.
   */
  bindTo(address: string | undefined, port?: number): void
  /** The mark of all that it sends (ip-rule(8)); 0 for none. Routes are looked up and paths are probed with it. */
  readonly mark: number
  /** @throws KernelError (EPERM) */
  setMark(mark: number): void
  /**
   * Sends one datagram. Never waits. If this host does not have the source address that `name` asks for, the kernel
   * chooses one.
   * @param name as in memory/name.ts
   * @returns 0, or the errno
   */
  send(datagram: Uint8Array, name: Uint8Array): number
  /** Makes the kernel join datagrams (`UDP_GRO`). Returns false if it cannot. */
  enableGro(): boolean
  /** Has it receive datagrams without a UDP checksum, over IPv6 as well. @throws KernelError */
  receiveUnsummed(): void
  /** Datagrams that the kernel dropped because the socket's receive buffer was full. */
  readonly drops: number
}

/** The tunnel's own device. */
export interface Device {
  readonly name: string
  readonly index: number
  /** Undefined in tun mode. */
  readonly mac: MacAddress | undefined
  /** Resolves with the reason when the device's own network namespace is gone; undefined if it has none. */
  readonly lost?: Promise<Error> | undefined
  /** Turns the device's offloads on or off. @returns those that are on */
  setOffloads(wanted: boolean): { readonly tso: boolean; readonly uso: boolean }
  /** @throws KernelError */
  setMtu(bytes: number): void
  /** The device as it is now; undefined if it has just gone. @throws KernelError */
  link(): DeviceLink | undefined
  /** The kernel's counters; undefined if the device has just gone. @throws KernelError */
  statistics(): LinkStatistics | undefined
}

/** What anybody may change of the device. */
export interface DeviceLink {
  readonly mtuBytes: number
  /** Whether somebody has set it up (`IFF_UP`). */
  readonly up: boolean
  /** The bridge that the device is a port of; undefined if there is none. */
  readonly bridge: DeviceBridge | undefined
}

/** A bridge of the kernel. */
export interface DeviceBridge {
  readonly index: number
  readonly name: string
  /** Either the least MTU of all its ports, or what somebody has set. The kernel does not say which. */
  readonly mtuBytes: number
  /** The MTUs of its other ports. */
  readonly othersBytes: readonly number[]
}

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
   * @throws KernelError
   */
  wayTo(address: string, isBehindPeer: (mac: Uint8Array) => boolean, from?: string): Way
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

/** Names to addresses. */
export interface Resolver {
  /**
   * All addresses of a name, at least one.
   * @param ipv4Only whether IPv6 addresses are of no use
   * @throws the resolver's error, with its `code`
   */
  lookup(name: string, ipv4Only: boolean): Promise<readonly string[]>
}

/** The worker threads. */
export interface WorkerThreads {
  /** Resolves with the reason when a worker ends that was not asked to. Never rejects. */
  readonly died: Promise<Error>
  /** Calls `look` from now on when a worker has put something into a mailbox. */
  onNews(look: () => void): void
  /**
   * Starts both workers on the device and the socket. Resolves when they carry frames. @throws the reason if they
   * do not
   */
  start(options: WorkerOptions): Promise<void>
  /** Wakes both workers, so that they look at what has changed. */
  ring(): void
  /** Ends both workers. */
  stop(): Promise<void>
}

export interface WorkerOptions {
  readonly mode: Settings['mode']
  /** Whether frames are passed on between peers. */
  readonly relay: boolean
  /** Undefined if the tunnel is not private. */
  readonly keys: HandshakeKeys | undefined
  /** Whether the workers warm up. */
  readonly warmUp: boolean
}

import type { KeyObject } from 'node:crypto'
import type { Commands } from '../command/server.js'
import type { Configurable } from '../command/wireguard/server.js'
import type { Prefix } from '../config/addresses.js'
import type { Settings } from '../config/schema.js'
import type { Store } from '../etcd/store.js'
import type { RoutesOutcome } from '../host/host-routes.js'
import type { NamedHost } from '../host/hosts-block.js'
import type { NativeMemory } from '../linux/memory.js'
import type { Endpoint, SocketFamily } from '../linux/sockaddr.js'
import type { MemoryPlan } from '../memory/plan.js'
import type { Times } from '../noise/times.js'
import type { HandshakeKeys, VxlanTask } from '../worker/task.js'

export type { HandshakeKeys }

import type { Clock } from './clock.js'
import type { KernelPath } from './datapath/kernel-path.js'
import type { Device } from './device.js'
import type { Network } from './network.js'

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
  /** A new Curve25519 private key, for one handshake. */
  ephemeral(): KeyObject
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
  /**
   * Gives these hosts names with a suffix in /etc/hosts, and takes back those that it gave to others.
   * @returns sentences for a person
   */
  setHosts(suffix: string, hosts: readonly NamedHost[]): Promise<readonly string[]>
}

/** The UDP socket that all peers share. Workers receive from it. */
export interface DataSocket {
  readonly family: SocketFamily
  /**
   * The address and port that it is bound to. While it is bound to no address of this host, only the port means
   * something.
   */
  readonly local: Endpoint
  /** The ports that the workers send frames from: its own, or those of several sockets (VXLAN). */
  readonly sourcePorts: readonly number[]
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

/** Names to addresses. */
export interface Resolver {
  /** How many look-ups it does at once, at least 2; undefined: as many as are asked for. */
  readonly atOnce?: number | undefined
  /**
   * All addresses of a name, at least one.
   * @param ipv4Only whether IPv6 addresses are of no use
   * @throws the resolver's error, with its `code`
   */
  lookup(name: string, ipv4Only: boolean): Promise<readonly string[]>
  /**
   * The SRV records of a service (RFC 2782), at least one.
   * @throws an error with a `code`, as {@link lookup} does: EAI_AGAIN if no server answers
   */
  services(name: string): Promise<readonly ServiceRecord[]>
}

/** One host of a service. */
export interface ServiceRecord {
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** Empty if the service is decidedly not there. */
  readonly host: string
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
  /** As in `LoopTask` (worker/task.ts). */
  readonly dsMask: number
  /** Whether frames are passed on between peers. */
  readonly relay: boolean
  /** Undefined if the tunnel is not VXLAN. */
  readonly vxlan?: VxlanTask | undefined
  /** Undefined if the tunnel is not private. */
  readonly keys: HandshakeKeys | undefined
  /** Whether the workers warm up. */
  readonly warmUp: boolean
}

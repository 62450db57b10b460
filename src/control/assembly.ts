import { randomBytes, randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Logger } from 'pino'
import { type Commands, serveCommands } from '../command/server.js'
import type { Configurable } from '../command/wireguard/server.js'
import { MAX_PEERS, type Settings } from '../config/schema.js'
import { vxlanOf } from '../config/vxlan.js'
import { findCrypto } from '../crypto/find-crypto.js'
import { makePrivateKey } from '../crypto/primitives.js'
import { UserError } from '../errors.js'
import type { Store } from '../etcd/store.js'
import { KINDS } from '../host/change.js'
import { markFor } from '../host/default-route.js'
import { HostSide } from '../host/host-side.js'
import { Journal } from '../host/journal.js'
import { presentOwner } from '../host/owner.js'
import { type Taken, undoLeftovers } from '../host/undo.js'
import { abiFault } from '../linux/abi-check.js'
import { VerifierError } from '../linux/bpf.js'
import { ENOSYS, KernelError } from '../linux/errno.js'
import { freeFilePages } from '../linux/file-pages.js'
import { freeMemory } from '../linux/free-memory.js'
import { NativeMemory } from '../linux/memory.js'
import { Netlink } from '../linux/netlink.js'
import { type MemoryPlan, planMemory } from '../memory/plan.js'
import { TIMES, type Times } from '../noise/times.js'
import { StateDirectory } from '../state/state-directory.js'
import { outerDsMask } from '../wire/ecn.js'
import { cryptoWorkersFor } from './crypto-workers.js'
import { forbiddenBy } from './datapath/reason.js'
import { deferred } from './deferred.js'
import type { Device } from './device.js'
import type { Faults } from './faults.js'
import { type LinuxDevice, openDevice } from './kernel/device.js'
import { DevicePlace } from './kernel/device-place.js'
import type { LinuxKernelPath } from './kernel/kernel-path.js'
import { LinuxNetwork } from './kernel/linux-network.js'
import { type LinuxSocket, openSocket } from './kernel/socket.js'
import { systemClock } from './kernel/system-clock.js'
import { systemResolver } from './kernel/system-resolver.js'
import { Workers } from './kernel/workers.js'
import type { Platform } from './platform.js'
import { Resources } from './resources.js'
import { Tunnel, type TunnelOptions } from './tunnel.js'

/**
 * Opens all real things that a tunnel needs, and starts it.
 * @throws UserError; after any error, nothing is left behind
 */
export async function startTunnel(options: Omit<TunnelOptions, 'platform'>): Promise<Tunnel> {
  return Tunnel.start({ ...options, platform: await LinuxPlatform.open(options) })
}

/** How often this program looks whether the namespace of the device is still there. */
const PLACE_MS = 1_000

/**
 * The kernel's own datapath has room for so many peers at the least. Each costs 80 bytes for each processor at once, also if
 * it is never used, because the map is an array of each processor.
 */
const KERNEL_ROWS = 256

/** After so long, what only the start has needed is given back. */
const FREE_MEMORY_MS = 2_000

/** So many of the last lines of what the verifier says are logged. */
const VERIFIER_LINES = 20

type OpenOptions = Pick<TunnelOptions, 'settings' | 'faults' | 'log'>

/** What the changes on this host beside the device need. They are made where the device is. */
interface HostTools {
  readonly place: DevicePlace
  readonly netlink: Netlink
  readonly journal: Journal
}

/**
 * Takes back what killed runs have left on this host, too: where the device will be, and where this program runs.
 * @throws UserError if this machine is none of ours
 */
async function openHostTools({ settings, log }: OpenOptions, resources: Resources): Promise<HostTools> {
  const fault = abiFault()
  if (fault !== undefined) throw new UserError(fault)
  const place = new DevicePlace(settings.netns)
  resources.defer(() => place.close())
  const netlink = place.run(() => new Netlink().beStrict())
  resources.defer(() => netlink.close())
  const journal = new Journal(new StateDirectory(), place.run(presentOwner))
  tellTaken(log, await undoLeftovers(netlink, journal, (work) => place.run(work)))
  // A tunnel that had its device here has left its changes here. It may have been this one, with other settings.
  if (place.elsewhere !== undefined) tellTaken(log, await undoLeftoversHere())
  return { place, netlink, journal }
}

/** In this program's own network namespace. */
async function undoLeftoversHere(): Promise<Taken> {
  const netlink = new Netlink().beStrict()
  try {
    return await undoLeftovers(netlink, new Journal(new StateDirectory(), presentOwner()))
  } finally {
    netlink.close()
  }
}

function tellTaken(log: Logger, taken: Taken): void {
  const text = [...taken].map(([kind, count]) => `${count} ${KINDS[kind]}`).join(', ')
  if (taken.size > 0) log.info(`taken back what a killed tunnel had left on this host: ${text}`)
}

/** This host. Only here are sockets, the device and threads made. */
export class LinuxPlatform implements Platform {
  readonly clock = systemClock()
  readonly times: Times = TIMES
  readonly random = randomBytes
  readonly ephemeral = makePrivateKey
  readonly resolver = systemResolver
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly socket: LinuxSocket
  readonly network: LinuxNetwork
  readonly workers: Workers
  readonly state = new StateDirectory()
  store: Store | undefined
  readonly #netlink: Netlink
  /** Where the device is. */
  readonly #place: DevicePlace
  readonly #deviceNetlink: Netlink
  readonly #hostNetlink: Netlink
  readonly #journal: Journal
  readonly #faults: Faults
  readonly #log: Logger
  /** Those of the start. */
  readonly #settings: Settings
  readonly #resources: Resources
  /** Loaded only if the settings want it, because each module takes time at the start. */
  #kernelPath: typeof LinuxKernelPath | undefined

  protected constructor(
    { settings, faults, log }: OpenOptions,
    { place, netlink: hostNetlink, journal }: HostTools,
    resources: Resources,
  ) {
    this.#faults = faults
    this.#log = log
    this.#settings = settings
    this.#resources = resources
    this.#netlink = new Netlink()
    resources.defer(() => this.#netlink.close())
    this.#place = place
    this.#deviceNetlink = place.run(() => new Netlink())
    resources.defer(() => this.#deviceNetlink.close())
    this.#hostNetlink = hostNetlink
    this.#journal = journal
    const isVxlan = vxlanOf(settings) !== undefined
    const mark = settings.fwmark || markFor(settings, hostNetlink)
    this.socket = openSocket(settings.listen, mark, isVxlan)
    resources.defer(() => this.socket.close())
    this.network = new LinuxNetwork(this.#netlink, this.socket, isVxlan)
    resources.defer(() => this.network.close())
    this.plan = planMemory(MAX_PEERS, this.#countCryptoWorkers(settings))
    this.memory = NativeMemory.allocate(this.plan.bytes)
    const { memory, plan, socket } = this
    this.workers = new Workers({ memory, plan, socket, faults })
    resources.defer(() => this.workers.close())
    const freeing = this.clock.after(FREE_MEMORY_MS, () => {
      freeMemory()
      freeFilePages()
    })
    resources.defer(() => freeing.cancel())
  }

  #countCryptoWorkers(settings: Settings): number {
    const processors = availableParallelism()
    // Looking for the library takes time at the start, and mostly nobody needs its answer.
    if (cryptoWorkersFor(settings, processors, true) === 0) return 0
    const { name, lentAead } = findCrypto()
    if (settings.crypto_workers !== 'auto' && lentAead === undefined)
      this.#log.warn(`no crypto workers, because ${name} keeps keys where other threads cannot use them`)
    return cryptoWorkersFor(settings, processors, lentAead !== undefined)
  }

  /** @throws UserError; nothing is left behind then */
  static async open(options: OpenOptions): Promise<LinuxPlatform> {
    const resources = new Resources()
    try {
      // Not this class by name: one that differs from it in something opens itself.
      const platform = new this(options, await openHostTools(options, resources), resources)
      if (forbiddenBy(options.settings) === undefined)
        platform.#kernelPath = (await import('./kernel/kernel-path.js')).LinuxKernelPath
      const { discovery } = options.settings
      if (discovery !== undefined)
        platform.store = (await import('./kernel/etcd.js')).openStore(
          discovery,
          randomInt(0xffff),
          () => platform.socket.mark,
        )
      return platform
    } catch (error) {
      await resources.close()
      throw error
    }
  }

  openDevice(settings: Settings, mtuBytes: number): LinuxDevice {
    const place = this.#place
    const device = place.run(() => openDevice(this.#deviceNetlink, settings, mtuBytes, this.#netlink))
    this.#resources.defer(() => place.run(() => device.close()))
    this.network.setDevice({ index: device.index, place, netlink: this.#deviceNetlink })
    this.workers.tapFd = device.fd
    if (place.elsewhere !== undefined) device.lost = this.#lost()
    return device
  }

  /** Resolves when the namespace of the device is gone. */
  #lost(): Promise<Error> {
    const { promise, resolve } = deferred<Error>()
    const look = () => {
      const { lost } = this.#place
      if (lost !== undefined) resolve(lost)
    }
    const timer = this.clock.every(PLACE_MS, () => this.#faults.run('device', look))
    this.#resources.defer(() => timer.cancel())
    return promise
  }

  openHostSide({ local, table }: Settings, device: Device): HostSide {
    const [netlink, journal, socket] = [this.#hostNetlink, this.#journal, this.socket]
    const apart = this.#place.elsewhere !== undefined
    const side = new HostSide({ netlink, journal, device, local, table, apart, socket })
    this.#resources.defer(() => side.undo())
    return side
  }

  openKernelPath(device: Device): LinuxKernelPath {
    const options = {
      netlink: this.#netlink,
      mode: this.#settings.mode,
      dsMask: outerDsMask(this.#settings.tos),
      vni: vxlanOf(this.#settings)?.vni,
      device,
      rows: Math.max(KERNEL_ROWS, this.#settings.peers.length),
      prefixes: this.plan.routeLimit,
      socket: this.socket,
    }
    if (this.#kernelPath === undefined) throw new KernelError('bpf', ENOSYS)
    const opened = new Resources()
    try {
      const path = new this.#kernelPath(options, opened)
      this.#resources.defer(() => opened.close())
      return path
    } catch (error) {
      opened.close().catch((trouble) => this.#faults.take('datapath', trouble))
      if (error instanceof VerifierError) {
        const verifier = error.log.trimEnd().split('\n').slice(-VERIFIER_LINES)
        this.#log.debug({ verifier }, `the kernel does not take a program: ${verifier.at(-1)}`)
      }
      throw error
    }
  }

  serve(device: Device, commands: Commands): Promise<() => void> {
    const { name, index } = device
    return serveCommands(
      { name, index, elsewhere: this.#place.elsewhere },
      commands,
      (error, about) => this.#faults.take('command', error, about),
      (sentence) => this.#log.warn(sentence),
    )
  }

  async serveWireGuard(
    device: Device,
    configurable: Configurable,
    onRemoved: (() => void) | undefined,
  ): Promise<() => void> {
    // Only private tunnels of mode tun need the module.
    const { serveWireGuard } = await import('../command/wireguard/server.js')
    const inform = (sentence: string) => {
      if (onRemoved !== undefined) throw new UserError(sentence)
      this.#log.info(sentence)
    }
    const onFault = (error: unknown, about?: string) => this.#faults.take('command', error, about)
    return serveWireGuard(device.name, configurable, { onFault, inform, onRemoved })
  }

  close(): Promise<void> {
    return this.#resources.close()
  }
}

import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { type Commands, serveCommands } from '../command/server.js'
import type { Configurable } from '../command/wireguard/server.js'
import { MAX_PEERS, type Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import { KINDS } from '../host/change.js'
import { markFor } from '../host/default-route.js'
import { HostSide } from '../host/host-side.js'
import { Journal } from '../host/journal.js'
import { presentOwner } from '../host/owner.js'
import { undoLeftovers } from '../host/undo.js'
import { VerifierError } from '../linux/bpf.js'
import { ENOSYS, KernelError } from '../linux/errno.js'
import { NativeMemory } from '../linux/memory.js'
import { Netlink } from '../linux/netlink.js'
import { type MemoryPlan, planMemory } from '../memory/plan.js'
import { TIMES, type Times } from '../noise/peer.js'
import { StateDirectory } from '../state/state-directory.js'
import type { DeviceMode } from '../wire/mode.js'
import { forbiddenBy } from './datapath/reason.js'
import type { Faults } from './faults.js'
import { type LinuxDevice, openDevice } from './kernel/device.js'
import type { LinuxKernelPath } from './kernel/kernel-path.js'
import { LinuxNetwork } from './kernel/linux-network.js'
import { type LinuxSocket, openSocket } from './kernel/socket.js'
import { systemClock } from './kernel/system-clock.js'
import { systemResolver } from './kernel/system-resolver.js'
import { Workers } from './kernel/workers.js'
import type { Device, Platform } from './platform.js'
import { Resources } from './resources.js'
import { Tunnel, type TunnelOptions } from './tunnel.js'

/**
 * Opens all real things that a tunnel needs, and starts it.
 * @throws UserError; after any error, nothing is left behind
 */
export async function startTunnel(options: Omit<TunnelOptions, 'platform'>): Promise<Tunnel> {
  return Tunnel.start({ ...options, platform: await LinuxPlatform.open(options) })
}

/** So many of the last lines of what the verifier says are logged. */
const VERIFIER_LINES = 20

type OpenOptions = Pick<TunnelOptions, 'settings' | 'faults' | 'log'>

/** What the changes on this host beside the device need. */
interface HostTools {
  readonly netlink: Netlink
  readonly journal: Journal
}

/** Takes back what killed runs have left on this host, too. */
async function openHostTools({ log }: OpenOptions, resources: Resources): Promise<HostTools> {
  const netlink = new Netlink().beStrict()
  resources.defer(() => netlink.close())
  const journal = new Journal(new StateDirectory(), presentOwner())
  const counts = await undoLeftovers(netlink, journal)
  const text = [...counts].map(([kind, count]) => `${count} ${KINDS[kind]}`).join(', ')
  if (counts.size > 0) log.info(`taken back what a killed tunnel had left on this host: ${text}`)
  return { netlink, journal }
}

/** This host. Only here are sockets, the device and threads made. */
export class LinuxPlatform implements Platform {
  readonly clock = systemClock()
  readonly times: Times = TIMES
  readonly random = randomBytes
  readonly resolver = systemResolver
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly socket: LinuxSocket
  readonly network: LinuxNetwork
  readonly workers: Workers
  readonly #netlink: Netlink
  readonly #hostNetlink: Netlink
  readonly #journal: Journal
  readonly #faults: Faults
  readonly #log: Logger
  readonly #mode: DeviceMode
  readonly #resources: Resources
  /** Loaded only if the settings want it, because each module takes time at the start. */
  #kernelPath: typeof LinuxKernelPath | undefined

  protected constructor(
    { settings, faults, log }: OpenOptions,
    { netlink: hostNetlink, journal }: HostTools,
    resources: Resources,
  ) {
    this.#faults = faults
    this.#log = log
    this.#mode = settings.mode
    this.#resources = resources
    this.#netlink = new Netlink()
    resources.defer(() => this.#netlink.close())
    this.#hostNetlink = hostNetlink
    this.#journal = journal
    this.socket = openSocket(settings.listen, settings.fwmark || markFor(settings, hostNetlink))
    resources.defer(() => this.socket.close())
    this.network = new LinuxNetwork(this.#netlink, this.socket)
    resources.defer(() => this.network.close())
    this.plan = planMemory(MAX_PEERS)
    this.memory = NativeMemory.allocate(this.plan.bytes)
    const { memory, plan, socket } = this
    this.workers = new Workers({ memory, plan, socket, faults })
    resources.defer(() => this.workers.close())
  }

  /** @throws UserError; nothing is left behind then */
  static async open(options: OpenOptions): Promise<LinuxPlatform> {
    const resources = new Resources()
    try {
      // Not this class by name: one that differs from it in something opens itself.
      const platform = new this(options, await openHostTools(options, resources), resources)
      if (forbiddenBy(options.settings) === undefined)
        platform.#kernelPath = (await import('./kernel/kernel-path.js')).LinuxKernelPath
      return platform
    } catch (error) {
      await resources.close()
      throw error
    }
  }

  openDevice(settings: Settings, mtuBytes: number): LinuxDevice {
    const device = openDevice(this.#netlink, settings, mtuBytes)
    this.#resources.defer(() => device.close())
    this.network.deviceIndex = device.index
    this.workers.tapFd = device.fd
    return device
  }

  openHostSide({ local, table }: Settings, device: Device): HostSide {
    const [netlink, journal, socket] = [this.#hostNetlink, this.#journal, this.socket]
    const side = new HostSide({ netlink, journal, device, local, table, socket })
    this.#resources.defer(() => side.undo())
    return side
  }

  openKernelPath(device: Device): LinuxKernelPath {
    const options = {
      netlink: this.#netlink,
      mode: this.#mode,
      device,
      rows: this.plan.peerRows,
      prefixes: this.plan.routeLimit,
      socket: this.socket,
    }
    if (this.#kernelPath === undefined) throw new KernelError('bpf', ENOSYS)
    try {
      return new this.#kernelPath(options, this.#resources)
    } catch (error) {
      if (error instanceof VerifierError) {
        const verifier = error.log.trimEnd().split('\n').slice(-VERIFIER_LINES)
        this.#log.debug({ verifier }, `the kernel does not take a program: ${verifier.at(-1)}`)
      }
      throw error
    }
  }

  serve(device: Device, commands: Commands): Promise<() => void> {
    return serveCommands(
      device,
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

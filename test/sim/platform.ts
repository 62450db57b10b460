import type { KeyObject } from 'node:crypto'
import type { Commands } from '../../src/command/server.js'
import type { Configurable } from '../../src/command/wireguard/server.js'
import { formatPrefix } from '../../src/config/addresses.js'
import type { Settings } from '../../src/config/schema.js'
import type { Device } from '../../src/control/device.js'
import type { HostSide, Platform, Resolver, State } from '../../src/control/platform.js'
import type { Store } from '../../src/etcd/store.js'
import { ENOSYS, KernelError } from '../../src/linux/errno.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { type MemoryPlan, planMemory } from '../../src/memory/plan.js'
import { TIMES } from '../../src/noise/times.js'
import type { MacAddress } from '../../src/wire/ethernet.js'
import { knownEphemeral } from '../support/known-ephemeral.js'
import type { SimClock, SimTime } from './clock.js'
import { SimSocket } from './data-socket.js'
import { SimDevice } from './device.js'
import type { SimDns } from './dns.js'
import type { SimAttachment, SimNetwork } from './network.js'
import type { SimRandom } from './random.js'
import { familyOf, SimUnderlay } from './underlay.js'
import { SimWorkers } from './workers.js'

export interface SimPlatformOptions {
  readonly time: SimTime
  readonly network: SimNetwork
  readonly dns: SimDns
  readonly attachment: SimAttachment
  readonly clock: SimClock
  readonly random: SimRandom
  readonly settings: Settings
  readonly store: Store | undefined
  /** Of the device. */
  readonly mac: MacAddress
  /** Rows of the peer table: a power of two. */
  readonly peerRows: number
  /** The files of the host, by name. It outlives the host's processes. */
  readonly files: Map<string, string>
  /** Whether nothing can be written there. */
  readonly filesAreFull: () => boolean
  readonly onFrame: (row: number, frame: Uint8Array) => void
  readonly onAnswer: (answer: Uint8Array) => void
}

/** The world of one process of one simulated host. */
export class SimPlatform implements Platform {
  readonly clock: SimClock
  readonly times = TIMES
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly socket: SimSocket
  readonly network: SimUnderlay
  readonly workers: SimWorkers
  readonly resolver: Resolver
  readonly state: State
  readonly store: Store | undefined
  device: SimDevice | undefined
  /** What the host's commands do. */
  commands: Commands = {}
  /** What wg(8) would ask. */
  configurable: Configurable | undefined
  readonly #options: SimPlatformOptions
  #closed = false

  constructor(options: SimPlatformOptions) {
    const { time, network, dns, attachment, clock, settings, peerRows, onFrame, onAnswer } = options
    const { port } = settings.listen
    this.#options = options
    this.store = options.store
    this.clock = clock
    this.plan = planMemory(peerRows)
    this.memory = NativeMemory.allocate(this.plan.bytes)
    const { memory, plan } = this
    const underlay = new SimUnderlay(network, attachment, clock, port)
    this.network = underlay
    const pathMtuOf = (address: string) => underlay.kernelPathMtu(familyOf(address), address)
    this.socket = new SimSocket(network, attachment, settings.listen, pathMtuOf)
    this.workers = new SimWorkers({ time, clock, memory, plan, socket: this.socket, onFrame, onAnswer })
    const { files, filesAreFull } = options
    this.state = {
      path: '/var/lib/udptun-fast',
      read: (name) => files.get(name),
      replace: async (name, text) => {
        if (filesAreFull()) return false
        files.set(name, text)
        return true
      },
      load: (name) => files.get(name),
      save: (name, text) => void files.set(name, text),
    }
    this.resolver = {
      lookup: (name, ipv4Only) => dns.lookup(name, ipv4Only),
      services: (name) => dns.services(name),
    }
  }

  random(bytes: number): Buffer {
    return this.#options.random.bytes(bytes)
  }

  ephemeral(): KeyObject {
    return knownEphemeral(this.random(32))
  }

  openDevice(settings: Settings, mtuBytes: number): SimDevice {
    const { mode, dev = `${mode}0` } = settings
    const { mac, attachment } = this.#options
    this.device = new SimDevice(dev, mode === 'tap' ? mac : undefined, mtuBytes)
    this.device.onChange = () => void attachment.changes++
    // The kernel routes the networks of the device's own addresses by it. Only in mode tun main asks for them.
    if (mode === 'tun') for (const local of settings.local) this.network.inside.add(formatPrefix(local))
    return this.device
  }

  openHostSide(): HostSide {
    return {
      tables: [],
      setRoutes: async (prefixes) => {
        this.network.routed = prefixes
        return { refused: new Map(), restored: [], notes: [] }
      },
      setNames: async () => undefined,
      setHosts: async () => [],
    }
  }

  /** The simulated kernel has no datapath of its own. */
  openKernelPath(): never {
    throw new KernelError('bpf', ENOSYS)
  }

  async serve(_device: Device, commands: Commands): Promise<() => void> {
    this.commands = commands
    return () => {
      this.commands = {}
    }
  }

  async serveWireGuard(_device: Device, configurable: Configurable): Promise<() => void> {
    this.configurable = configurable
    return () => {
      this.configurable = undefined
    }
  }

  async close(): Promise<void> {
    this.crash()
  }

  /** The process is gone, and what the kernel had for it. */
  crash(): void {
    if (this.#closed) return
    this.#closed = true
    this.workers.crash()
    this.socket.close()
    this.network.close()
  }
}

import type { Commands } from '../command/server.js'
import type { DeviceConfiguration } from '../command/wireguard/operation.js'
import type { Settings } from '../config/schema.js'
import type { FdbReport } from './addresses.js'
import { announce, announceLacks } from './announce.js'
import { tunnelCommands } from './commands.js'
import { Community } from './community.js'
import type { Device } from './device.js'
import { DeviceWatch } from './device-watch.js'
import { type Health, Vitals } from './health.js'
import { IcmpWatch } from './icmp-watch.js'
import type { NetworkNames } from './members/context.js'
import { openDevice } from './open-device.js'
import { makeParts, type Parts, type PartsOptions } from './parts.js'
import { sourceOf } from './peer/peer-report.js'
import { PeerRoutes } from './peer-routes.js'
import { Reloader, type ReloadReport } from './reload.js'
import { Reporter } from './report.js'
import { Resources } from './resources.js'
import type { StatusReport } from './status.js'
import type { TunnelSummary } from './summary.js'
import { UnderlayDrops } from './underlay-drops.js'
import { Watches } from './watches.js'
import { WgSide } from './wg-side.js'

const TICK_MS = 1_000

/** How often we look whom others introduce, and whom we introduce. */
const MESH_MS = 100

/** How often we ask rtnetlink whether a route or an interface has changed, and look at the kernel's own datapath. */
const ROUTES_MS = 200

/** How often main looks for ICMP errors. Node.js cannot wait for them. */
const ICMP_MS = 100

/** How often the device follows what many paths have changed at about the same time. */
const SETTLE_MS = 100

/** The tunnel closes the platform when it stops, or cannot start. */
export interface TunnelOptions extends PartsOptions {
  /** Aborts the start. */
  readonly signal: AbortSignal
  /** Returns the present settings, for {@link Tunnel.reload}. @throws UserError if they are wrong */
  readonly reread?: (() => Settings) | undefined
  /** How invitations call this host and its network. */
  readonly names?: NetworkNames
  /** What the caller does for commands, beside what the tunnel does. */
  readonly commands?: Commands
}

/** If nobody says how invitations call this host and its network. */
const NAMES: NetworkNames = { network: 'udptun', host: 'introducer' }

/**
 * A running tunnel, as the main thread of this process sees it. Main does the control work. It never handles
 * data frames.
 */
export class Tunnel {
  /**
   * Resolves with the reason when the tunnel cannot go on, or with a sentence when somebody has removed what wg(8) had of
   * it. The caller must then {@link stop} it.
   */
  readonly ended: Promise<Error | string>
  readonly #options: TunnelOptions
  readonly #parts: Parts
  readonly #opened: Device
  readonly #resources: Resources
  readonly #underlayDrops = new UnderlayDrops()
  readonly #icmp: IcmpWatch
  readonly #watches: Watches
  readonly #deviceWatch: DeviceWatch
  readonly #reloader: Reloader
  readonly #reporter: Reporter
  readonly #routes: PeerRoutes
  readonly #vitals: Vitals
  readonly #wgSide: WgSide
  readonly #community: Community

  private constructor(options: TunnelOptions, parts: Parts, opened: Device, resources: Resources) {
    const { settings, platform, log, reread, faults } = options
    const { peers, roster, tables } = parts
    this.#options = options
    this.#parts = parts
    this.#opened = opened
    this.#resources = resources
    this.#icmp = new IcmpWatch({
      platform,
      counters: tables.counters.own,
      addressOf: (sockaddr) => peers.addressOf(sockaddr),
      onTooBig: (least) => peers.hint(least),
    })
    this.#watches = new Watches(options, parts)
    this.#reloader = new Reloader({
      settings,
      reread,
      peers,
      privateSide: parts.privateSide,
      log,
      membersBeside: (wanted) => this.#community.beside(wanted),
    })
    this.#community = new Community({
      ...options,
      ...parts,
      names: options.names ?? NAMES,
      reloader: this.#reloader,
      onPeers: () => {
        this.#peersChanged()
        void this.#followRoutes().then(() => this.#routes.lookAtOthers())
      },
    })
    resources.defer(() => this.#community.close())
    this.#routes = new PeerRoutes({ settings, platform, device: opened, roster, log, faults })
    this.#deviceWatch = new DeviceWatch({
      device: opened,
      network: platform.network,
      clock: platform.clock,
      log,
      onDown: () => this.#routes.look(),
      onLoss: () => void this.#followRoutes().then(() => this.#routes.look()),
    })
    const [routes, underlayDrops] = [this.#routes, this.#underlayDrops]
    const portMapping = () => this.#community.portMapping
    const discovery = () => this.#community.discovery
    this.#reporter = new Reporter({
      ...parts,
      settings,
      platform,
      opened,
      routes,
      underlayDrops,
      faults,
      portMapping,
      discovery,
    })
    this.#wgSide = new WgSide({
      tunnel: options,
      parts,
      opened,
      reloader: this.#reloader,
      onPeers: () => {
        this.#peersChanged()
        // As with wg-quick(8), whoever sets allowed IPs by wg(8) makes the routes.
        this.#routes.look()
      },
      onMark: () => void this.#followMark(),
    })
    const died = platform.workers.died.then((error) => this.#wgSide.deleted ?? error)
    this.ended = Promise.race([
      died,
      this.#wgSide.removed,
      ...(opened.lost === undefined ? [] : [opened.lost]),
    ])
    const { clock, workers } = platform
    this.#vitals = new Vitals({ clock, workers, pulse: tables.pulse, device: opened })
    this.#lookAtUnderlays()
    this.#startTimers()
  }

  /**
   * Sets everything up and starts the workers.
   * @throws UserError; after any error, nothing is left behind
   */
  static async start(options: TunnelOptions): Promise<Tunnel> {
    const resources = new Resources()
    resources.defer(() => options.platform.close())
    try {
      const parts = await makeParts(options, resources)
      parts.listening.begin()
      await parts.peers.find(options.signal)
      const opened = await openDevice(options, parts, resources)
      const tunnel = new Tunnel(options, parts, opened, resources)
      await tunnel.#begin()
      return tunnel
    } catch (error) {
      await resources.close()
      throw error
    }
  }

  /** Stops the workers and takes everything down. The device is gone afterwards. */
  async stop(): Promise<void> {
    await this.#resources.close()
  }

  status(): StatusReport {
    const { faults } = this.#options
    faults.run('icmp', () => this.#icmp.look())
    faults.run('underlay', () => this.#lookAtUnderlays())
    faults.run('datapath', () => this.#parts.datapath.look())
    // Somebody may have set one by hand.
    if (this.#routes.missing.length > 0) this.#routes.lookAtOthers()
    return this.#reporter.report()
  }

  /** Cheap: nothing is asked of the kernel. */
  summary(): TunnelSummary {
    const { listening, roster } = this.#parts
    const peers = roster.all.map(({ name, state, settings }) => ({ name, state, source: sourceOf(settings) }))
    return {
      device: this.#opened.name,
      peers,
      listenTrouble: listening.trouble,
      reloadTrouble: this.#reloader.trouble,
    }
  }

  /** Whether both workers have turned since the last call that returned true. */
  workersTurn(): boolean {
    return this.#vitals.workersTurn()
  }

  /** Takes two seconds if a worker does not turn. */
  health(): Promise<Health> {
    return this.#vitals.check()
  }

  /** Of the device, which may have another name by now. */
  get deviceIndex(): number {
    return this.#opened.index
  }

  /** What `wg showconf` shows; undefined if wg(8) does not know this tunnel. */
  configuration(): DeviceConfiguration | undefined {
    return this.#wgSide.configuration
  }

  fdb(): FdbReport {
    const { addresses, roster } = this.#parts
    return addresses.report((row) => roster.at(row)?.name)
  }

  /**
   * Reads the configuration file again and changes the peers to those in the file.
   * @returns what was changed
   * @throws UserError if the file is wrong, or if there is none (nothing has changed then), or when the tunnel
   *   stops
   */
  reload(): Promise<ReloadReport> {
    return this.#reloader.reload(async () => {
      this.#peersChanged()
      await this.#followRoutes()
      this.#routes.look()
    })
  }

  #peersChanged(): void {
    this.#tick()
    this.#options.faults.run('datapath', () => this.#parts.datapath.look())
  }

  /** Makes the routes to the peers. Their datagrams may get a mark then. */
  async #followRoutes(follow: () => Promise<unknown> = () => this.#routes.follow()): Promise<void> {
    const { device, peers } = this.#parts
    const { socket } = this.#options.platform
    const before = socket.mark
    await follow()
    if (socket.mark !== before) device.followAfter(() => peers.followUnderlays())
  }

  /** Somebody has changed the mark of datagrams. First the rules that know it follow, if there are some. */
  async #followMark(): Promise<void> {
    const { device, peers } = this.#parts
    await this.#routes.follow()
    this.#options.faults.run('routes', () => device.followAfter(() => peers.followUnderlays()))
  }

  /** Answers commands, says that the tunnel is up, and begins to look after the peers. */
  async #begin(): Promise<void> {
    const { platform } = this.#options
    const { channel, listening, peers } = this.#parts
    const own = tunnelCommands({
      ...this.#parts,
      tunnel: this,
      community: this.#community,
      deviceName: this.#opened.name,
    })
    const commands = { ...this.#options.commands, ...own }
    await this.#followRoutes()
    await this.#routes.setNames()
    this.#resources.defer(await platform.serve(this.#opened, commands))
    this.#resources.defer(await this.#wgSide.serve())
    announce(this.#options, this.#parts, this.#opened.name)
    listening.start()
    announceLacks(this.#options, this.#parts)
    this.#routes.look()
    peers.start()
    await this.#community.begin()
    // What the peers have sent so far has waited, so that "is up" is the first line of the log.
    const look = () => {
      // First, so that a question is answered from where it was asked.
      peers.followLocals()
      channel.wake()
    }
    platform.workers.onNews(look)
    look()
    this.#watches.lookAtOffloads()
  }

  #startTimers(): void {
    const { platform, faults } = this.#options
    const { clock, network } = platform
    const { datapath, device, listening, peers, privateSide } = this.#parts
    const timers = [
      clock.every(ICMP_MS, () => faults.run('icmp', () => this.#icmp.look())),
      clock.every(SETTLE_MS, () => device.settle()),
      clock.every(TICK_MS, () => this.#tick()),
      clock.every(ROUTES_MS, () => {
        const changed = faults.run('routes', () => network.changed())
        if (changed === false) return
        faults.run('routes', () => listening.look())
        faults.run('device', () => this.#deviceWatch.look())
        this.#community.ownChanged()
        device.followAfter(() => peers.followUnderlays())
      }),
      clock.every(ROUTES_MS, () => faults.run('datapath', () => datapath.look())),
      ...(privateSide === undefined ? [] : [clock.every(MESH_MS, () => this.#community.look())]),
    ]
    for (const timer of timers) this.#resources.defer(() => timer.cancel())
  }

  #tick(): void {
    const { faults } = this.#options
    const { access, addresses, channel, device, listening, peers } = this.#parts
    faults.run('addresses', () => access.tick())
    faults.run('addresses', () => addresses.tick())
    // A worker announces the content of a queue only once, and that look may have failed.
    faults.run('worker', () => channel.wake())
    faults.run('routes', () => listening.look())
    device.followAfter(() => peers.tick())
    void this.#followRoutes(() => this.#routes.followFound())
    faults.run('device', () => this.#deviceWatch.look())
    faults.run('underlay', () => this.#lookAtUnderlays())
    this.#watches.look()
    this.#community.tick()
  }

  #lookAtUnderlays(): void {
    this.#underlayDrops.look(this.#options.platform.network, this.#parts.roster.interfaces)
  }
}

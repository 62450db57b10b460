import type { Commands } from '../command/server.js'
import type { DeviceConfiguration } from '../command/wireguard/operation.js'
import type { Settings } from '../config/schema.js'
import { formatPrefix } from '../config/values.js'
import { vxlanOf } from '../config/vxlan.js'
import { UserError } from '../errors.js'
import type { FdbReport } from './addresses.js'
import type { Device } from './device.js'
import { type Health, Vitals } from './health.js'
import { IcmpWatch } from './icmp-watch.js'
import type { NetworkNames } from './members/context.js'
import { Members } from './members/members.js'
import { type MemberReport, reportMembers } from './members/report.js'
import type { AddedRecord } from './mesh/add-record.js'
import { Mesh } from './mesh/mesh.js'
import { OffloadWatch } from './offload.js'
import { openDevice } from './open-device.js'
import { makeParts, type Parts, type PartsOptions } from './parts.js'
import { PeerRoutes } from './peer-routes.js'
import { pingRequestOf } from './pings.js'
import { Reloader, type ReloadReport } from './reload.js'
import { Reporter } from './report.js'
import { Resources } from './resources.js'
import type { PeerStatus, StatusReport } from './status.js'
import { StrangerWatch } from './stranger-watch.js'
import type { TunnelSummary } from './summary.js'
import { TwinWatch } from './twin-watch.js'
import { UnderlayDrops } from './underlay-drops.js'
import { WgSide } from './wg-side.js'

const TICK_MS = 1_000

/** How often we look whom others introduce, and whom we introduce. */
const MESH_MS = 100

/** How often we ask rtnetlink whether a route or an interface has changed, and look at the kernel's own datapath. */
const ROUTES_MS = 200

/** How often main looks for ICMP errors. Node.js cannot wait for them. */
const ICMP_MS = 100

/** How long {@link Tunnel.refreshMtu} waits for the new path MTUs. */
const REFRESH_WITHIN_MS = 10_000

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

/** The answer to `udptun-fast mtu --refresh`. */
export interface RefreshReport {
  readonly device: string
  readonly mtu_bytes: number
  readonly peers: readonly Pick<PeerStatus, 'name' | 'path_mtu'>[]
}

/** If nobody says how invitations call this host and its network. */
const NAMES: NetworkNames = { network: 'udptun', host: 'introducer' }

/** This warning is logged once. */
const PLAIN =
  'this tunnel is not private: anybody on the way can read what it carries, and add frames to it; udptun-fast keygen makes keys'

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
  readonly #offloadWatch: OffloadWatch
  readonly #twinWatch: TwinWatch
  readonly #strangerWatch: StrangerWatch
  readonly #reloader: Reloader
  readonly #reporter: Reporter
  readonly #routes: PeerRoutes
  readonly #vitals: Vitals
  readonly #wgSide: WgSide
  /** Undefined if the tunnel is not private. */
  readonly #mesh: Mesh | undefined
  /** Undefined if this host introduces nobody. */
  readonly #members: Members | undefined

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
      onTooBig: (sockaddr, mtuBytes) => peers.hint(sockaddr, mtuBytes),
    })
    this.#offloadWatch = new OffloadWatch(tables.offloads, settings.offload === 'auto', log)
    this.#twinWatch = new TwinWatch(parts.addresses, parts.roster, log)
    this.#strangerWatch = new StrangerWatch(tables.stranger, parts.roster, log)
    const membersBeside = (wanted: Settings) => {
      const invited = this.#members?.peersBeside(wanted) ?? []
      const known = { ...wanted, peers: [...wanted.peers, ...invited] }
      return [...invited, ...(this.#mesh?.membersBeside(known) ?? [])]
    }
    this.#reloader = new Reloader({
      settings,
      reread,
      peers,
      privateSide: parts.privateSide,
      log,
      membersBeside,
    })
    this.#mesh = this.#meshOf()
    resources.defer(() => this.#mesh?.close())
    this.#members = this.#membersOf()
    this.#routes = new PeerRoutes({ settings, platform, device: opened, roster, log, faults })
    const [routes, underlayDrops] = [this.#routes, this.#underlayDrops]
    const portMapping = () => this.#mesh?.portMapping ?? null
    this.#reporter = new Reporter({
      ...parts,
      settings,
      platform,
      opened,
      routes,
      underlayDrops,
      faults,
      portMapping,
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
    return this.#reporter.report()
  }

  /** Cheap: nothing is asked of the kernel. */
  summary(): TunnelSummary {
    const { listening, roster } = this.#parts
    const peers = roster.all.map(({ name, state }) => ({ name, state }))
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

  /** Hosts that find each other: only keys tell them apart. */
  #meshOf(): Mesh | undefined {
    const { privateSide } = this.#parts
    if (privateSide === undefined) return undefined
    return new Mesh({
      ...this.#options,
      ...this.#parts,
      ...this.#following,
      privateSide,
      wanted: () => {
        const { settings } = this.#reloader
        return { ...settings, peers: [...settings.peers, ...(this.#members?.peersBeside(settings) ?? [])] }
      },
    })
  }

  #membersOf(): Members | undefined {
    const { settings, names = NAMES } = this.#options
    const { privateSide } = this.#parts
    if (privateSide === undefined || !settings.introduce) return undefined
    return new Members({
      ...this.#options,
      ...this.#parts,
      ...this.#following,
      privateSide,
      names,
      wanted: () => this.#reloader.settings,
    })
  }

  /** How those who know of other peers make them peers here. */
  get #following() {
    return {
      follow: () => this.#reloader.followMembers(),
      onPeers: () => {
        this.#peersChanged()
        void this.#followRoutes().then(() => this.#routes.look())
      },
    }
  }

  members(): readonly MemberReport[] {
    const { clock } = this.#options.platform
    return reportMembers(
      this.#parts.roster.all,
      (key) => this.#members?.of(key),
      clock.unixMs(),
      (peer) => this.#mesh?.isSigned(peer),
      ({ settings }) => this.#parts.access.groupsOf(settings),
    )
  }

  /** @throws UserError */
  #addRecord(line: string): AddedRecord {
    if (this.#mesh === undefined)
      throw new UserError('this tunnel is not private, so its peers have no keys and no records')
    return this.#mesh.addRecord(line)
  }

  /** @throws UserError if this host introduces nobody */
  get #inviting(): Members {
    if (this.#members !== undefined) return this.#members
    throw new UserError(
      this.#parts.privateSide === undefined
        ? 'this tunnel is not private, so nobody can be invited to it; give it a private_key_file, and introduce: true'
        : 'this host is no introducer; add introduce: true to its settings, and start it again',
    )
  }

  /** Makes the routes to the peers. Their datagrams may get a mark then. */
  async #followRoutes(follow: () => Promise<unknown> = () => this.#routes.follow()): Promise<void> {
    const { device, peers } = this.#parts
    const { socket } = this.#options.platform
    const before = socket.mark
    await follow()
    if (socket.mark !== before) device.followAfter(() => peers.followUnderlays())
  }

  /** Searches the path MTUs to all peers again, now. */
  async refreshMtu(): Promise<RefreshReport> {
    const { device, peers } = this.#parts
    await peers.refreshPaths(REFRESH_WITHIN_MS)
    const found = peers.status().map(({ name, path_mtu }) => ({ name, path_mtu }))
    return { device: this.#opened.name, mtu_bytes: device.mtuBytes, peers: found }
  }

  /** Answers commands, says that the tunnel is up, and begins to look after the peers. */
  async #begin(): Promise<void> {
    const { platform } = this.#options
    const { channel, peers, pings } = this.#parts
    const commands = {
      ...this.#options.commands,
      status: () => this.status(),
      health: () => this.health(),
      fdb: () => this.fdb(),
      reload: () => this.reload(),
      mtu_refresh: () => this.refreshMtu(),
      ping: (request: Readonly<Record<string, unknown>>) => pings.ask(pingRequestOf(request)),
      members: () => this.members(),
      invite: (request: Readonly<Record<string, unknown>>) => this.#inviting.invite(request),
      record: ({ line }: Readonly<Record<string, unknown>>) => this.#addRecord(String(line)),
      remove: ({ name }: Readonly<Record<string, unknown>>) => this.#inviting.remove(String(name)),
    }
    await this.#followRoutes()
    await this.#routes.setNames()
    this.#resources.defer(await platform.serve(this.#opened, commands))
    this.#resources.defer(await this.#wgSide.serve())
    this.#announce()
    peers.start()
    await this.#members?.begin()
    // What the peers have sent so far has waited, so that "is up" is the first line of the log.
    const look = () => {
      // First, so that a question is answered from where it was asked.
      peers.followLocals()
      channel.wake()
    }
    platform.workers.onNews(look)
    look()
    this.#offloadWatch.look()
  }

  #startTimers(): void {
    const { platform, faults } = this.#options
    const { clock, network } = platform
    const { datapath, device, listening, peers } = this.#parts
    const timers = [
      clock.every(ICMP_MS, () => faults.run('icmp', () => this.#icmp.look())),
      clock.every(TICK_MS, () => this.#tick()),
      clock.every(ROUTES_MS, () => {
        const changed = faults.run('routes', () => network.changed())
        if (changed === false) return
        faults.run('routes', () => listening.look())
        this.#mesh?.ownChanged()
        device.followAfter(() => peers.followUnderlays())
      }),
      clock.every(ROUTES_MS, () => faults.run('datapath', () => datapath.look())),
      ...(this.#mesh === undefined
        ? []
        : [clock.every(MESH_MS, () => faults.run('introductions', () => this.#mesh?.tick()))]),
    ]
    for (const timer of timers) this.#resources.defer(() => timer.cancel())
  }

  #tick(): void {
    const { faults, platform } = this.#options
    const { access, addresses, channel, device, listening, peers } = this.#parts
    faults.run('addresses', () => access.tick())
    faults.run('addresses', () => addresses.tick())
    faults.run('addresses', () => this.#twinWatch.look())
    faults.run('peer', () => this.#strangerWatch.look(platform.clock.nowMs()))
    // A worker announces the content of a queue only once, and that look may have failed.
    faults.run('worker', () => channel.wake())
    faults.run('routes', () => listening.look())
    device.followAfter(() => peers.tick())
    void this.#followRoutes(() => this.#routes.followFound())
    faults.run('underlay', () => this.#lookAtUnderlays())
    faults.run('device', () => this.#offloadWatch.look())
    faults.run('members', () => this.#members?.tick())
  }

  #lookAtUnderlays(): void {
    this.#underlayDrops.look(this.#options.platform.network, this.#parts.roster.interfaces)
  }

  #announce(): void {
    const { settings, platform, log } = this.#options
    const { device, listening, peers, privateSide } = this.#parts
    const addresses = settings.local.map(formatPrefix)
    const fields = {
      device: this.#opened.name,
      mode: settings.mode,
      local: addresses,
      mtu_bytes: device.mtuBytes,
      listen: listening.text,
      ...peers.announcement(),
    }
    const vni = vxlanOf(settings)?.vni
    const way = vni === undefined ? 'UDP' : `VXLAN (VNI ${vni}), by the workers`
    log.info(
      fields,
      `${fields.device} is up: ${addresses.join(', ') || 'no address'}, MTU ${fields.mtu_bytes}, to ${peers.summary()} over ${way}, listening on ${fields.listen}`,
    )
    listening.start()
    if (privateSide === undefined) log.warn(PLAIN)
    const { deaf } = platform.network.icmp
    if (deaf !== undefined)
      log.info(
        `ICMP errors are not heard (${deaf}), so only probes find what the paths carry; give CAP_NET_RAW to hear them`,
      )
    peers.warnOfMissingRoutes()
    this.#routes.look()
  }
}

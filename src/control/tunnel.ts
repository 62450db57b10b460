import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { serveCommands } from '../command/server.js'
import { MAX_PEERS, type Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import { ENODEV, errnoName, KernelError } from '../linux/errno.js'
import { getLink, type LinkStatistics, setLink } from '../linux/interface.js'
import { close } from '../linux/libc.js'
import { NativeMemory } from '../linux/memory.js'
import { Netlink, RouteMonitor } from '../linux/netlink.js'
import { sockaddrLength } from '../linux/sockaddr.js'
import { receiveDrops, type UdpSocket } from '../linux/udp.js'
import { C, COUNTERS, type CounterName, counterBlock } from '../memory/counters.js'
import { KeypairTable } from '../memory/keypair-table.js'
import { Mailbox } from '../memory/mailbox.js'
import { Offloads } from '../memory/offloads.js'
import { PathLimits } from '../memory/path-limits.js'
import { peerCounterBlock } from '../memory/peer-counters.js'
import { PeerTable } from '../memory/peer-table.js'
import { planMemory, StateWord } from '../memory/plan.js'
import { Ring } from '../memory/ring.js'
import type { Verdict } from '../noise/handshakes.js'
import type { Times } from '../noise/peer.js'
import { version } from '../version.js'
import { ETHERNET_HEADER_BYTES, maxFrameBytes, VLAN_TAG_BYTES } from '../wire/ethernet.js'
import { leastPaddingBytes } from '../wire/padding.js'
import { Addresses, type FdbReport } from './addresses.js'
import { ControlChannel } from './control-channel.js'
import { type Device, openDevice } from './device.js'
import { Faults } from './faults.js'
import { IcmpWatch } from './icmp-watch.js'
import { enableOffloads, OffloadWatch, offloadStatus } from './offload.js'
import { formatEndpoint } from './peer/endpoint.js'
import { type PeerChanges, Peers } from './peer/peers.js'
import { PeerRows } from './peer/rows.js'
import { ETHERNET_MTU_BYTES } from './peer/underlay.js'
import type { PrivateSide, PrivateSideOptions } from './private/private-side.js'
import { Resources } from './resources.js'
import { openSocket } from './socket.js'
import { dropsOf, type PeerStatus, type StatusReport, sumCounters, workerStatus } from './status.js'
import { UnderlayDrops } from './underlay-drops.js'
import { Workers } from './workers.js'

const TICK_MS = 1_000

/** How often we ask rtnetlink whether a route or an interface has changed. */
const ROUTES_MS = 200

/** How often main looks for ICMP errors. Node.js cannot wait for them. */
const ICMP_MS = 100

/** How long {@link Tunnel.refreshMtu} waits for the new path MTUs. */
const REFRESH_WITHIN_MS = 10_000

/**
 * A running tunnel, as the main thread of this process sees it. Main does the control work. It never handles
 * data frames.
 */
export class Tunnel {
  /** Resolves with the reason when the tunnel cannot go on. The caller must then {@link stop} it. */
  readonly died: Promise<Error>
  readonly #settings: Settings
  readonly #reread: (() => Settings) | undefined
  readonly #log: Logger
  readonly #faults: Faults
  readonly #resources: Resources
  readonly #netlink: Netlink
  readonly #socket: UdpSocket
  readonly #device: Device
  readonly #peers: Peers
  readonly #addresses: Addresses
  /** The state words that the workers read. */
  readonly #state: Int32Array
  readonly #offloads: Offloads
  readonly #privateSide: PrivateSide | undefined
  readonly #offloadWatch: OffloadWatch
  readonly #lookAtQueues: () => void
  readonly #counters: Record<'tap' | 'udp' | 'own', Float64Array>
  readonly #icmp: IcmpWatch
  readonly #underlayDrops = new UnderlayDrops()
  readonly #rings: { readonly outbound: Ring; readonly inbound: Ring }
  readonly #startedMs = performance.now()
  #mtuBytes: number
  /** The peers that were reported to have a narrow path, with the MTU that was reported. */
  #narrow: ReadonlyMap<string, number> = new Map()
  /** The last trouble that was logged; undefined when it is over. */
  #trouble: string | undefined
  /** The reloads that are running or waiting. */
  #reloads: Promise<unknown> = Promise.resolve()

  private constructor(parts: Parts) {
    const { memory, plan } = parts
    this.died = parts.workers.died
    this.#settings = parts.settings
    this.#reread = parts.reread
    this.#log = parts.log
    this.#faults = parts.faults
    this.#resources = parts.resources
    this.#netlink = parts.netlink
    this.#socket = parts.socket
    this.#device = parts.device
    this.#peers = parts.peers
    this.#addresses = parts.addresses
    this.#state = memory.i32.subarray(plan.state >>> 2)
    this.#offloads = parts.offloads
    this.#privateSide = parts.privateSide
    this.#offloadWatch = new OffloadWatch(parts.offloads, parts.settings.offload === 'auto', parts.log)
    this.#lookAtQueues = parts.lookAtQueues
    this.#mtuBytes = parts.mtuBytes
    this.#counters = {
      tap: counterBlock(memory, plan.tap.counters),
      udp: counterBlock(memory, plan.udp.counters),
      own: parts.ownCounters,
    }
    this.#rings = {
      outbound: new Ring(memory, plan.outbound.at, plan.outbound.dataBytes),
      inbound: new Ring(memory, plan.inbound.at, plan.inbound.dataBytes),
    }
    this.#icmp = new IcmpWatch({
      socket: parts.socket,
      counters: parts.ownCounters,
      onTooBig: (sockaddr, mtuBytes) => this.#peers.hint(sockaddr, mtuBytes),
    })
    this.#resources.defer(() => this.#icmp.close())
    const listen = setInterval(() => this.#faults.run('icmp', () => this.#icmp.look()), ICMP_MS)
    this.#resources.defer(() => clearInterval(listen))
    this.#lookAtUnderlays()
    const timer = setInterval(() => this.#tick(), TICK_MS)
    this.#resources.defer(() => clearInterval(timer))
    const routes = new RouteMonitor()
    this.#resources.defer(() => routes.close())
    const watch = setInterval(() => {
      const changed = this.#faults.run('routes', () => routes.changed())
      if (changed !== false) this.#guard(() => this.#peers.followUnderlays())
    }, ROUTES_MS)
    this.#resources.defer(() => clearInterval(watch))
  }

  /**
   * Sets everything up and starts the workers.
   * @param signal aborts a wait for DNS
   * @param reread returns the present settings, for {@link reload}; throws a UserError if they are wrong
   * @param times replace the protocol's times in a private tunnel
   * @param faults keeps the errors that do not stop the tunnel
   * @throws UserError; after any error, nothing is left behind
   */
  static async start(
    settings: Settings,
    log: Logger,
    signal: AbortSignal,
    reread?: () => Settings,
    times?: Partial<Times>,
    faults = new Faults(log),
  ): Promise<Tunnel> {
    const resources = new Resources()
    try {
      return await Tunnel.#start(settings, log, signal, resources, reread, times, faults)
    } catch (error) {
      await resources.close()
      throw error
    }
  }

  static async #start(
    settings: Settings,
    log: Logger,
    signal: AbortSignal,
    resources: Resources,
    reread: (() => Settings) | undefined,
    times: Partial<Times> = {},
    faults: Faults,
  ) {
    const netlink = new Netlink()
    resources.defer(() => netlink.close())
    const socket = openSocket(settings.listen)
    resources.defer(() => void close(socket.fd))

    const plan = planMemory(MAX_PEERS)
    const memory = NativeMemory.allocate(plan.bytes)
    const table = new PeerTable(memory, plan.peers, plan.peerRows)
    const counters = [plan.tap, plan.udp].map((worker) =>
      peerCounterBlock(memory, worker.peerCounters, plan.peerRows),
    )
    const ownCounters = new Float64Array(COUNTERS.length)
    const queue = new Mailbox(memory, plan.control, plan.state + StateWord.controlTold * 4)
    const privateSide = await startPrivateSide(
      { settings, socket, log, faults, memory, plan, counters, times },
      {
        endpointOf: (row) => peers.at(row)?.sockaddr,
        roamed: (row, sockaddr) => peers.at(row)?.roamTo(sockaddr) ?? false,
      },
      ownCounters,
    )
    resources.defer(() => privateSide?.close())
    const seal = privateSide && {
      seal: (row: number, frame: Uint8Array) => privateSide.seal(row, frame),
    }
    const limits = new PathLimits(memory, plan.pathLimits)
    const fragmenting = memory.i32.subarray((plan.state >>> 2) + StateWord.fragmenting)
    const channel = new ControlChannel(settings.mode, socket, queue, fragmenting, faults, {
      ...seal,
      endpointOf: (row) => peers.at(row)?.endpoint,
      said: (row, message, bytes) => peers.at(row)?.said(message, bytes),
      woken: () => void privateSide?.wake(),
      malformed: () => void ownCounters[C.dropControlMalformed]++,
    })
    const send = channel.send.bind(channel)
    const sendWhole = channel.sendWhole.bind(channel)
    const addresses = new Addresses(memory, plan, settings.mode)
    let device: Device | undefined
    const peerRows = new PeerRows(memory, plan, () => workers.ring())
    let onMtu = () => {}
    let onControl = () => {}
    const peers: Peers = new Peers({
      settings,
      socket,
      netlink,
      table,
      limits,
      counters,
      send,
      sendWhole,
      forget: (row) => addresses.forget(row),
      isBehindPeer: (mac) => addresses.isBehindPeer(mac),
      privateSide,
      device: () => device,
      peerRows,
      configure: () => configure(),
      onMtu: () => onMtu(),
      log,
      faults,
    })
    await peers.find(signal)
    resources.defer(() => peers.close())

    const mtuBytes = peers.mtuBytes ?? ETHERNET_MTU_BYTES
    memory.i32[(plan.state >>> 2) + StateWord.maxFrameBytes] = receiveBytes(settings, mtuBytes, peers)
    const opened = openDevice(netlink, settings, mtuBytes)
    device = opened
    resources.defer(() => void close(opened.fd))
    const configure = () => {
      const [first] = peers.rows
      const any = settings.accept_any && first !== undefined ? first.row + 1 : 0
      Atomics.store(memory.i32, (plan.state >>> 2) + StateWord.acceptAny, any)
      addresses.configure(peers.rows, opened.mac)
    }
    configure()
    const offloads = new Offloads(memory, plan.offloads)
    enableOffloads(offloads, opened, socket, settings.offload === 'auto')

    const workers = await Workers.start({
      memory,
      plan,
      mode: settings.mode,
      relay: settings.relay,
      tapFd: opened.fd,
      udpFd: socket.fd,
      sockaddrBytes: sockaddrLength(socket.family),
      keys: privateSide && { mac1: privateSide.own.mac1Key, cookie: privateSide.own.cookieKey },
      onControl: () => onControl(),
      faults,
    })
    if (privateSide !== undefined) privateSide.onKeys = () => workers.ring()
    resources.defer(() => workers.stop())
    resources.defer(() => peerRows.close())
    resources.defer(() => channel.close())
    const parts = {
      settings,
      log,
      faults,
      resources,
      netlink,
      socket,
      device: opened,
      peers,
      offloads,
      workers,
      lookAtQueues: () => onControl(),
      ownCounters,
      privateSide,
    }
    const tunnel = new Tunnel({ ...parts, addresses, memory, plan, mtuBytes, reread })
    const commands = {
      status: () => tunnel.status(),
      fdb: () => tunnel.fdb(),
      reload: () => tunnel.reload(),
      mtu_refresh: () => tunnel.refreshMtu(),
    }
    onMtu = () => tunnel.#guard(() => {})
    resources.defer(
      await serveCommands(opened.name, commands, (error, about) => faults.take('command', error, about)),
    )
    tunnel.#announce()
    tunnel.#tellWorkers(mtuBytes)
    peers.start()
    // What the peers have sent so far has waited, so that "is up" is the first line of the log.
    onControl = () => channel.wake()
    onControl()
    tunnel.#offloadWatch.look()
    return tunnel
  }

  /** Stops the workers and takes everything down. The device is gone afterwards. */
  async stop(): Promise<void> {
    await this.#resources.close()
  }

  status(): StatusReport {
    this.#faults.run('icmp', () => this.#icmp.look())
    this.#faults.run('underlay', () => this.#lookAtUnderlays())
    const { tap, udp, own } = this.#counters
    const all = sumCounters(tap, udp, own)
    const offloads = offloadStatus(this.#offloads)
    const peers = this.#peers.status()
    const ring = (it: Ring, filledBy: Float64Array) => ({
      bytes: it.dataBytes,
      used_bytes: it.usedBytes,
      high_water_bytes: sumCounters(filledBy).ringHighWaterBytes,
    })
    return {
      version,
      pid: process.pid,
      device: this.#device.name,
      mode: this.#settings.mode,
      uptime_s: (performance.now() - this.#startedMs) / 1000,
      local: this.#settings.local.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
      listen: formatEndpoint(this.#socket.local),
      peers,
      mtu_bytes: this.#mtuBytes,
      privacy: this.#privateSide === undefined ? null : this.#privateSide.summary(),
      offloads: { ...offloads, udp_segment: offloads.udp_segment && peers.some((peer) => peer.takes_runs) },
      super_frames: { read: all.superFramesRead, written: all.superFramesWritten },
      outbound: { frames: all.sentFrames, bytes: all.sentBytes },
      inbound: { frames: all.writtenFrames, bytes: all.writtenBytes },
      drops: dropsOf(all, {
        link: this.#linkStatistics(),
        socketDrops: receiveDrops(this.#socket.fd),
        underlayDrops: this.#underlayDrops.total,
      }),
      icmp: {
        unreachable: all.icmpUnreachable,
        too_big: all.icmpTooBig,
        other: all.icmpOther,
        unread: this.#icmp.unread,
      },
      path: {
        fragmented: all.fragmentedFrames,
        too_big_answers: all.tooBigAnswers,
        mss_clamped: all.mssClamped,
      },
      workers: { tap: workerStatus(sumCounters(tap)), udp: workerStatus(sumCounters(udp)) },
      rings: { outbound: ring(this.#rings.outbound, tap), inbound: ring(this.#rings.inbound, udp) },
      faults: this.#faults.status(),
    }
  }

  fdb(): FdbReport {
    return this.#addresses.report((row) => this.#peers.at(row)?.name)
  }

  /**
   * Reads the configuration file again and changes the peers to those in the file. Reloads run one after the
   * other.
   * @returns what was changed
   * @throws UserError if the file is wrong, or if there is none (nothing has changed then), or when the tunnel
   *   stops
   */
  reload(): Promise<ReloadReport> {
    const report = this.#reloads.then(() => this.#reload())
    this.#reloads = report.catch(() => {})
    return report
  }

  async #reload(): Promise<ReloadReport> {
    if (this.#reread === undefined)
      throw new UserError('this tunnel was started without --config, so there is no file to read again')
    const settings = this.#reread()
    // OpenSSL holds the key in use. Another key would need a restart.
    settings.private_key_file?.wipe()
    let changes: PeerChanges
    try {
      changes = await this.#peers.apply(settings)
    } finally {
      // The peers hold copies of their own.
      for (const { preshared_key_file } of settings.peers) preshared_key_file?.wipe()
    }
    const ignored = Object.keys(settings).filter(
      (key) => key !== 'peers' && !isDeepStrictEqual(pick(settings, key), pick(this.#settings, key)),
    )
    this.#tick()
    const text = Object.entries(changes).map(([what, names]) => `${names.length} ${what}`)
    this.#log.info({ ...changes, ignored }, `reloaded the peers: ${text.join(', ')}`)
    if (ignored.length > 0) this.#log.warn(`to change ${ignored.join(', ')} needs a restart`)
    return { ...changes, needs_restart: ignored }
  }

  /** Searches the path MTUs to all peers again, now. */
  async refreshMtu(): Promise<RefreshReport> {
    await this.#peers.refreshPaths(REFRESH_WITHIN_MS)
    const peers = this.#peers.status().map(({ name, path_mtu }) => ({ name, path_mtu }))
    return { device: this.#device.name, mtu_bytes: this.#mtuBytes, peers }
  }

  /** Undefined if the device was just deleted, or was moved to another network namespace. */
  #linkStatistics(): LinkStatistics | undefined {
    try {
      return getLink(this.#netlink, this.#device.index).statistics
    } catch (error) {
      if (error instanceof KernelError && error.errno === ENODEV) return undefined
      throw error
    }
  }

  #lookAtUnderlays(): void {
    this.#underlayDrops.look(this.#netlink, this.#peers.interfaces)
  }

  #announce(): void {
    const { mode, local } = this.#settings
    const addresses = local.map(({ address, prefixLength }) => `${address}/${prefixLength}`)
    const fields = {
      device: this.#device.name,
      mode,
      local: addresses,
      mtu_bytes: this.#mtuBytes,
      listen: formatEndpoint(this.#socket.local),
      ...this.#peers.announcement(),
    }
    this.#log.info(
      fields,
      `${fields.device} is up: ${addresses.join(', ')}, MTU ${fields.mtu_bytes}, to ${this.#peers.summary()} over UDP, listening on ${fields.listen}`,
    )
    if (this.#privateSide === undefined) this.#log.warn(PLAIN)
    if (this.#icmp.deaf !== undefined)
      this.#log.info(
        `ICMP errors are not heard (${this.#icmp.deaf}), so what the paths carry is found by probes alone; give CAP_NET_RAW to hear them`,
      )
    this.#peers.warnOfMissingRoutes()
  }

  #tick(): void {
    this.#faults.run('addresses', () => this.#addresses.tick())
    // A worker announces the content of a queue only once, and that look may have failed.
    this.#faults.run('worker', this.#lookAtQueues)
    this.#guard(() => this.#peers.tick())
    this.#faults.run('underlay', () => this.#lookAtUnderlays())
    this.#faults.run('device', () => this.#offloadWatch.look())
  }

  /** Does work that may change the device's MTU, and then sets that MTU. */
  #guard(work: () => void): void {
    try {
      work()
      this.#followMtu()
      this.#trouble = undefined
    } catch (error) {
      if (error instanceof KernelError) this.#complain(error)
      else this.#faults.take('device', error)
    }
  }

  /** The kernel may grant later what it refuses now. We log the refusal once and try again every second. */
  #complain(error: KernelError): void {
    if (error.message === this.#trouble) return
    this.#trouble = error.message
    this.#log.warn(`the kernel refused to change ${this.#device.name} (${error.message}); trying on`)
  }

  /** Sets the device's MTU to what the paths to all peers carry. */
  #followMtu(): void {
    const mtuBytes = this.#peers.mtuBytes
    if (mtuBytes === undefined) return
    const longest = receiveBytes(this.#settings, mtuBytes, this.#peers)
    Atomics.store(this.#state, StateWord.maxFrameBytes, longest)
    this.#tellWorkers(mtuBytes)
    this.#tellNarrow()
    if (mtuBytes === this.#mtuBytes) return
    setLink(this.#netlink, this.#device.index, { mtuBytes })
    this.#log.info(
      { mtu_bytes: mtuBytes, before: this.#mtuBytes },
      `the MTU is ${mtuBytes} bytes now, was ${this.#mtuBytes}`,
    )
    this.#mtuBytes = mtuBytes
  }

  /** Logs each peer whose path is narrower than the others', once for each MTU. */
  #tellNarrow(): void {
    const narrow = this.#peers.narrow
    for (const { name, mtuBytes, othersBytes } of narrow) {
      if (this.#narrow.get(name) === mtuBytes) continue
      this.#log.warn(
        { peer: name, mtu_bytes: mtuBytes, others_mtu_bytes: othersBytes },
        `the path to ${name} holds the MTU at ${mtuBytes} for all, where others carry ${othersBytes}`,
      )
    }
    this.#narrow = new Map(narrow.map(({ name, mtuBytes }) => [name, mtuBytes]))
  }

  #tellWorkers(mtuBytes: number): void {
    const { mode, vlan, mss_clamp } = this.#settings
    const l2Bytes = mode === 'tun' ? 0 : ETHERNET_HEADER_BYTES + (vlan ? VLAN_TAG_BYTES : 0)
    Atomics.store(this.#state, StateWord.deviceMtuBytes, mtuBytes)
    Atomics.store(this.#state, StateWord.paddingLimit, mtuBytes + l2Bytes + leastPaddingBytes(mode))
    if (!mss_clamp) return
    const carried = Math.min(mtuBytes, this.#peers.carriedMtuBytes ?? mtuBytes)
    Atomics.store(this.#state, StateWord.clampFrameBytes, Math.max(1, carried + l2Bytes))
  }
}

/** The answer to `udptun-fast mtu --refresh`. */
export interface RefreshReport {
  readonly device: string
  readonly mtu_bytes: number
  readonly peers: readonly Pick<PeerStatus, 'name' | 'path_mtu'>[]
}

/** The names of the peers, and the keys of the settings that changed without effect. */
export interface ReloadReport extends PeerChanges {
  readonly needs_restart: readonly string[]
}

const pick = (settings: Settings, key: string) => settings[key as keyof Settings]

interface Parts {
  readonly settings: Settings
  readonly log: Logger
  readonly faults: Faults
  readonly resources: Resources
  readonly netlink: Netlink
  readonly socket: UdpSocket
  readonly device: Device
  readonly peers: Peers
  readonly addresses: Addresses
  readonly offloads: Offloads
  /** Main's own counters. */
  readonly ownCounters: Float64Array
  readonly workers: Workers
  /** Takes what the workers have put into the queues. */
  readonly lookAtQueues: () => void
  readonly memory: NativeMemory
  readonly plan: ReturnType<typeof planMemory>
  readonly mtuBytes: number
  readonly reread: (() => Settings) | undefined
  readonly privateSide: PrivateSide | undefined
}

/** This warning is logged once. */
const PLAIN =
  'this tunnel is not private: anybody on the way can read what it carries, and put in more; udptun-fast keygen makes keys'

type PrivateContext = Pick<Parts, 'settings' | 'socket' | 'log' | 'faults' | 'memory' | 'plan'> & {
  readonly counters: readonly Float64Array[]
  readonly times: Partial<Times>
}

/**
 * Starts the private side if the settings have a key. Its modules are loaded only then, because a plain tunnel
 * must not wait for them.
 */
async function startPrivateSide(
  { settings, socket, log, faults, memory, plan, counters, times }: PrivateContext,
  whereabouts: Pick<PrivateSideOptions, 'endpointOf' | 'roamed'>,
  ownCounters: Float64Array,
): Promise<PrivateSide | undefined> {
  const { private_key_file: privateKey, mode } = settings
  if (privateKey === undefined) return undefined
  const errno = memory.keepInRam(plan.secrets.at, plan.secrets.bytes)
  if (errno !== 0)
    log.debug(
      `the kernel does not keep the keys out of swap (${errnoName(errno)}); a greater limit on locked memory would help (ulimit -l)`,
    )
  const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
  const queue = new Mailbox(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4)
  const counted = (verdict: Verdict) => {
    const counter = HANDSHAKE_COUNTERS[verdict]
    if (counter !== undefined) ownCounters[C[counter]]++
  }
  const shared = { mode, privateKey, memory, table, queue, socket, counters, log, faults, times }
  const { PrivateSide } = await import('./private/private-side.js')
  return new PrivateSide({ ...shared, ...whereabouts, counted })
}

const HANDSHAKE_COUNTERS: Readonly<Record<Verdict, CounterName | undefined>> = {
  accepted: undefined,
  malformed: 'dropNotPrivate',
  'unknown peer': 'dropUnknownPeer',
  'unknown index': 'dropUnasked',
  'not authentic': 'dropHandshakeRefused',
  old: 'dropHandshakeRefused',
  misplaced: 'dropHandshakeMisplaced',
}

/**
 * The longest frame (tun mode: packet) that is received. The device at the other end may take longer frames
 * than this one. So we accept everything that the underlay carries. We also accept frames of Ethernet's own
 * MTU of 1500. An end may have left its device at that MTU and send such frames in fragments, as in the article.
 */
function receiveBytes(settings: Settings, mtuBytes: number, peers: Peers): number {
  const longest = Math.max(mtuBytes, peers.longestUnderlayBytes, ETHERNET_MTU_BYTES)
  return settings.mode === 'tap' ? maxFrameBytes(longest) : longest
}

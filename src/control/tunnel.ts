import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { MAX_PEERS, type Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import { ControlQueue } from '../forward/control-queue.js'
import { C, COUNTERS, type CounterName, counterBlock } from '../forward/counters.js'
import { KeypairTable } from '../forward/keypairs.js'
import { Offloads } from '../forward/offloads.js'
import { PathLimits } from '../forward/path-limits.js'
import { peerCounterBlock } from '../forward/peer-counters.js'
import { PeerTable } from '../forward/peers.js'
import { planMemory, StateWord } from '../forward/plan.js'
import { Ring } from '../forward/ring.js'
import { ENODEV, KernelError } from '../linux/errno.js'
import { getLink, type LinkStatistics, setLink } from '../linux/interface.js'
import { close } from '../linux/libc.js'
import { NativeMemory } from '../linux/memory.js'
import { Netlink, RouteMonitor } from '../linux/netlink.js'
import { sockaddrLength } from '../linux/sockaddr.js'
import { receiveDrops, type UdpSocket } from '../linux/udp.js'
import type { Verdict } from '../noise/handshakes.js'
import type { Times } from '../noise/peer.js'
import { version } from '../version.js'
import { ETHERNET_HEADER_BYTES, maxFrameBytes, VLAN_TAG_BYTES } from '../wire/ethernet.js'
import { leastPaddingBytes } from '../wire/padding.js'
import { Addresses, type FdbReport } from './addresses.js'
import { ControlChannel } from './control-channel.js'
import { type Device, openDevice } from './device.js'
import { formatEndpoint } from './endpoint.js'
import { enableOffloads, OffloadWatch, offloadStatus } from './offload.js'
import { PeerRows } from './peer-rows.js'
import { type PeerChanges, Peers } from './peers.js'
import type { PrivateSide, PrivateSideOptions } from './private-side.js'
import { Resources } from './resources.js'
import { openSocket } from './socket.js'
import { dropsOf, type PeerStatus, type StatusReport, sumCounters, workerStatus } from './status.js'
import { serveCommands } from './status-socket.js'
import { ETHERNET_MTU_BYTES } from './underlay.js'
import { Workers } from './workers.js'

const TICK_MS = 1_000

/** How often rtnetlink is asked whether a route or interface has changed. */
const ROUTES_MS = 200

/** How long a new look at the paths is waited for. */
const REFRESH_WITHIN_MS = 10_000

/** A tunnel that is up, in this process. Main's side of it: control, never a data frame. */
export class Tunnel {
  /** Resolves with the reason when the tunnel can go on no longer; {@link stop} it then. */
  readonly died: Promise<Error>
  readonly #settings: Settings
  readonly #reread: (() => Settings) | undefined
  readonly #log: Logger
  readonly #resources: Resources
  readonly #netlink: Netlink
  readonly #socket: UdpSocket
  readonly #device: Device
  readonly #peers: Peers
  readonly #addresses: Addresses
  /** The state words that the workers look at. */
  readonly #state: Int32Array
  readonly #offloads: Offloads
  readonly #privateSide: PrivateSide | undefined
  readonly #offloadWatch: OffloadWatch
  readonly #counters: Record<'tap' | 'udp' | 'own', Float64Array>
  readonly #rings: { readonly outbound: Ring; readonly inbound: Ring }
  readonly #startedMs = performance.now()
  #mtuBytes: number
  /** Peers that were said to have narrow paths, and the MTUs. */
  #narrow: ReadonlyMap<string, number> = new Map()
  /** What was last complained of, until it is over. */
  #trouble: string | undefined
  /** Those that are under way. */
  #reloads: Promise<unknown> = Promise.resolve()

  private constructor(parts: Parts) {
    const { memory, plan } = parts
    this.died = parts.workers.died
    this.#settings = parts.settings
    this.#reread = parts.reread
    this.#log = parts.log
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
    const timer = setInterval(() => this.#tick(), TICK_MS)
    this.#resources.defer(() => clearInterval(timer))
    const routes = new RouteMonitor()
    this.#resources.defer(() => routes.close())
    const watch = setInterval(() => {
      if (routes.changed()) this.#guard(() => this.#peers.followUnderlays())
    }, ROUTES_MS)
    this.#resources.defer(() => clearInterval(watch))
  }

  /**
   * Sets everything up and starts the workers.
   * @param signal ends a wait for DNS
   * @param reread the settings as they are now, for {@link reload}; throws a UserError where they are wrong
   * @param times of a private tunnel, where they are not to be those of the protocol
   * @throws UserError; whatever the error, nothing is left behind
   */
  static async start(
    settings: Settings,
    log: Logger,
    signal: AbortSignal,
    reread?: () => Settings,
    times?: Partial<Times>,
  ): Promise<Tunnel> {
    const resources = new Resources()
    try {
      return await Tunnel.#start(settings, log, signal, resources, reread, times)
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
    const queue = new ControlQueue(memory, plan.control, plan.state + StateWord.controlTold * 4)
    const privateSide = await startPrivateSide(
      { settings, socket, log, memory, plan, counters, times },
      (row, endpoint, sockaddr) => peers.at(row)?.roamTo(endpoint, sockaddr),
      ownCounters,
    )
    resources.defer(() => privateSide?.close())
    const seal = privateSide && {
      seal: (row: number, frame: Uint8Array) => privateSide.seal(row, frame),
    }
    const limits = new PathLimits(memory, plan.pathLimits)
    const fragmenting = memory.i32.subarray((plan.state >>> 2) + StateWord.fragmenting)
    const channel = new ControlChannel(settings.mode, socket, queue, fragmenting, {
      ...seal,
      endpointOf: (row) => peers.at(row)?.endpoint,
      said: (row, message, bytes) => peers.at(row)?.said(message, bytes),
      woken: () => {
        peers.takeHints()
        privateSide?.wake()
      },
      malformed: () => void ownCounters[C.dropControlMalformed]++,
    })
    const send = channel.send.bind(channel)
    const sendWhole = channel.sendWhole.bind(channel)
    const addresses = new Addresses(memory, plan, settings.mode)
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
      privateSide,
      peerRows,
      configure: () => configure(),
      onMtu: () => onMtu(),
      log,
    })
    await peers.find(signal)
    resources.defer(() => peers.close())

    const mtuBytes = peers.mtuBytes ?? ETHERNET_MTU_BYTES
    memory.i32[(plan.state >>> 2) + StateWord.maxFrameBytes] = receiveBytes(settings, mtuBytes, peers)
    const device = openDevice(netlink, settings, mtuBytes)
    resources.defer(() => void close(device.fd))
    const configure = () => {
      const [first] = peers.rows
      const any = settings.accept_any && first !== undefined ? first.index + 1 : 0
      Atomics.store(memory.i32, (plan.state >>> 2) + StateWord.acceptAny, any)
      addresses.configure(peers.rows, device.mac)
    }
    configure()
    const offloads = new Offloads(memory, plan.offloads)
    enableOffloads(offloads, device, socket, settings.offload === 'auto')

    const workers = await Workers.start({
      memory,
      plan,
      mode: settings.mode,
      relay: settings.relay,
      tapFd: device.fd,
      udpFd: socket.fd,
      sockaddrBytes: sockaddrLength(socket.family),
      mac1Key: privateSide?.own.mac1Key,
      onControl: () => onControl(),
    })
    if (privateSide !== undefined) privateSide.onKeys = () => workers.ring()
    resources.defer(() => workers.stop())
    resources.defer(() => peerRows.close())
    resources.defer(() => channel.close())
    const parts = {
      settings,
      log,
      resources,
      netlink,
      socket,
      device,
      peers,
      offloads,
      workers,
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
    resources.defer(await serveCommands(device.name, commands))
    tunnel.#announce()
    tunnel.#tellWorkers(mtuBytes)
    peers.start()
    // What a peer has said by now waited, so that the first line of the log is that the tunnel is up.
    onControl = () => channel.wake()
    onControl()
    tunnel.#offloadWatch.look()
    return tunnel
  }

  /** Stops the workers and takes everything down; the device is gone afterwards. */
  async stop(): Promise<void> {
    await this.#resources.close()
  }

  status(): StatusReport {
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
      drops: dropsOf(all, { link: this.#linkStatistics(), socketDrops: receiveDrops(this.#socket.fd) }),
      icmp: { unreachable: all.icmpUnreachable, too_big: all.icmpTooBig, other: all.icmpOther },
      path: {
        fragmented: all.fragmentedFrames,
        too_big_answers: all.tooBigAnswers,
        mss_clamped: all.mssClamped,
      },
      workers: { tap: workerStatus(sumCounters(tap)), udp: workerStatus(sumCounters(udp)) },
      rings: { outbound: ring(this.#rings.outbound, tap), inbound: ring(this.#rings.inbound, udp) },
    }
  }

  fdb(): FdbReport {
    return this.#addresses.report((row) => this.#peers.at(row)?.name)
  }

  /**
   * Reads the configuration file again and makes the peers those that it names; after any other reload is done.
   * @returns what was changed
   * @throws UserError where the file is wrong, or there is none; all is as it was then; or when the tunnel stops
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
    // The key in use is OpenSSL's; another one would need a restart.
    settings.private_key_file?.wipe()
    const changes = await this.#peers.apply(settings)
    const ignored = Object.keys(settings).filter(
      (key) => key !== 'peers' && !isDeepStrictEqual(pick(settings, key), pick(this.#settings, key)),
    )
    this.#tick()
    const text = Object.entries(changes).map(([what, names]) => `${names.length} ${what}`)
    this.#log.info({ ...changes, ignored }, `reloaded the peers: ${text.join(', ')}`)
    if (ignored.length > 0) this.#log.warn(`to change ${ignored.join(', ')} needs a restart`)
    return { ...changes, needs_restart: ignored }
  }

  /** Has what the paths to the peers carry looked for again, now. */
  async refreshMtu(): Promise<RefreshReport> {
    await this.#peers.refreshPaths(REFRESH_WITHIN_MS)
    const peers = this.#peers.status().map(({ name, path_mtu }) => ({ name, path_mtu }))
    return { device: this.#device.name, mtu_bytes: this.#mtuBytes, peers }
  }

  /** None where the device has been moved to another network namespace, or deleted just now. */
  #linkStatistics(): LinkStatistics | undefined {
    try {
      return getLink(this.#netlink, this.#device.index).statistics
    } catch (error) {
      if (error instanceof KernelError && error.errno === ENODEV) return undefined
      throw error
    }
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
    this.#peers.warnOfMissingRoutes()
  }

  #tick(): void {
    this.#addresses.tick()
    this.#peers.takeHints()
    this.#guard(() => this.#peers.tick())
    this.#offloadWatch.look()
  }

  /** Does something that may change what the device's MTU is to be, and follows it. */
  #guard(work: () => void): void {
    try {
      work()
      this.#followMtu()
      this.#trouble = undefined
    } catch (error) {
      this.#complain(error)
    }
  }

  /** What the kernel refuses now it may grant later: said once, and tried again every second. */
  #complain(error: unknown): void {
    if (!(error instanceof KernelError)) throw error
    if (error.message === this.#trouble) return
    this.#trouble = error.message
    this.#log.warn(`the kernel refused to change ${this.#device.name} (${error.message}); trying on`)
  }

  /** The device carries what the way to every peer does. */
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

  /** Once of each peer whose path is narrower than the others', and again when it is another MTU. */
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
    Atomics.store(this.#state, StateWord.clampFrameBytes, carried + l2Bytes)
  }
}

/** What `udptun-fast mtu --refresh` answers. */
export interface RefreshReport {
  readonly device: string
  readonly mtu_bytes: number
  readonly peers: readonly Pick<PeerStatus, 'name' | 'path_mtu'>[]
}

/** Names of peers, and keys of settings that were changed in vain. */
export interface ReloadReport extends PeerChanges {
  readonly needs_restart: readonly string[]
}

const pick = (settings: Settings, key: string) => settings[key as keyof Settings]

interface Parts {
  readonly settings: Settings
  readonly log: Logger
  readonly resources: Resources
  readonly netlink: Netlink
  readonly socket: UdpSocket
  readonly device: Device
  readonly peers: Peers
  readonly addresses: Addresses
  readonly offloads: Offloads
  /** What main itself counts. */
  readonly ownCounters: Float64Array
  readonly workers: Workers
  readonly memory: NativeMemory
  readonly plan: ReturnType<typeof planMemory>
  readonly mtuBytes: number
  readonly reread: (() => Settings) | undefined
  readonly privateSide: PrivateSide | undefined
}

/** Said once, in plain words. */
const PLAIN =
  'this tunnel is not private: anybody on the way can read what it carries, and put in more; udptun-fast keygen makes keys'

type PrivateContext = Pick<Parts, 'settings' | 'socket' | 'log' | 'memory' | 'plan'> & {
  readonly counters: readonly Float64Array[]
  readonly times: Partial<Times>
}

/** Where the settings have a key. What it needs is loaded only then: a plain tunnel should not wait for it. */
async function startPrivateSide(
  { settings, socket, log, memory, plan, counters, times }: PrivateContext,
  roamed: PrivateSideOptions['roamed'],
  ownCounters: Float64Array,
): Promise<PrivateSide | undefined> {
  const { private_key_file: privateKey, mode } = settings
  if (privateKey === undefined) return undefined
  const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
  const queue = new ControlQueue(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4)
  const counted = (verdict: Verdict) => {
    const counter = HANDSHAKE_COUNTERS[verdict]
    if (counter !== undefined) ownCounters[C[counter]]++
  }
  const shared = { mode, privateKey, memory, table, queue, socket, counters, log, times }
  const { PrivateSide } = await import('./private-side.js')
  return new PrivateSide({ ...shared, roamed, counted })
}

const HANDSHAKE_COUNTERS: Readonly<Record<Verdict, CounterName | undefined>> = {
  accepted: undefined,
  malformed: 'dropNotPrivate',
  'wrong mac1': 'dropWrongMac1',
  cookie: 'dropCookie',
  'too many': 'dropHandshakeRefused',
  'unknown peer': 'dropUnknownPeer',
  'unknown index': 'dropUnknownIndex',
  'not authentic': 'dropHandshakeRefused',
  old: 'dropHandshakeRefused',
}

/**
 * The other end's device may take longer frames than this one's: whatever the underlay carries is taken, and
 * what an end sends (in fragments) that has left its device at Ethernet's own MTU, as the article's does.
 */
function receiveBytes(settings: Settings, mtuBytes: number, peers: Peers): number {
  const longest = Math.max(mtuBytes, peers.longestUnderlayBytes, ETHERNET_MTU_BYTES)
  return settings.mode === 'tap' ? maxFrameBytes(longest) : longest
}

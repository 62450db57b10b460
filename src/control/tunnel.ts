import type { Logger } from 'pino'
import type { Settings } from '../config/schema.js'
import { contains } from '../config/schema.js'
import { UserError } from '../errors.js'
import { counterBlock } from '../forward/counters.js'
import { Offloads } from '../forward/offloads.js'
import { PeerTable } from '../forward/peers.js'
import { planMemory, StateWord } from '../forward/plan.js'
import { Ring } from '../forward/ring.js'
import { ENODEV, KernelError } from '../linux/errno.js'
import { getLink, type LinkStatistics, setLink } from '../linux/interface.js'
import { close } from '../linux/libc.js'
import { NativeMemory } from '../linux/memory.js'
import { Netlink } from '../linux/netlink.js'
import { type Endpoint, encodeSockaddr, sockaddrLength } from '../linux/sockaddr.js'
import { receiveDrops, type UdpSocket } from '../linux/udp.js'
import { version } from '../version.js'
import { maxFrameBytes } from '../wire/ethernet.js'
import { type Device, openDevice } from './device.js'
import { formatEndpoint } from './endpoint.js'
import { enableOffloads, OffloadWatch, offloadStatus } from './offload.js'
import { resolveOnce, resolveRemote, SilenceWatch } from './resolve.js'
import { Resources } from './resources.js'
import { openSocket } from './socket.js'
import { dropsOf, type StatusReport, sumCounters, workerStatus } from './status.js'
import { serveStatus } from './status-socket.js'
import { deviceMtuBytes, ETHERNET_MTU_BYTES, type Underlay, underlayTo } from './underlay.js'
import { Workers } from './workers.js'

const TICK_MS = 1_000

/** The one remote's row in the peer table. */
const PEER = 0

/** A tunnel that is up, in this process. Main's side of it: control, never a data frame. */
export class Tunnel {
  /** Resolves with the reason when the tunnel can go on no longer; {@link stop} it then. */
  readonly died: Promise<Error>
  readonly #settings: Settings
  readonly #log: Logger
  readonly #resources: Resources
  readonly #netlink: Netlink
  readonly #socket: UdpSocket
  readonly #device: Device
  readonly #peers: PeerTable
  /** The state words that the workers look at. */
  readonly #state: Int32Array
  readonly #offloads: Offloads
  readonly #offloadWatch: OffloadWatch
  readonly #counters: { readonly tap: Float64Array; readonly udp: Float64Array }
  readonly #rings: { readonly outbound: Ring; readonly inbound: Ring }
  readonly #startedMs = performance.now()
  #remote: Endpoint
  #underlay: Underlay
  #mtuBytes: number
  #heardMs: number | undefined
  #received = 0
  /** What was last complained of, until it is over. */
  #trouble: string | undefined
  #silence: SilenceWatch

  private constructor(parts: Parts) {
    const { memory, plan } = parts
    this.died = parts.workers.died
    this.#settings = parts.settings
    this.#log = parts.log
    this.#resources = parts.resources
    this.#netlink = parts.netlink
    this.#socket = parts.socket
    this.#device = parts.device
    this.#peers = parts.peers
    this.#state = memory.i32.subarray(plan.state >>> 2)
    this.#offloads = parts.offloads
    this.#offloadWatch = new OffloadWatch(parts.offloads, parts.settings.offload === 'auto', parts.log)
    this.#remote = parts.remote
    this.#underlay = parts.underlay
    this.#mtuBytes = parts.mtuBytes
    this.#counters = {
      tap: counterBlock(memory, plan.tap.counters),
      udp: counterBlock(memory, plan.udp.counters),
    }
    this.#rings = {
      outbound: new Ring(memory, plan.outbound.at, plan.outbound.dataBytes),
      inbound: new Ring(memory, plan.inbound.at, plan.inbound.dataBytes),
    }
    this.#silence = new SilenceWatch(this.#traffic())
    const timer = setInterval(() => this.#tick(), TICK_MS)
    this.#resources.defer(() => clearInterval(timer))
  }

  /**
   * Sets everything up and starts the workers.
   * @param signal ends a wait for DNS
   * @throws UserError; whatever the error, nothing is left behind
   */
  static async start(settings: Settings, log: Logger, signal: AbortSignal): Promise<Tunnel> {
    const resources = new Resources()
    try {
      return await Tunnel.#start(settings, log, signal, resources)
    } catch (error) {
      await resources.close()
      throw error
    }
  }

  static async #start(settings: Settings, log: Logger, signal: AbortSignal, resources: Resources) {
    const netlink = new Netlink()
    resources.defer(() => netlink.close())
    const socket = openSocket(settings.listen)
    resources.defer(() => void close(socket.fd))
    const remote = await resolveRemote(settings.remote, socket.family, log, signal)
    refuseLoop(settings, remote)

    const plan = planMemory(1)
    const memory = NativeMemory.allocate(plan.bytes)
    memory.i32[(plan.state >>> 2) + StateWord.acceptAny] = settings.accept_any ? 1 : 0
    const peers = new PeerTable(memory, plan.peers)
    peers.setAddress(PEER, encodeRemote(socket, remote))

    const underlay = underlayTo(netlink, remote.address)
    const mtuBytes = mtuFor(settings, remote, underlay)
    memory.i32[(plan.state >>> 2) + StateWord.maxFrameBytes] = receiveBytes(settings, mtuBytes, underlay)
    const device = openDevice(netlink, settings, mtuBytes)
    resources.defer(() => void close(device.fd))
    const offloads = new Offloads(memory, plan.offloads)
    enableOffloads(offloads, device, socket, settings.offload === 'auto')

    const workers = await Workers.start({
      memory,
      plan,
      mode: settings.mode,
      tapFd: device.fd,
      udpFd: socket.fd,
      sockaddrBytes: sockaddrLength(socket.family),
    })
    resources.defer(() => workers.stop())
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
      memory,
      plan,
    }
    const tunnel = new Tunnel({ ...parts, remote, underlay, mtuBytes })
    resources.defer(await serveStatus(device.name, () => tunnel.status()))
    tunnel.#announce()
    tunnel.#offloadWatch.look()
    return tunnel
  }

  /** Stops the workers and takes everything down; the device is gone afterwards. */
  async stop(): Promise<void> {
    await this.#resources.close()
  }

  status(): StatusReport {
    const { tap, udp } = this.#counters
    const all = sumCounters(tap, udp)
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
      remote: {
        host: this.#settings.remote.host,
        endpoint: formatEndpoint(this.#remote),
        heard_s: this.#heardMs === undefined ? null : (performance.now() - this.#heardMs) / 1000,
      },
      underlay: { interface: this.#underlay.interface ?? null, mtu_bytes: this.#underlay.mtuBytes },
      mtu_bytes: this.#mtuBytes,
      offloads: offloadStatus(this.#offloads),
      super_frames: { read: all.superFramesRead, written: all.superFramesWritten },
      outbound: { frames: all.sentFrames, bytes: all.sentBytes },
      inbound: { frames: all.writtenFrames, bytes: all.writtenBytes },
      drops: dropsOf(all, { link: this.#linkStatistics(), socketDrops: receiveDrops(this.#socket.fd) }),
      icmp: { unreachable: all.icmpUnreachable, too_big: all.icmpTooBig, other: all.icmpOther },
      workers: { tap: workerStatus(sumCounters(tap)), udp: workerStatus(sumCounters(udp)) },
      rings: { outbound: ring(this.#rings.outbound, tap), inbound: ring(this.#rings.inbound, udp) },
    }
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
      remote: formatEndpoint(this.#remote),
      underlay: this.#underlay.interface,
    }
    this.#log.info(
      fields,
      `${fields.device} is up: ${addresses.join(', ')}, MTU ${fields.mtu_bytes}, to ${fields.remote} over UDP, listening on ${fields.listen}`,
    )
    if (this.#underlay.interface === undefined) {
      this.#log.warn(
        `there is no route to ${this.#remote.address} yet; carrying on, and looking again every second`,
      )
    }
  }

  #traffic() {
    const { sentFrames, receivedFrames } = sumCounters(this.#counters.tap, this.#counters.udp)
    return { nowMs: performance.now(), sentFrames, receivedFrames }
  }

  #tick(): void {
    const traffic = this.#traffic()
    if (traffic.receivedFrames !== this.#received) {
      this.#received = traffic.receivedFrames
      this.#heardMs = traffic.nowMs
    }
    try {
      this.#followUnderlay()
      this.#trouble = undefined
    } catch (error) {
      this.#complain(error)
    }
    this.#offloadWatch.look()
    if (this.#silence.isTime(traffic)) void this.#resolveAgain()
  }

  /** What the kernel refuses now it may grant later: said once, and tried again every second. */
  #complain(error: unknown): void {
    if (!(error instanceof KernelError)) throw error
    if (error.message === this.#trouble) return
    this.#trouble = error.message
    this.#log.warn(`the kernel refused to change ${this.#device.name} (${error.message}); trying on`)
  }

  /** The way to the remote, or its interface's MTU, may change at any time. */
  #followUnderlay(): void {
    const underlay = underlayTo(this.#netlink, this.#remote.address)
    const before = this.#underlay
    this.#underlay = underlay
    if (underlay.interface !== before.interface) {
      this.#log.info(
        { interface: underlay.interface ?? null, before: before.interface ?? null },
        underlay.interface === undefined
          ? `there is no route to ${this.#remote.address} any more; carrying on, and looking again every second`
          : `the route to ${this.#remote.address} is by ${underlay.interface}`,
      )
    }
    if (underlay.interface === undefined) return
    // A zone's interface may have been made anew, and have another index.
    if (this.#remote.address.includes('%'))
      this.#peers.setAddress(PEER, encodeRemote(this.#socket, this.#remote))
    const mtuBytes = mtuFor(this.#settings, this.#remote, underlay)
    Atomics.store(this.#state, StateWord.maxFrameBytes, receiveBytes(this.#settings, mtuBytes, underlay))
    if (mtuBytes === this.#mtuBytes) return
    setLink(this.#netlink, this.#device.index, { mtuBytes })
    this.#log.info(
      { mtu_bytes: mtuBytes, before: this.#mtuBytes },
      `the MTU is ${mtuBytes} bytes now, was ${this.#mtuBytes}`,
    )
    this.#mtuBytes = mtuBytes
  }

  async #resolveAgain(): Promise<void> {
    const { host } = this.#settings.remote
    try {
      const endpoint = await resolveOnce(this.#settings.remote, this.#socket.family)
      if (endpoint.address === this.#remote.address) return
      refuseLoop(this.#settings, endpoint)
      this.#peers.setAddress(PEER, encodeRemote(this.#socket, endpoint))
      this.#remote = endpoint
      this.#log.info({ remote: formatEndpoint(endpoint) }, `${host} has moved to ${formatEndpoint(endpoint)}`)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const why = error instanceof UserError ? message : `${host} is silent and does not resolve (${code})`
      this.#log.warn({ host }, `${why}; keeping ${this.#remote.address}`)
    }
  }
}

interface Parts {
  readonly settings: Settings
  readonly log: Logger
  readonly resources: Resources
  readonly netlink: Netlink
  readonly socket: UdpSocket
  readonly device: Device
  readonly peers: PeerTable
  readonly offloads: Offloads
  readonly workers: Workers
  readonly memory: NativeMemory
  readonly plan: ReturnType<typeof planMemory>
  readonly remote: Endpoint
  readonly underlay: Underlay
  readonly mtuBytes: number
}

function mtuFor(settings: Settings, remote: Endpoint, underlay: Underlay): number {
  return deviceMtuBytes({
    mode: settings.mode,
    remoteAddress: remote.address,
    underlayMtuBytes: underlay.mtuBytes,
    wanted: settings.mtu,
    overlayHasIpv6: settings.local.some(({ family }) => family === 'ipv6'),
  })
}

/**
 * The other end's device may take longer frames than this one's: whatever the underlay carries is taken, and
 * what an end sends (in fragments) that has left its device at Ethernet's own MTU, as the article's does.
 */
function receiveBytes(settings: Settings, mtuBytes: number, underlay: Underlay): number {
  const longest = Math.max(mtuBytes, underlay.mtuBytes, ETHERNET_MTU_BYTES)
  return settings.mode === 'tap' ? maxFrameBytes(longest) : longest
}

function encodeRemote(socket: UdpSocket, remote: Endpoint): Uint8Array {
  try {
    return encodeSockaddr(socket.family, remote)
  } catch (error) {
    throw new UserError(`the remote cannot be reached: ${(error as Error).message}; check its address`)
  }
}

/** What the settings alone could tell of an address holds for what a name resolves to as well. */
function refuseLoop(settings: Settings, { address }: Endpoint): void {
  const inside = settings.local.find((it) => contains(it, address))
  if (inside === undefined) return
  throw new UserError(
    `${settings.remote.host} resolves to ${address}, which lies inside the overlay network ${inside.address}/${inside.prefixLength}; choose another overlay network`,
  )
}

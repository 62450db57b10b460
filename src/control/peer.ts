import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { contains, type PeerSettings, type Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import { OFFLOAD_MEANING } from '../forward/offloads.js'
import type { PathLimits } from '../forward/path-limits.js'
import { type PeerCounts, sumPeerCounters } from '../forward/peer-counters.js'
import type { PeerTable } from '../forward/peers.js'
import type { Netlink } from '../linux/netlink.js'
import { kernelPathMtu } from '../linux/probe-socket.js'
import { type Endpoint, encodeSockaddr } from '../linux/sockaddr.js'
import type { UdpSocket } from '../linux/udp.js'
import type { ControlMessage } from '../wire/control.js'
import { maxFrameBytes } from '../wire/ethernet.js'
import { IPV6_MIN_MTU_BYTES } from '../wire/ip.js'
import { sealedBytes } from '../wire/overhead.js'
import { newToken } from './control-channel.js'
import { chooseEndpoint, type Discovery, discoveryOf } from './discovery.js'
import { formatEndpoint } from './endpoint.js'
import { PathMtu } from './path-mtu/path-mtu.js'
import { headersBytes } from './path-mtu/sizes.js'
import { PeerLife, type PeerState } from './peer-life.js'
import type { PrivateSide } from './private-side.js'
import type { PeerStatus } from './status.js'
import {
  carriedMtuBytes,
  type DeviceMtuInput,
  deviceMtuBytes,
  familyOf,
  type Underlay,
  underlayTo,
} from './underlay.js'

const DNS_RETRY_MS = 2_000

/** How long a look-up may take before the wait for it is spoken of. */
const DNS_PATIENCE_MS = 1_000

/** What a peer needs of the tunnel. */
export interface PeerContext {
  readonly settings: Settings
  readonly socket: UdpSocket
  readonly netlink: Netlink
  readonly table: PeerTable
  /** The workers' blocks of peer counters. */
  readonly counters: readonly Float64Array[]
  readonly log: Logger
  readonly limits: PathLimits
  /** Sends a row's peer a control frame; returns 0 or an errno. */
  send(row: number, to: Endpoint, message: ControlMessage): number
  /** The same of so many bytes, in one datagram; false where that cannot be told. */
  sendWhole(row: number, to: Endpoint, message: ControlMessage, bytes: number): boolean
  /** Called when {@link Peer.mtuBytes} may have changed. */
  onMtu(): void
  /** What was learnt from a row's peer holds no more. */
  forget(row: number): void
  /** Where the tunnel is private. */
  readonly privateSide: PrivateSide | undefined
  /** The name of another peer that is there already. */
  nameAt(endpoint: Endpoint): string | undefined
}

/** One of the other hosts, as main sees it: where it is, how to get there, whether it is heard. */
export class Peer {
  /** Its row in the peer table. */
  readonly index: number
  readonly settings: PeerSettings
  readonly #context: PeerContext
  /** Undefined for one that comes by itself. */
  readonly #discovery: Discovery | undefined
  /** Counters of the row at the start: a row may have had another peer. */
  readonly #base: PeerCounts
  #endpoint: Endpoint | undefined
  #underlay: Underlay | undefined
  /** Once the workers run, that answers may come. */
  #pathMtu: PathMtu | undefined
  #started = false
  #sent = 0
  /** What the path has been said to be too narrow for, since it last was wide enough. */
  readonly #narrow = new Set<string>()
  readonly #life: PeerLife
  /** It is where it was heard from, not where its settings say. */
  #roamed = false
  #locatedMs = 0
  /** Of the last keepalive: its answer has the same. */
  #helloToken = 0n
  #locating = false
  #removed = false
  /** As it was told of last. */
  #takesRuns = true
  /** What was last complained of, until it is over. */
  #trouble: string | undefined

  constructor(index: number, settings: PeerSettings, context: PeerContext) {
    this.index = index
    this.settings = settings
    this.#context = context
    const { endpoint } = settings
    this.#discovery = endpoint === undefined ? undefined : discoveryOf(endpoint, context.socket.family)
    this.#base = sumPeerCounters(index, ...context.counters)
    this.#life = new PeerLife(this.#traffic())
    context.privateSide?.add(index, settings)
  }

  get name(): string {
    return this.settings.name
  }

  /** The name or address that it was given as. */
  get host(): string {
    return this.settings.endpoint?.host ?? this.name
  }

  /** Undefined until it has been found. */
  get endpoint(): Endpoint | undefined {
    return this.#endpoint
  }

  /** How datagrams go there; undefined until it has been found. */
  get underlay(): Underlay | undefined {
    return this.#underlay
  }

  /** The MTU that the device may have for this peer's sake; undefined while there is no way to it. */
  get mtuBytes(): number | undefined {
    const input = this.#mtuInput()
    return input === undefined ? undefined : deviceMtuBytes(input)
  }

  /** What the way to it carries in whole datagrams, whatever the settings say of the MTU. */
  get carriedMtuBytes(): number | undefined {
    const input = this.#mtuInput()
    return input === undefined ? undefined : carriedMtuBytes({ ...input, wanted: 'auto' })
  }

  /** What comes to a frame on its way to a datagram. */
  get #sealedBytes(): number {
    const { privateSide, settings } = this.#context
    return privateSide === undefined ? 0 : sealedBytes(settings.mode)
  }

  #mtuInput(): DeviceMtuInput | undefined {
    if (this.#endpoint === undefined || this.#underlay === undefined) return undefined
    const { mode, mtu, vlan, local } = this.#context.settings
    return {
      mode,
      vlan,
      remoteAddress: this.#endpoint.address,
      underlayMtuBytes: this.#pathMtu?.mtuBytes ?? this.#underlay.mtuBytes,
      wanted: mtu,
      sealed: this.#context.privateSide !== undefined,
      overlayHasIpv6: local.some(({ family }) => family === 'ipv6'),
    }
  }

  /** The workers run: what the path carries can be found out. */
  start(): void {
    this.#started = true
    this.#followPath()
  }

  get pathMtu(): PathMtu | undefined {
    return this.#pathMtu
  }

  /**
   * Finds it, waiting while the name service does not answer, and saying so.
   * @param signal ends the wait, but not a look-up that is under way: nothing can
   * @throws UserError where it cannot be found or reached; the signal's reason
   */
  async find(signal: AbortSignal): Promise<void> {
    const discovery = this.#discovery
    if (discovery === undefined) return
    const { host } = this
    signal.throwIfAborted()
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    let said = false
    const say = () => {
      if (!said) {
        this.#context.log.warn({ host }, `waiting for DNS, which does not answer, to resolve ${host}`)
      }
      said = true
    }
    const impatience = setTimeout(say, DNS_PATIENCE_MS)
    try {
      for (;;) {
        try {
          const [first] = await Promise.race([discovery.locate(), aborted])
          this.#locatedMs = performance.now()
          if (!this.#removed) this.#moveTo(first)
          return
        } catch (error) {
          signal.throwIfAborted()
          if (error instanceof UserError) throw error
          const { code } = error as NodeJS.ErrnoException
          if (code !== 'EAI_AGAIN') {
            throw new UserError(
              `the host name "${host}" does not resolve (${code}); check its spelling and this host's DNS`,
            )
          }
          say()
        }
        await sleep(DNS_RETRY_MS, undefined, { signal })
      }
    } finally {
      clearTimeout(impatience)
    }
  }

  /** To be called once a second. @throws KernelError from rtnetlink */
  tick(): void {
    const traffic = this.#traffic()
    const before = this.#life.state
    const { hello, locate } = this.#life.tick(traffic)
    if (hello) this.#greet()
    this.#tellChange(before)
    this.followUnderlay()
    this.#tellRuns()
    if (traffic.sentFrames !== this.#sent) this.#pathMtu?.traffic()
    this.#sent = traffic.sentFrames
    this.#limit()
    if (this.#discovery === undefined) return
    const { refreshMs } = this.#discovery
    const due = refreshMs !== undefined && traffic.nowMs - this.#locatedMs >= refreshMs
    const lost = this.#endpoint === undefined && traffic.nowMs - this.#locatedMs >= DNS_RETRY_MS
    if (due || locate || lost) void this.#findAgain(locate)
  }

  /** It has sent a control frame of `bytes`. */
  said(message: ControlMessage, bytes: number): void {
    const { type, token } = message
    const before = this.#life.state
    const nowMs = performance.now()
    if (type === 'hello' || type === 'probe') this.#life.asked(nowMs)
    if (type === 'hello_ack' && token === this.#helloToken) this.#life.answered(nowMs)
    this.#tellChange(before)
    const { sizeBytes } = message
    if (type === 'probe_ack')
      this.#pathMtu?.answered({ ...message, sizeBytes: sizeBytes + this.#sealedBytes })
    else this.#pathMtu?.heard(bytes + this.#sealedBytes)
  }

  /** Follows what ICMP has said of the path to it. */
  takeHint(): void {
    const hint = this.#context.limits.takeHint(this.index)
    if (hint !== undefined) this.#pathMtu?.hint(hint)
  }

  #greet(): void {
    if (this.#endpoint === undefined) return
    this.#helloToken = newToken()
    this.#context.send(this.index, this.#endpoint, { type: 'hello', token: this.#helloToken, sizeBytes: 0 })
  }

  get state(): PeerState {
    return this.#life.state
  }

  /** It is no peer any more; its row is not free yet for another (peer-rows.ts). */
  remove(): void {
    this.#removed = true
    this.#pathMtu?.close()
    this.#context.privateSide?.remove(this.index)
    this.#context.table.clear(this.index)
    this.#context.forget(this.index)
  }

  status(): PeerStatus {
    const counts = sumPeerCounters(this.index, ...this.#context.counters)
    const since = (name: keyof PeerCounts) => counts[name] - this.#base[name]
    const { addresses, prefixes } = this.settings
    return {
      name: this.name,
      host: this.host,
      endpoint: this.#endpoint === undefined ? null : formatEndpoint(this.#endpoint),
      state: this.state,
      heard_s: this.#life.heardMs === undefined ? null : (performance.now() - this.#life.heardMs) / 1000,
      keepalives: this.#life.answersHello ?? null,
      underlay:
        this.#underlay === undefined
          ? null
          : { interface: this.#underlay.interface ?? null, mtu_bytes: this.#underlay.mtuBytes },
      mtu_bytes: this.mtuBytes ?? null,
      carried_mtu_bytes: this.carriedMtuBytes ?? null,
      path_mtu: this.#pathMtu?.status() ?? null,
      takes_runs: this.#context.limits.takesRuns(this.index),
      privacy: this.#context.privateSide?.status(this.index) ?? null,
      overlay: [...addresses, ...prefixes.map(({ address, prefixLength }) => `${address}/${prefixLength}`)],
      outbound: {
        frames: since('sentFrames'),
        bytes: since('sentBytes'),
        dropped: since('droppedOutbound'),
      },
      inbound: {
        frames: since('receivedFrames'),
        bytes: since('receivedBytes'),
        dropped: since('droppedInbound'),
      },
    }
  }

  #tellChange(before: PeerState): void {
    const { state } = this
    if (state === before) return
    const { name } = this
    const fields = { peer: name, state, before }
    if (state === 'down') {
      this.#context.forget(this.index)
      this.#context.log.warn(fields, `${name} is down: it answers no more`)
    } else if (state === 'silent') this.#context.log.info(fields, `${name} is silent`)
    else this.#context.log.info(fields, `${name} ${before === 'new' ? 'is heard' : 'is heard again'}`)
  }

  /** Once of each way that takes no runs of datagrams. */
  #tellRuns(): void {
    const { limits, log } = this.#context
    const takesRuns = limits.takesRuns(this.index)
    if (!takesRuns && this.#takesRuns) {
      log.warn(
        { peer: this.name, offload: 'udp_segment' },
        `the kernel refuses ${OFFLOAD_MEANING.udp_segment} on the way to ${this.name}; carrying on without, slower`,
      )
    }
    this.#takesRuns = takesRuns
  }

  #traffic() {
    const counts = sumPeerCounters(this.index, ...this.#context.counters)
    const receivedFrames = counts.receivedFrames + counts.receivedKeepalives
    return { nowMs: performance.now(), sentFrames: counts.sentFrames, receivedFrames }
  }

  /** @throws UserError where it cannot be sent to */
  #moveTo(endpoint: Endpoint): void {
    const { settings, socket } = this.#context
    const { host } = this
    refuseLoop(settings, host, endpoint)
    const other = this.#context.nameAt(endpoint)
    if (other !== undefined && other !== this.name) {
      throw new UserError(
        `${host} is at ${formatEndpoint(endpoint)}, where the peer ${other} is already; give each an endpoint of its own`,
      )
    }
    const sockaddr = encode(socket, endpoint)
    this.#settle(endpoint, sockaddr, false)
    this.#life.moved()
    this.#context.privateSide?.located(this.index, sockaddr)
    this.#followPath()
  }

  /** It has been heard, authentically, from somewhere else: that is where it is now. */
  roamTo(endpoint: Endpoint, sockaddr: Uint8Array): void {
    const { log } = this.#context
    const before = this.#endpoint
    // The zone of a link-local address may be a name there and a number here.
    if (before !== undefined && (same(before, endpoint) || this.#isAt(before, sockaddr))) return
    this.#settle(endpoint, sockaddr, true)
    this.#followPath()
    const text = formatEndpoint(endpoint)
    log.info(
      { peer: this.name, remote: text },
      before === undefined ? `${this.name} is at ${text}` : `${this.name} has moved to ${text}`,
    )
  }

  /** That is where it is now, and what was known of the way to it holds no more. */
  #settle(endpoint: Endpoint, sockaddr: Uint8Array, roamed: boolean): void {
    const { netlink, table, limits } = this.#context
    table.setAddress(this.index, sockaddr)
    this.#endpoint = endpoint
    this.#roamed = roamed
    this.#underlay = underlayTo(netlink, endpoint.address)
    limits.allowRuns(this.index)
    this.#pathMtu?.close()
    this.#pathMtu = undefined
  }

  #isAt(endpoint: Endpoint, sockaddr: Uint8Array): boolean {
    const bytes = encode(this.#context.socket, endpoint)
    return Buffer.from(bytes).equals(sockaddr.subarray(0, bytes.length))
  }

  /** Finds out what the path carries, from now on. */
  #followPath(): void {
    const endpoint = this.#endpoint
    if (endpoint === undefined || this.#underlay?.interface === undefined) return
    if (!this.#started || this.#removed || this.#pathMtu !== undefined) return
    const { send, sendWhole, onMtu } = this.#context
    this.#pathMtu = new PathMtu({
      family: familyOf(endpoint.address),
      address: endpoint.address,
      ceilingBytes: this.#underlay.mtuBytes,
      refreshMs: this.#context.settings.mtu_refresh * 1000,
      send: (message, bytes) => {
        if (bytes !== undefined) return sendWhole(this.index, endpoint, message, bytes - this.#sealedBytes)
        send(this.index, endpoint, message)
        return true
      },
      onChange: () => {
        this.#limit()
        onMtu()
      },
    })
  }

  /** Tells the workers what the path carries, and a person where that is too little. */
  #limit(): void {
    const path = this.#pathMtu
    const input = this.#mtuInput()
    if (path === undefined || input === undefined) return
    const { limits, settings } = this.#context
    if (path.how === 'assumed') {
      limits.set(this.index, 0, 0)
      return
    }
    const family = familyOf(input.remoteAddress)
    const wholeBytes = path.mtuBytes - headersBytes(family) - this.#sealedBytes
    const carried = carriedMtuBytes({ ...input, wanted: 'auto' })
    let fragmentedBytes = 0
    if (input.overlayHasIpv6 && carried < IPV6_MIN_MTU_BYTES && this.#mayFragment(path.mtuBytes))
      fragmentedBytes = settings.mode === 'tap' ? maxFrameBytes(IPV6_MIN_MTU_BYTES) : IPV6_MIN_MTU_BYTES
    limits.set(this.index, wholeBytes, fragmentedBytes)
    this.#tellNarrow(path.mtuBytes, carried, fragmentedBytes > 0)
  }

  /** Whether this host can fragment what goes there: IPv6 only to what its cache knows of the path. */
  #mayFragment(pathBytes: number): boolean {
    if (this.#endpoint === undefined) return false
    const { address } = this.#endpoint
    if (familyOf(address) === 'ipv4') return true
    const known = kernelPathMtu('ipv6', address)
    return known !== undefined && known <= pathBytes
  }

  /** Once for each thing that is too much for the path. */
  #tellNarrow(pathBytes: number, carried: number, fragments: boolean): void {
    const { settings, log } = this.#context
    const { name } = this
    const ipv6 = settings.local.some(({ family }) => family === 'ipv6') && carried < IPV6_MIN_MTU_BYTES
    const pinned = typeof settings.mtu === 'number' && settings.mtu > carried
    const what = ipv6 ? `ipv6 ${fragments}` : pinned ? `pinned ${carried}` : undefined
    if (what === undefined) this.#narrow.clear()
    if (what === undefined || this.#narrow.has(what)) return
    this.#narrow.add(what)
    const fields = { peer: name, path_mtu_bytes: pathBytes, carried_mtu_bytes: carried }
    if (ipv6) {
      const then = fragments
        ? 'what is longer is sent in fragments'
        : 'what is longer is dropped, for this host does not learn by ICMPv6 that it is to be fragmented'
      log.warn(
        fields,
        `the path to ${name} carries an MTU of ${carried}, and IPv6 needs ${IPV6_MIN_MTU_BYTES}: ${then}`,
      )
    } else if (pinned) {
      log.warn(
        fields,
        `the path to ${name} carries an MTU of ${carried}, less than the ${settings.mtu} of --mtu: longer frames do not pass; give ${carried} or auto`,
      )
    }
  }

  /** Looks at the way there, which may change at any time, and its interface's MTU. */
  followUnderlay(): void {
    const { log, netlink, socket, table } = this.#context
    if (this.#endpoint === undefined || this.#underlay === undefined) return
    const { address } = this.#endpoint
    const { interface: before, gateway } = this.#underlay
    this.#underlay = underlayTo(netlink, address)
    const now = this.#underlay.interface
    if (now !== undefined && this.#pathMtu === undefined) this.#followPath()
    else if (now !== undefined) {
      this.#pathMtu?.setCeiling(this.#underlay.mtuBytes)
      if (now !== before || gateway !== this.#underlay.gateway) this.#pathMtu?.refresh()
    }
    if (now !== before) {
      this.#context.limits.allowRuns(this.index)
      log.info(
        { peer: this.name, interface: now ?? null, before: before ?? null },
        now === undefined
          ? `there is no route to ${address} any more; carrying on, and looking again every second`
          : `the route to ${address} is by ${now}`,
      )
    }
    // A zone's interface may have been made anew, and have another index.
    if (now !== undefined && address.includes('%'))
      table.setAddress(this.index, encode(socket, this.#endpoint))
  }

  async #findAgain(silent: boolean): Promise<void> {
    const discovery = this.#discovery
    if (this.#locating || discovery === undefined || (this.#roamed && !silent)) return
    this.#locating = true
    const { log } = this.#context
    const { host } = this
    try {
      const candidates = await discovery.locate()
      const before = this.#endpoint
      const next = chooseEndpoint(candidates, before, silent)
      if (this.#removed || (before !== undefined && same(next, before))) return
      this.#moveTo(next)
      this.#trouble = undefined
      const text = formatEndpoint(next)
      log.info(
        { peer: this.name, remote: text },
        before === undefined ? `${host} is at ${text}` : `${host} has moved to ${text}`,
      )
    } catch (error) {
      if (this.#endpoint !== undefined && !silent) return
      const { code, message } = error as NodeJS.ErrnoException
      const [state, then] =
        this.#endpoint === undefined
          ? ['has not been found', 'trying on']
          : ['is silent', `keeping ${this.#endpoint.address}`]
      const why = error instanceof UserError ? message : `${host} ${state} and does not resolve (${code})`
      if (!silent && this.#trouble === why) return
      this.#trouble = why
      log.warn({ peer: this.name, host }, `${why}; ${then}`)
    } finally {
      this.#locating = false
      this.#locatedMs = performance.now()
    }
  }
}

function same(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port
}

function encode(socket: UdpSocket, remote: Endpoint): Uint8Array {
  try {
    return encodeSockaddr(socket.family, remote)
  } catch (error) {
    throw new UserError(`the remote cannot be reached: ${(error as Error).message}; check its address`)
  }
}

/** What the settings alone could tell of an address holds for what a name resolves to as well. */
function refuseLoop({ local }: Settings, host: string, { address }: Endpoint): void {
  const inside = local.find((it) => contains(it, address))
  if (inside === undefined) return
  throw new UserError(
    `${host} resolves to ${address}, which lies inside the overlay network ${inside.address}/${inside.prefixLength}; choose another overlay network`,
  )
}

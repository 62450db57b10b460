import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { contains, type PeerSettings, type Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import type { Netlink } from '../../linux/netlink.js'
import { kernelPathMtu } from '../../linux/probe-socket.js'
import { decodeSockaddr, type Endpoint } from '../../linux/sockaddr.js'
import type { UdpSocket } from '../../linux/udp.js'
import { OFFLOAD_MEANING } from '../../memory/offloads.js'
import type { PathLimits } from '../../memory/path-limits.js'
import { type PeerCounts, sumPeerCounters } from '../../memory/peer-counters.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { type ControlMessage, controlFrameBytes } from '../../wire/control.js'
import { maxFrameBytes } from '../../wire/ethernet.js'
import { IPV6_MIN_MTU_BYTES } from '../../wire/ip.js'
import { sealedBytes } from '../../wire/overhead.js'
import { INITIATION } from '../../wire/wireguard.js'
import { newToken } from '../control-channel.js'
import type { Faults } from '../faults.js'
import { PathFollower } from '../path-mtu/path-follower.js'
import type { PathMtu } from '../path-mtu/path-mtu.js'
import { headersBytes } from '../path-mtu/sizes.js'
import type { PrivateSide } from '../private/private-side.js'
import { Seldom } from '../seldom.js'
import type { PeerStatus } from '../status.js'
import { chooseEndpoint, type Discovery, discoveryOf } from './discovery.js'
import { formatEndpoint } from './endpoint.js'
import { describeRefusal, type Refusal } from './endpoint-refusal.js'
import { PeerLife, type PeerState } from './liveness.js'
import { isRefusal, type Move, PeerEndpoint } from './locator.js'
import { carriedMtuBytes, type DeviceMtuInput, deviceMtuBytes, familyOf, type Underlay } from './underlay.js'

const DNS_RETRY_MS = 2_000

/** If a DNS lookup takes longer than this, we log that we are waiting. */
const DNS_PATIENCE_MS = 1_000

/** The least time between two log lines about moves of a peer, or about refused endpoints. */
const SAY_MS = 10_000

/** How many refused endpoints we remember as logged. */
const MAX_REFUSED = 16

/** What a peer needs from the tunnel. */
export interface PeerContext {
  readonly settings: Settings
  readonly socket: UdpSocket
  readonly netlink: Netlink
  readonly table: PeerTable
  /** The workers' blocks of peer counters. */
  readonly counters: readonly Float64Array[]
  readonly log: Logger
  readonly faults: Faults
  readonly limits: PathLimits
  /** Sends a control frame to the peer of a row. Returns 0 or an errno. */
  send(row: number, to: Endpoint, message: ControlMessage): number
  /** Sends a control frame of `bytes` bytes in one datagram. Returns false if that is not certain. */
  sendWhole(row: number, to: Endpoint, message: ControlMessage, bytes: number): boolean
  /** Called when {@link Peer.mtuBytes} may have changed. */
  onMtu(): void
  /** Called when nothing that was learnt from the peer of this row is valid any more. */
  forget(row: number): void
  /** Whether the switch has learnt this MAC address behind a peer. */
  isBehindPeer(mac: Uint8Array): boolean
  /** Undefined if the tunnel is not private. */
  readonly privateSide: PrivateSide | undefined
  /** The tunnel's own device; undefined until it exists. */
  device(): { readonly index: number; readonly name: string } | undefined
  /** The name of another peer that has this endpoint already. */
  nameAt(endpoint: Endpoint): string | undefined
}

/** One peer, as main sees it: its endpoint, the path to it, and whether we hear it. */
export class Peer {
  /** Its row in the peer table. */
  readonly row: number
  readonly #context: PeerContext
  #settings: PeerSettings
  /** Undefined if the settings give no endpoint. The peer then contacts us. */
  #discovery: Discovery | undefined
  /** The counters of the row when this peer took it. The row may have belonged to another peer before. */
  readonly #base: PeerCounts
  readonly #place: PeerEndpoint
  /** It searches only when the workers run, because no answer can come before. */
  readonly #path: PathFollower
  #started = false
  #sent = 0
  /** What we have reported as too much for the path, since the path was last wide enough. */
  readonly #narrow = new Set<string>()
  #handshakeFits = true
  readonly #life: PeerLife
  /** The endpoint is where the peer was heard from, not where its settings say. */
  #roamed = false
  #locatedMs = 0
  /** The token of the last keepalive. The answer carries the same token. */
  #helloToken = 0n
  #locating = false
  #removed = false
  /** What we have logged last about runs of datagrams. */
  #takesRuns = true
  /** The last trouble that was logged; undefined when it is over. */
  #trouble: string | undefined
  readonly #moves = new Seldom(SAY_MS)
  readonly #refusals = new Seldom(SAY_MS)
  readonly #refused = new Set<string>()

  constructor(index: number, settings: PeerSettings, context: PeerContext) {
    this.row = index
    this.#settings = settings
    this.#context = context
    this.#place = new PeerEndpoint(index, { ...context, deviceIndex: () => context.device()?.index })
    this.#path = this.#makePath()
    this.#discovery = this.#discover()
    this.#base = sumPeerCounters(index, ...context.counters)
    this.#life = new PeerLife(this.#traffic())
    context.privateSide?.add(index, settings)
  }

  /** Its present settings. */
  get settings(): PeerSettings {
    return this.#settings
  }

  get name(): string {
    return this.settings.name
  }

  /** Its name or address, as the settings give it. */
  get host(): string {
    return this.settings.endpoint?.host ?? this.name
  }

  /** Undefined until it is known. */
  get endpoint(): Endpoint | undefined {
    return this.#place.endpoint
  }

  /** The endpoint as a socket address. */
  get sockaddr(): Uint8Array | undefined {
    return this.#place.sockaddr
  }

  /** How datagrams get to the peer; undefined until its endpoint is known. */
  get underlay(): Underlay | undefined {
    return this.#place.underlay
  }

  /** The greatest MTU that this peer allows for the device; undefined if there is no route to the peer. */
  get mtuBytes(): number | undefined {
    const input = this.#mtuInput()
    return input === undefined ? undefined : deviceMtuBytes(input)
  }

  /** The overlay MTU that the path carries in unfragmented datagrams, whatever MTU the settings ask for. */
  get carriedMtuBytes(): number | undefined {
    const input = this.#mtuInput()
    return input === undefined ? undefined : carriedMtuBytes({ ...input, wanted: 'auto' })
  }

  /** The bytes that sealing adds to a frame. */
  get #sealedBytes(): number {
    const { privateSide, settings } = this.#context
    return privateSide === undefined ? 0 : sealedBytes(settings.mode)
  }

  /** The size in bytes of the IP packet that carries the shortest control frame to this endpoint. */
  #leastBytes({ address }: Endpoint): number {
    return (
      headersBytes(familyOf(address)) + this.#sealedBytes + controlFrameBytes(this.#context.settings.mode)
    )
  }

  #mtuInput(): DeviceMtuInput | undefined {
    const { endpoint, underlay } = this
    if (endpoint === undefined || underlay === undefined) return undefined
    const { mode, mtu, vlan, local } = this.#context.settings
    return {
      mode,
      vlan,
      remoteAddress: endpoint.address,
      underlayMtuBytes:
        this.pathMtu?.mtuBytes ??
        Math.min(underlay.mtuBytes, this.#path.knownBytes ?? Number.POSITIVE_INFINITY),
      wanted: mtu,
      sealed: this.#context.privateSide !== undefined,
      overlayHasIpv6: local.some(({ family }) => family === 'ipv6'),
    }
  }

  /** The workers run now, so the path MTU can be searched. */
  start(): void {
    this.#started = true
    this.#followPath()
  }

  get pathMtu(): PathMtu | undefined {
    return this.#path.pathMtu
  }

  /**
   * Finds the peer's endpoint. Waits, and logs that, if DNS does not answer.
   * @param signal aborts the wait; a lookup that is running cannot be aborted
   * @throws UserError if the peer cannot be found or reached; the signal's reason
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
    const impatience = setTimeout(() => this.#context.faults.run('locate', say, host), DNS_PATIENCE_MS)
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
          // This error is not from the resolver.
          if (code === undefined) throw error
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

  /** Must be called once a second. @throws KernelError from rtnetlink */
  tick(): void {
    const traffic = this.#traffic()
    const before = this.#life.state
    const { hello, locate } = this.#life.tick(traffic)
    if (hello) this.#greet()
    this.#tellChange(before)
    this.followUnderlay()
    this.#tellRuns()
    if (traffic.sentFrames !== this.#sent) this.pathMtu?.traffic()
    this.#sent = traffic.sentFrames
    this.#limit()
    this.#tellMoves(this.#moves.due(traffic.nowMs))
    if (this.#discovery === undefined) return
    const { refreshMs } = this.#discovery
    const due = refreshMs !== undefined && traffic.nowMs - this.#locatedMs >= refreshMs
    const lost = this.endpoint === undefined && traffic.nowMs - this.#locatedMs >= DNS_RETRY_MS
    if (due || locate || lost) this.#findAgain(locate)
  }

  /** The peer has sent a control frame of `bytes` bytes. */
  said(message: ControlMessage, bytes: number): void {
    const { type, token } = message
    const before = this.#life.state
    const nowMs = performance.now()
    if (type === 'hello' || type === 'probe') this.#life.asked(nowMs)
    if (type === 'hello_ack' && token === this.#helloToken) this.#life.answered(nowMs)
    this.#tellChange(before)
    const { sizeBytes } = message
    if (type === 'probe_ack') this.pathMtu?.answered({ ...message, sizeBytes: sizeBytes + this.#sealedBytes })
    else this.pathMtu?.heard(bytes + this.#sealedBytes)
  }

  #greet(): void {
    const { endpoint } = this
    if (endpoint === undefined) return
    this.#helloToken = newToken()
    this.#context.send(this.row, endpoint, { type: 'hello', token: this.#helloToken, sizeBytes: 0 })
  }

  get state(): PeerState {
    return this.#life.state
  }

  /** Removes the peer. Its row is not free yet for another peer; see peer/rows.ts. */
  remove(): void {
    this.#removed = true
    this.#path.close()
    this.#context.privateSide?.remove(this.row)
    this.#context.table.clear(this.row)
    this.#context.forget(this.row)
    this.settings.preshared_key_file?.wipe()
  }

  /** Changes the settings of the same peer. What we know of it stays; its endpoint, until a new one is found. */
  change(settings: PeerSettings): void {
    const before = this.settings
    this.#settings = settings
    this.#context.privateSide?.change(this.row, settings)
    before.preshared_key_file?.wipe()
    if (isDeepStrictEqual(settings.endpoint, before.endpoint)) return
    this.#discovery = this.#discover()
    this.#roamed = false
    this.#findAgain(false, true)
  }

  status(): PeerStatus {
    const counts = sumPeerCounters(this.row, ...this.#context.counters)
    const since = (name: keyof PeerCounts) => counts[name] - this.#base[name]
    const { addresses, prefixes } = this.settings
    return {
      name: this.name,
      host: this.host,
      endpoint: this.endpoint === undefined ? null : formatEndpoint(this.endpoint),
      state: this.state,
      heard_s: this.#life.heardMs === undefined ? null : (performance.now() - this.#life.heardMs) / 1000,
      keepalives: this.#life.answersHello ?? null,
      underlay:
        this.underlay === undefined
          ? null
          : { interface: this.underlay.interface ?? null, mtu_bytes: this.underlay.mtuBytes },
      mtu_bytes: this.mtuBytes ?? null,
      carried_mtu_bytes: this.carriedMtuBytes ?? null,
      path_mtu: this.pathMtu?.status() ?? null,
      takes_runs: this.#context.limits.takesRuns(this.row),
      privacy: this.#context.privateSide?.status(this.row) ?? null,
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
      this.#context.forget(this.row)
      this.#context.log.warn(fields, `${name} is down: it answers no more`)
    } else if (state === 'silent') this.#context.log.info(fields, `${name} is silent`)
    else this.#context.log.info(fields, `${name} ${before === 'new' ? 'is heard' : 'is heard again'}`)
  }

  /** Logs once for each path that the kernel cannot send runs of datagrams on it. */
  #tellRuns(): void {
    const { limits, log } = this.#context
    const takesRuns = limits.takesRuns(this.row)
    if (!takesRuns && this.#takesRuns) {
      log.warn(
        { peer: this.name, offload: 'udp_segment' },
        `the kernel refuses ${OFFLOAD_MEANING.udp_segment} on the way to ${this.name}; carrying on without, slower`,
      )
    }
    this.#takesRuns = takesRuns
  }

  #traffic() {
    const counts = sumPeerCounters(this.row, ...this.#context.counters)
    const receivedFrames = counts.receivedFrames + counts.receivedKeepalives
    return { nowMs: performance.now(), sentFrames: counts.sentFrames, receivedFrames }
  }

  #discover(): Discovery | undefined {
    const { endpoint } = this.settings
    return endpoint === undefined ? undefined : discoveryOf(endpoint, this.#context.socket.family)
  }

  /** @throws UserError if no peer can be at this endpoint, or if we cannot send to it */
  #moveTo(endpoint: Endpoint): void {
    const { settings, privateSide, device } = this.#context
    const { host } = this
    refuseLoop(settings, host, endpoint)
    // In a private tunnel the keys tell the peers apart. In a plain tunnel only the endpoint does.
    const other = privateSide === undefined ? this.#context.nameAt(endpoint) : undefined
    if (other !== undefined && other !== this.name) {
      throw new UserError(
        `${host} is at ${formatEndpoint(endpoint)}, where the peer ${other} is already; give each an endpoint of its own`,
      )
    }
    const move = this.#place.locate(endpoint)
    if (isRefusal(move)) {
      const { what, advice } = describeRefusal(move, device()?.name)
      throw new UserError(`${host} is at ${formatEndpoint(endpoint)}, which is ${what}; ${advice}`)
    }
    this.#roamed = false
    this.#life.moved()
    this.#otherPath(move)
    privateSide?.located(this.row)
  }

  /**
   * An authentic message has come from `sockaddr`, so the peer is there now.
   * @param sockaddr the whole socket address; it must not change afterwards
   * @returns false if no peer can be there; the peer keeps its endpoint then
   */
  roamTo(sockaddr: Uint8Array): boolean {
    const before = this.endpoint
    const nowMs = performance.now()
    const move = this.#place.roam(sockaddr, nowMs)
    if (isRefusal(move)) {
      this.#tellRefused(decodeSockaddr(sockaddr), move, nowMs)
      return false
    }
    if (move === 'none') return true
    this.#roamed = true
    this.#refused.clear()
    this.#otherPath(move)
    this.#tellMoves(this.#moves.happened(nowMs), before === undefined)
    return true
  }

  /** Discards what is known of the old path, unless only the port has changed. */
  #otherPath(move: Move): void {
    if (move !== 'address') return
    this.#context.limits.allowRuns(this.row)
    this.#path.leave()
    this.#followPath()
    this.#limit()
  }

  /** @param times the number of moves since the last log line; undefined if it is too early to log */
  #tellMoves(times: number | undefined, found = false): void {
    const { endpoint, name } = this
    if (times === undefined || endpoint === undefined) return
    const text = formatEndpoint(endpoint)
    const fields = { peer: name, remote: text }
    const { log } = this.#context
    if (times > 1) log.info({ ...fields, moves: times }, `${name} has moved ${times} times, now to ${text}`)
    else log.info(fields, `${name} ${found ? 'is at' : 'has moved to'} ${text}`)
  }

  /** Logs each refused endpoint once, up to {@link MAX_REFUSED}, and not too often. */
  #tellRefused(endpoint: Endpoint, refusal: Refusal, nowMs: number): void {
    const { log, device } = this.#context
    const place = `${refusal} ${endpoint.address}`
    if (this.#refused.has(place) || this.#refused.size === MAX_REFUSED) return
    if (this.#refusals.happened(nowMs) === undefined) return
    this.#refused.add(place)
    const remote = formatEndpoint(endpoint)
    const { what, advice } = describeRefusal(refusal, device()?.name)
    const then =
      this.endpoint === undefined ? 'it is not answered' : `it stays at ${formatEndpoint(this.endpoint)}`
    log.warn(
      { peer: this.name, remote, refused: refusal },
      `${this.name} was heard from ${remote}, which is ${what}, so ${then}; ${advice}`,
    )
  }

  #makePath(): PathFollower {
    const { send, sendWhole, onMtu, settings, faults } = this.#context
    return new PathFollower({
      refreshMs: settings.mtu_refresh * 1000,
      onFault: (error) => faults.take('path_mtu', error, this.name),
      send: (message, bytes) => {
        const { endpoint } = this
        if (endpoint === undefined) return false
        if (bytes !== undefined) return sendWhole(this.row, endpoint, message, bytes - this.#sealedBytes)
        send(this.row, endpoint, message)
        return true
      },
      onChange: () => {
        this.#limit()
        onMtu()
      },
    })
  }

  /** Starts the search of the path MTU. */
  #followPath(): void {
    const { endpoint, underlay } = this
    if (endpoint === undefined || underlay?.interface === undefined) return
    if (!this.#started || this.#removed) return
    const { address } = endpoint
    const ceilingBytes = underlay.mtuBytes
    const path = { family: familyOf(address), address, ceilingBytes, leastBytes: this.#leastBytes(endpoint) }
    this.#path.follow(path, performance.now())
  }

  /** Logs once that the interface is too narrow even for a handshake. Then nothing else fits either. */
  #tellNoHandshake(): void {
    const { privateSide, log } = this.#context
    const { endpoint, underlay } = this
    if (privateSide === undefined || endpoint === undefined || underlay === undefined) return
    const { mtuBytes, interface: egress } = underlay
    const handshakeBytes = headersBytes(familyOf(endpoint.address)) + INITIATION.size
    const narrow = egress !== undefined && mtuBytes < handshakeBytes
    if (narrow && !this.#handshakeFits) return
    this.#handshakeFits = !narrow
    if (!narrow) return
    log.warn(
      { peer: this.name, interface: egress, mtu_bytes: mtuBytes, needed_bytes: handshakeBytes },
      `${egress}, the way to ${this.name}, takes packets of ${mtuBytes} bytes, and a handshake is one of ${handshakeBytes}: give it a greater MTU`,
    )
  }

  /** Tells the workers what the path carries, and logs it if that is too little. */
  #limit(): void {
    this.#tellNoHandshake()
    const pathBytes = this.#path.knownBytes
    const input = this.#mtuInput()
    if (input === undefined) return
    const { limits, settings } = this.#context
    if (pathBytes === undefined) {
      limits.set(this.row, 0, 0)
      return
    }
    const family = familyOf(input.remoteAddress)
    // 0 would mean no limit.
    const wholeBytes = Math.max(1, pathBytes - headersBytes(family) - this.#sealedBytes)
    const carried = carriedMtuBytes({ ...input, wanted: 'auto' })
    let fragmentedBytes = 0
    if (input.overlayHasIpv6 && carried < IPV6_MIN_MTU_BYTES && this.#mayFragment(pathBytes))
      fragmentedBytes = settings.mode === 'tap' ? maxFrameBytes(IPV6_MIN_MTU_BYTES) : IPV6_MIN_MTU_BYTES
    limits.set(this.row, wholeBytes, fragmentedBytes)
    this.#tellNarrow(pathBytes, carried, fragmentedBytes > 0)
  }

  /**
   * Whether this host can fragment datagrams to the peer. For IPv6, it uses only what its route cache knows of
   * the path.
   */
  #mayFragment(pathBytes: number): boolean {
    if (this.endpoint === undefined) return false
    const { address } = this.endpoint
    if (familyOf(address) === 'ipv4') return true
    const known = kernelPathMtu('ipv6', address)
    return known !== undefined && known <= pathBytes
  }

  /** Logs once for each thing that is too much for the path. */
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

  /** Follows changes of the route to the peer, and of its interface's MTU. They can change at any time. */
  followUnderlay(): void {
    const { log, device } = this.#context
    const { endpoint, underlay } = this
    if (endpoint === undefined || underlay === undefined) return
    const { interface: before, gateway } = underlay
    this.#place.follow()
    const { interface: now, gateway: gatewayNow, mtuBytes } = this.#place.underlay ?? underlay
    if (now !== undefined && this.pathMtu === undefined) this.#followPath()
    else if (now !== undefined) {
      this.pathMtu?.setCeiling(mtuBytes)
      if (now !== before || gateway !== gatewayNow) this.pathMtu?.refresh()
    }
    if (now === before) return
    this.#context.limits.allowRuns(this.row)
    const { address } = endpoint
    const fields = { peer: this.name, interface: now ?? null, before: before ?? null }
    if (now !== undefined) log.info(fields, `the route to ${address} is by ${now}`)
    else if (this.#place.isInside)
      log.warn(
        fields,
        `the route to ${address} is by ${device()?.name}, this tunnel itself, so nothing comes to ${this.name}; add a route to ${address} that goes outside the tunnel`,
      )
    else
      log.info(
        fields,
        `there is no route to ${address} any more; carrying on, and looking again every second`,
      )
  }

  /**
   * Looks for the peer's endpoint again, in the background.
   * @param silent whether nothing comes from the present endpoint
   * @param changed whether the settings give another endpoint than before
   */
  #findAgain(silent: boolean, changed = false): void {
    this.#locate(silent, changed).catch((error) => this.#context.faults.take('locate', error, this.name))
  }

  async #locate(silent: boolean, changed: boolean): Promise<void> {
    const discovery = this.#discovery
    if (this.#locating || discovery === undefined || (this.#roamed && !silent)) return
    this.#locating = true
    const { log } = this.#context
    const { host } = this
    try {
      const candidates = await discovery.locate()
      const before = this.endpoint
      const next = chooseEndpoint(candidates, before, silent)
      if (this.#removed || discovery !== this.#discovery) return
      if (before !== undefined && same(next, before)) return
      this.#moveTo(next)
      this.#trouble = undefined
      const text = formatEndpoint(next)
      log.info(
        { peer: this.name, remote: text },
        before === undefined ? `${host} is at ${text}` : `${host} has moved to ${text}`,
      )
    } catch (error) {
      if (discovery !== this.#discovery) return
      const { code, message } = error as NodeJS.ErrnoException
      // This error is not from the resolver, and a person cannot mend it.
      if (code === undefined && !(error instanceof UserError)) throw error
      if (this.endpoint !== undefined && !silent && !changed) return
      const [state, then] =
        this.endpoint === undefined
          ? ['has not been found', 'trying on']
          : [changed ? 'has another endpoint now' : 'is silent', `keeping ${this.endpoint.address}`]
      const why = error instanceof UserError ? message : `${host} ${state} and does not resolve (${code})`
      if (!silent && this.#trouble === why) return
      this.#trouble = why
      log.warn({ peer: this.name, host }, `${why}; ${then}`)
    } finally {
      this.#locating = false
      this.#locatedMs = performance.now()
      if (discovery !== this.#discovery && !this.#removed) this.#findAgain(false, true)
    }
  }
}

function same(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port
}

/**
 * Refuses a name that resolves to an address inside the overlay. For addresses, the check of the settings does
 * this.
 */
function refuseLoop({ local }: Settings, host: string, { address }: Endpoint): void {
  const inside = local.find((it) => contains(it, address))
  if (inside === undefined) return
  throw new UserError(
    `${host} resolves to ${address}, which lies inside the overlay network ${inside.address}/${inside.prefixLength}; choose another overlay network`,
  )
}

import { OFFLOAD_MEANING } from '../../memory/offloads.js'
import { type ControlMessage, controlFrameBytes } from '../../wire/control.js'
import { IPV6_MIN_MTU_BYTES } from '../../wire/ip.js'
import { RELAY_HEADER_BYTES } from '../../wire/relay.js'
import { PathFollower } from '../path-mtu/path-follower.js'
import type { PathMtu } from '../path-mtu/path-mtu.js'
import { randomFraction } from '../random.js'
import type { PeerContext } from './context.js'
import { Fragmenting } from './fragmenting.js'
import { type GoodWay, LoopWatch } from './loop-watch.js'
import { PathWarnings } from './path-warnings.js'
import type { Move, PeerEndpoint } from './peer-endpoint.js'
import { carriedMtuBytes, type DeviceMtuInput, deviceMtuBytes, familyOf, mayHaveIpv6 } from './underlay.js'

/** The path to one peer: the route, the path MTU, and what follows from them for the device and the workers. */
export class PeerPath {
  readonly #context: PeerContext
  readonly #peer: { readonly name: string; readonly row: number; readonly place: PeerEndpoint }
  readonly #place: PeerEndpoint
  /** It searches only when the workers run, because no answer can come before. */
  readonly #follower: PathFollower
  readonly #warnings: PathWarnings
  #loop = new LoopWatch()
  #fragmenting = new Fragmenting()
  #started = false
  #closed = false
  /** What we have logged last about runs of datagrams. */
  #takesRuns = true

  constructor(
    context: PeerContext,
    peer: { readonly name: string; readonly row: number; readonly place: PeerEndpoint },
  ) {
    this.#context = context
    this.#peer = peer
    this.#place = peer.place
    this.#warnings = new PathWarnings(context, peer)
    this.#follower = this.#makeFollower()
  }

  get pathMtu(): PathMtu | undefined {
    return this.#follower.pathMtu
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

  /** What the datagrams have in them before the message, if an introducer relays them. */
  get #relayBytes(): number {
    return this.#place.relay === undefined ? 0 : RELAY_HEADER_BYTES
  }

  /** The workers run now, so the path MTU can be searched. */
  start(): void {
    this.#started = true
    this.#search()
  }

  close(): void {
    this.#closed = true
    this.#follower.close()
  }

  /** The peer has another endpoint. What is known of the old path is discarded, unless only the port changed. */
  moved(move: Move): void {
    if (move !== 'address') return
    this.#context.tables.limits.allowRuns(this.#peer.row)
    this.#loop = new LoopWatch()
    this.#fragmenting = new Fragmenting()
    this.#follower.leave()
    this.#search()
    this.limit()
  }

  /** The peer has sent a control frame of `bytes` bytes. */
  said(message: ControlMessage, bytes: number): void {
    const { type, sizeBytes } = message
    // The search counts the bytes of datagrams' payloads, which have more in them than the frames.
    const moreBytes = this.#context.encap.leastBytes + this.#relayBytes
    if (type === 'probe_ack') {
      const tookMs = this.pathMtu?.answered({ ...message, sizeBytes: sizeBytes + moreBytes })
      if (tookMs !== undefined) this.#context.channel.roundTrips.took(this.#peer.row, tookMs)
    } else {
      // A long hello is somebody's ping, and no reason to search.
      const tellingBytes = type === 'hello' ? controlFrameBytes(this.#context.encap.mode) : bytes
      this.pathMtu?.heard(tellingBytes + moreBytes)
    }
    if (type === 'hello_ack') this.#loop.answered(this.#context.platform.clock.nowMs())
  }

  /**
   * Must be called once a second.
   * @param busy whether frames have gone to the peer since the last call
   * @throws KernelError from rtnetlink
   */
  tick(busy: boolean): void {
    this.follow()
    this.#tellRuns()
    if (busy) this.pathMtu?.traffic()
    this.limit()
    if (this.#fragmenting.takeReminder()) this.pathMtu?.refresh()
    const { endpoint } = this.#place
    const { channel } = this.#context
    // An answer shows that the loop is over.
    if (this.#loop.good !== undefined && endpoint !== undefined)
      channel.hello(this.#peer.row, channel.newToken())
  }

  /** Follows changes of the route to the peer, and of its interface's MTU. They can change at any time. */
  follow(): void {
    const { endpoint, underlay, inwards: inwardsBefore } = this.#place
    if (endpoint === undefined || underlay === undefined) return
    // The introducer that relays has another address, and nobody tells each peer that it relays for.
    if (this.#follower.address !== undefined && this.#follower.address !== endpoint.address)
      this.moved('address')
    const { interface: before, gateway } = underlay
    this.#place.follow()
    const good = this.#lookForLoop()
    const { inwards } = this.#place
    const { interface: now, gateway: gatewayNow, mtuBytes } = this.#place.underlay ?? underlay
    // Nothing comes back from a loop. A search there would find that nothing passes.
    if (inwards !== undefined && inwardsBefore === undefined) this.#follower.leave(good?.pathBytes)
    if (now !== undefined && this.pathMtu === undefined) this.#search()
    else if (now !== undefined) {
      this.pathMtu?.setCeiling(mtuBytes)
      if (now !== before || gateway !== gatewayNow) this.pathMtu?.rerouted()
    }
    if (now === before && inwards === inwardsBefore) return
    this.#context.tables.limits.allowRuns(this.#peer.row)
    this.limit()
    this.#tellRoute(endpoint.address, now, before)
  }

  /** Whether the way leads back into the tunnel through another tunnel. Returns what held before. */
  #lookForLoop(): GoodWay | undefined {
    const { platform, device } = this.#context
    const { underlay, inwards } = this.#place
    if (underlay === undefined) return undefined
    const good = this.#loop.look(platform.clock.nowMs(), {
      ...underlay,
      pathBytes: this.pathMtu?.mtuBytes ?? this.#follower.knownBytes ?? underlay.mtuBytes,
      deviceBytes: device.mtuBytes,
    })
    if (good !== undefined && inwards === undefined && underlay.interface !== undefined)
      this.#place.turnsInwards(underlay.interface, good.mtuBytes)
    return good
  }

  #tellRoute(address: string, now: string | undefined, before: string | undefined): void {
    const { log, device } = this.#context
    const { name } = this.#peer
    const { inwards } = this.#place
    const fields = { peer: name, interface: now ?? null, before: before ?? null }
    if (now !== undefined) log.info(fields, `the route to ${address} is by ${now}`)
    else if (inwards !== undefined)
      log.warn(
        { ...fields, loop: inwards },
        `the route to ${address} is by ${inwards}, ${inwards === device.name ? 'this tunnel itself' : `and what ${inwards} carries goes through ${device.name}, this tunnel itself`}, so nothing comes to ${name}; add a route to ${address} that goes outside the tunnel`,
      )
    else
      log.info(
        fields,
        `there is no route to ${address} any more; carrying on, and looking again every second`,
      )
  }

  #makeFollower(): PathFollower {
    const { channel, device, encap, settings, faults, platform } = this.#context
    const { row, name } = this.#peer
    return new PathFollower({
      clock: platform.clock,
      network: platform.network,
      random: () => randomFraction(platform),
      newToken: () => channel.newToken(),
      from: () => this.#place.from,
      refreshMs: settings.mtu_refresh * 1000,
      onFault: (error) => faults.take('path_mtu', error, name),
      send: (message, bytes) => {
        const { endpoint } = this.#place
        if (endpoint === undefined) return false
        if (bytes !== undefined)
          return channel.sendWhole(row, message, bytes - encap.leastBytes - this.#relayBytes)
        channel.send(row, message)
        return true
      },
      onChange: () => {
        this.limit()
        device.follow()
      },
    })
  }

  /** Starts the search of the path MTU. */
  #search(): void {
    const { endpoint, underlay } = this.#place
    if (endpoint === undefined || underlay?.interface === undefined) return
    if (!this.#started || this.#closed) return
    const { address } = endpoint
    const family = familyOf(address)
    const { encap } = this.#context
    const leastBytes = encap.packetBytes(controlFrameBytes(encap.mode), family) + this.#relayBytes
    this.#follower.follow({ family, address, ceilingBytes: underlay.mtuBytes, leastBytes })
  }

  #mtuInput(): DeviceMtuInput | undefined {
    const { endpoint, underlay } = this.#place
    if (endpoint === undefined || underlay === undefined) return undefined
    const { encap, settings } = this.#context
    const { mtu, vlan } = settings
    return {
      encap,
      vlan,
      remoteAddress: endpoint.address,
      underlayMtuBytes:
        (this.pathMtu?.mtuBytes ??
          Math.min(underlay.mtuBytes, this.#follower.knownBytes ?? Number.POSITIVE_INFINITY)) -
        this.#relayBytes,
      wanted: mtu,
      overlayHasIpv6: mayHaveIpv6(settings),
    }
  }

  /** Tells the workers what the path carries, and logs it if that is too little. */
  limit(): void {
    this.#warnings.tellNoHandshake()
    const pathBytes = this.#follower.knownBytes
    const input = this.#mtuInput()
    if (input === undefined) return
    const { device, encap, tables } = this.#context
    const { row } = this.#peer
    if (encap.vni !== undefined) tables.peers.setLacksSums(row, this.#place.underlay?.virtual === true)
    // What is sent into a loop comes back, and may become more each time.
    if (this.#place.inwards !== undefined) {
      tables.limits.block(row)
      return
    }
    if (pathBytes === undefined) {
      tables.limits.set(row, 0, 0)
      return
    }
    const family = familyOf(input.remoteAddress)
    // 0 would mean no limit.
    const wholeBytes = Math.max(1, encap.wholeFrameBytes(pathBytes - this.#relayBytes, family))
    const carried = carriedMtuBytes({ ...input, wanted: 'auto' })
    const holds = input.overlayHasIpv6 && carried < IPV6_MIN_MTU_BYTES
    const promises = device.mtuBytes > carried
    const fragments = (holds || promises) && this.#mayFragment(pathBytes)
    const fragmentedBytes = fragments && holds ? encap.frameBytes(IPV6_MIN_MTU_BYTES, true) : 0
    const unansweredBytes = fragments && promises ? encap.frameBytes(device.mtuBytes, true) : 0
    tables.limits.set(row, wholeBytes, fragmentedBytes, unansweredBytes)
    this.#warnings.tellNarrow(pathBytes, carried, fragmentedBytes > 0)
  }

  /** Whether this host can send datagrams to the peer in fragments. */
  #mayFragment(pathBytes: number): boolean {
    const { endpoint, from } = this.#place
    // An introducer relays no fragments.
    if (endpoint === undefined || this.#place.relay !== undefined) return false
    const { clock, network } = this.#context.platform
    const family = familyOf(endpoint.address)
    const knownBytes = family === 'ipv4' ? undefined : network.kernelPathMtu(family, endpoint.address, from)
    return this.#fragmenting.look(family, knownBytes, pathBytes, clock.nowMs())
  }

  /** Logs once for each path that the kernel cannot send runs of datagrams on it. */
  #tellRuns(): void {
    const { log, tables } = this.#context
    const { name, row } = this.#peer
    const takesRuns = tables.limits.takesRuns(row)
    if (!takesRuns && this.#takesRuns) {
      log.warn(
        { peer: name, offload: 'udp_segment' },
        `the kernel refuses ${OFFLOAD_MEANING.udp_segment} on the way to ${name}; carrying on without, slower`,
      )
    }
    this.#takesRuns = takesRuns
  }
}

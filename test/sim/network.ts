import { outerBytes } from '../../src/encap/encap.js'
import { EMSGSIZE, ENETUNREACH } from '../../src/linux/errno.js'
import type { Endpoint } from '../../src/linux/sockaddr.js'
import { Rates } from '../../src/rates.js'
import type { SimTime } from './clock.js'
import { fragmentsOf } from './fragments.js'
import type { SimNat } from './nat.js'
import type { SimRandom } from './random.js'
import type { SimPcpRouter } from './router.js'
import { GOOD_WAY, type Way } from './way.js'

/** What ICMP tells a host of a datagram that it sent. */
export interface SimIcmp {
  readonly kind: 'too_big' | 'port_unreachable'
  /** The port that the datagram was sent from, and where it was to go. */
  readonly port: number
  readonly destination: Endpoint
  /** Of `too_big`: what would pass. */
  readonly mtuBytes: number
  readonly from: string
}

/**
 * A host tells another one of closed ports once a second, and up to six times in a row, as Linux does (icmp_ratelimit
 * in ip-sysctl).
 */
const UNREACHABLE_PER_SECOND = 1
const UNREACHABLE_BURST = 6

/** A datagram as it leaves a host. */
export interface SimDatagram {
  readonly from: string
  /** Its source address, as it leaves the host. */
  readonly source: string
  readonly to: Endpoint
  readonly payload: Uint8Array
  /** The lengths of the IP packets that it leaves as: several if the host itself fragments it. */
  readonly packets: readonly number[]
}

export interface SendOptions {
  /** The source address, one of the host; by default its first of the family. */
  readonly from?: string | undefined
  /** Whether it goes in fragments where it is too long; otherwise don't-fragment is set. */
  readonly mayFragment?: boolean
  /** What the host knows of the path: over IPv6 only the host itself fragments, and to this length. */
  readonly pathMtuBytes?: number | undefined
}

/** Takes what comes to a port. */
export type Listener = (payload: Uint8Array, from: Endpoint, to: Endpoint) => void

/** A host's place in the network: its addresses, its interface, and who listens. */
export class SimAttachment {
  readonly name: string
  /** Behind this, or directly in the network. */
  nat: SimNat | undefined
  /** While this is true, the host neither hears nor answers anything. */
  asleep = false
  readonly listeners = new Map<number, Listener>()
  onIcmp: (icmp: SimIcmp) => void = () => {}
  /** What its router answers that is asked for a mapping; undefined if it does not know PCP. */
  router: SimPcpRouter | undefined
  /** Datagrams that it has sent. */
  sent = 0
  /** How often its addresses, its interface or its route have changed. */
  changes = 0
  #addresses: readonly string[]
  #mtuBytes = 1500
  #up = true

  constructor(name: string, addresses: readonly string[], nat?: SimNat) {
    this.name = name
    this.#addresses = [...addresses]
    this.nat = nat
  }

  /** It receives at all of them. It sends from the first of a family. */
  get addresses(): readonly string[] {
    return this.#addresses
  }

  set addresses(addresses: readonly string[]) {
    this.#addresses = [...addresses]
    this.changes++
  }

  /** Of the interface, in bytes. */
  get mtuBytes(): number {
    return this.#mtuBytes
  }

  set mtuBytes(bytes: number) {
    this.#mtuBytes = bytes
    this.changes++
  }

  /** Whether there is a route at all. */
  get up(): boolean {
    return this.#up
  }

  set up(up: boolean) {
    this.#up = up
    this.changes++
  }

  addressLike(address: string): string | undefined {
    return this.addresses.find((own) => isIpv6(own) === isIpv6(address))
  }
}

/** An IP network between hosts, in simulated time. What is lost and late is the same for the same seed. */
export class SimNetwork {
  readonly #time: SimTime
  readonly #random: SimRandom
  readonly #attachments: SimAttachment[] = []
  readonly #ways = new Map<string, Way>()
  readonly #unreachables = new Map<string, Rates>()
  /** Sees every datagram that is sent, whatever becomes of it. */
  watch: (datagram: SimDatagram) => void = () => {}
  /** Which datagrams are lost beside what the ways lose, and which of the fragments that come to an end. */
  swallows: (datagram: SimDatagram) => boolean = () => false
  swallowsFragment: (index: number) => boolean = () => false

  constructor(time: SimTime, random: SimRandom) {
    this.#time = time
    this.#random = random
  }

  attach(attachment: SimAttachment): void {
    this.#attachments.push(attachment)
  }

  detach(attachment: SimAttachment): void {
    this.#attachments.splice(this.#attachments.indexOf(attachment), 1)
  }

  /** The way from one host to another, to be changed by whoever likes. */
  way(from: string, to: string): Way {
    const key = `${from} ${to}`
    let way = this.#ways.get(key)
    if (way === undefined) {
      way = { ...GOOD_WAY }
      this.#ways.set(key, way)
    }
    return way
  }

  /** Changes the ways between two hosts, both directions. */
  between(a: string, b: string, change: Partial<Way>): void {
    Object.assign(this.way(a, b), change)
    Object.assign(this.way(b, a), change)
  }

  /**
   * Sends a datagram.
   * @returns 0, or the errno: the host has no route (ENETUNREACH), its interface takes no such length (EMSGSIZE)
   */
  send(
    host: SimAttachment,
    port: number,
    to: Endpoint,
    payload: Uint8Array,
    { mayFragment = false, from, pathMtuBytes = host.mtuBytes }: SendOptions = {},
  ): number {
    const own = from ?? host.addressLike(to.address)
    if (!host.up || own === undefined || !host.addresses.includes(own)) return ENETUNREACH
    if (isIpv6(own) !== isIpv6(to.address)) return ENETUNREACH
    const family = isIpv6(own) ? 'ipv6' : 'ipv4'
    const bytes = payload.length + outerBytes(family)
    if (bytes > host.mtuBytes && !mayFragment) return EMSGSIZE
    host.sent++
    const cutBytes = family === 'ipv6' ? Math.min(host.mtuBytes, pathMtuBytes) : host.mtuBytes
    const packets = mayFragment ? fragmentsOf(bytes, cutBytes, family) : [bytes]
    const sent = { from: host.name, source: own, to, payload, packets }
    this.watch(sent)
    if (this.swallows(sent)) return 0
    const inside = { address: own, port }
    const outside = this.isNear(host, to.address) ? inside : (host.nat?.outbound(inside, to) ?? inside)
    const target = this.#ownerOf(host, to.address)
    if (target === undefined) return 0
    const way = this.way(host.name, target)
    if (!way.up) return 0
    const mayCut = mayFragment && family === 'ipv4'
    if (packets.some((it) => it > way.mtuBytes) && !mayCut) {
      const { mtuBytes } = way
      if (way.icmp)
        this.#tell(host, way, { kind: 'too_big', port, destination: to, mtuBytes, from: to.address })
      return 0
    }
    const fragments = packets.flatMap((it) => fragmentsOf(it, way.mtuBytes, family)).length
    const copy = Uint8Array.from(payload)
    const copies = this.#random.happens(way.duplication) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      const delayMs = this.#carry(way, fragments)
      if (delayMs !== undefined) this.#time.after(delayMs, () => this.#deliver(host, port, outside, to, copy))
    }
    return 0
  }

  /** How long it takes until all fragments of a datagram have come; undefined if one is lost, and so the whole. */
  #carry(way: Way, fragments: number): number | undefined {
    if (fragments > 1 && !way.fragments) return undefined
    let lastMs = 0
    for (let index = 0; index < fragments; index++) {
      if (this.#random.happens(way.loss)) return undefined
      if (fragments > 1 && this.swallowsFragment(index)) return undefined
      lastMs = Math.max(lastMs, way.delayMs + this.#random.next() * way.jitterMs)
    }
    return lastMs
  }

  #deliver(sender: SimAttachment, port: number, from: Endpoint, to: Endpoint, payload: Uint8Array): void {
    const arrival = this.#arrival(sender, from, to)
    if (arrival === undefined) return
    const { host, inside } = arrival
    if (!host.up || host.asleep) return
    const listener = host.listeners.get(inside.port)
    if (listener !== undefined) listener(payload, from, inside)
    else {
      const way = this.way(host.name, sender.name)
      const icmp = { kind: 'port_unreachable', port, destination: to, mtuBytes: 0, from: to.address } as const
      if (way.up && this.#mayTell(host, sender)) this.#tell(sender, way, icmp)
    }
  }

  /** Who gets what is sent to `to`, and where that is to it. */
  #arrival(
    sender: SimAttachment,
    from: Endpoint,
    to: Endpoint,
  ): { host: SimAttachment; inside: Endpoint } | undefined {
    const direct = this.#attachments.find(
      (host) => host.addresses.includes(to.address) && (host.nat === undefined || host.nat === sender.nat),
    )
    if (direct !== undefined) return { host: direct, inside: to }
    for (const { nat } of this.#attachments) {
      if (nat?.address !== to.address) continue
      const inside = nat.inbound(to.port, from)
      const host =
        inside && this.#attachments.find((it) => it.nat === nat && it.addresses.includes(inside.address))
      return host && inside && { host, inside }
    }
    return undefined
  }

  /** The name that the way to an address goes by: its host's, or the first that is behind its NAT. */
  #ownerOf(sender: SimAttachment, address: string): string | undefined {
    const direct = this.#attachments.find(
      (host) => host.addresses.includes(address) && (host.nat === undefined || host.nat === sender.nat),
    )
    return (direct ?? this.#attachments.find(({ nat }) => nat?.address === address))?.name
  }

  /** Whether an address is on the same side of the sender's NAT. */
  isNear(sender: SimAttachment, address: string): boolean {
    return this.#attachments.some(({ nat, addresses }) => nat === sender.nat && addresses.includes(address))
  }

  /** Whether `host` may tell `sender` of a closed port. */
  #mayTell(host: SimAttachment, sender: SimAttachment): boolean {
    const key = `${host.name} ${sender.name}`
    const rates = this.#unreachables.get(key) ?? new Rates(1, UNREACHABLE_PER_SECOND, UNREACHABLE_BURST)
    this.#unreachables.set(key, rates)
    return rates.allows(0, this.#time.nowMs)
  }

  #tell(host: SimAttachment, way: Way, icmp: SimIcmp): void {
    this.#time.after(way.delayMs * 2, () => host.up && !host.asleep && host.onIcmp(icmp))
  }
}

export function isIpv6(address: string): boolean {
  return address.includes(':')
}

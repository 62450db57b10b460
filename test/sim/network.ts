import { headersBytes } from '../../src/control/path-mtu/sizes.js'
import { EMSGSIZE, ENETUNREACH } from '../../src/linux/errno.js'
import type { Endpoint } from '../../src/linux/sockaddr.js'
import type { SimTime } from './clock.js'
import type { SimNat } from './nat.js'
import type { SimRandom } from './random.js'

/** What one direction between two hosts does to datagrams. */
export interface Way {
  /** False: everything is lost, and nobody says so. */
  up: boolean
  delayMs: number
  /** Up to so much more, at random: so datagrams overtake each other. */
  jitterMs: number
  /** Probabilities that a datagram is lost, and that it comes twice. */
  loss: number
  duplication: number
  /** Of the narrowest link between, in bytes of an IP packet. */
  mtuBytes: number
  /** Whether the router before the narrow link says so by ICMP. */
  icmp: boolean
}

const GOOD_WAY: Way = {
  up: true,
  delayMs: 5,
  jitterMs: 0,
  loss: 0,
  duplication: 0,
  mtuBytes: 1500,
  icmp: true,
}

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

/** Takes what comes to a port. */
export type Listener = (payload: Uint8Array, from: Endpoint, to: Endpoint) => void

/** A host's place in the network: its addresses, its interface, and who listens. */
export class SimAttachment {
  readonly name: string
  /** One of each family at the most. */
  addresses: string[]
  /** Behind this, or directly in the network. */
  nat: SimNat | undefined
  /** Of the interface, in bytes. */
  mtuBytes = 1500
  /** Whether there is a route at all. */
  up = true
  readonly listeners = new Map<number, Listener>()
  onIcmp: (icmp: SimIcmp) => void = () => {}
  /** Datagrams that it has sent. */
  sent = 0

  constructor(name: string, addresses: readonly string[], nat?: SimNat) {
    this.name = name
    this.addresses = [...addresses]
    this.nat = nat
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
   * Sends a datagram with don't-fragment set.
   * @returns 0, or the errno: the host has no route (ENETUNREACH), its interface takes no such length (EMSGSIZE)
   */
  send(host: SimAttachment, port: number, to: Endpoint, payload: Uint8Array): number {
    const own = host.addressLike(to.address)
    if (!host.up || own === undefined) return ENETUNREACH
    const bytes = payload.length + headersBytes(isIpv6(to.address) ? 'ipv6' : 'ipv4')
    if (bytes > host.mtuBytes) return EMSGSIZE
    host.sent++
    const inside = { address: own, port }
    const outside = this.#isNear(host, to.address) ? inside : (host.nat?.outbound(inside, to) ?? inside)
    const target = this.#ownerOf(host, to.address)
    if (target === undefined) return 0
    const way = this.way(host.name, target)
    if (!way.up) return 0
    if (bytes > way.mtuBytes) {
      const { mtuBytes } = way
      if (way.icmp)
        this.#tell(host, way, { kind: 'too_big', port, destination: to, mtuBytes, from: to.address })
      return 0
    }
    const copy = Uint8Array.from(payload)
    const copies = this.#random.happens(way.duplication) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      if (this.#random.happens(way.loss)) continue
      const delayMs = way.delayMs + this.#random.next() * way.jitterMs
      this.#time.after(delayMs, () => this.#deliver(host, port, outside, to, copy))
    }
    return 0
  }

  #deliver(sender: SimAttachment, port: number, from: Endpoint, to: Endpoint, payload: Uint8Array): void {
    const arrival = this.#arrival(sender, from, to)
    if (arrival === undefined) return
    const { host, inside } = arrival
    if (!host.up) return
    const listener = host.listeners.get(inside.port)
    if (listener !== undefined) listener(payload, from, inside)
    else {
      const way = this.way(host.name, sender.name)
      const icmp = { kind: 'port_unreachable', port, destination: to, mtuBytes: 0, from: to.address } as const
      if (way.up) this.#tell(sender, way, icmp)
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
  #isNear(sender: SimAttachment, address: string): boolean {
    return this.#attachments.some(({ nat, addresses }) => nat === sender.nat && addresses.includes(address))
  }

  #tell(host: SimAttachment, way: Way, icmp: SimIcmp): void {
    this.#time.after(way.delayMs * 2, () => host.up && host.onIcmp(icmp))
  }
}

export function isIpv6(address: string): boolean {
  return address.includes(':')
}

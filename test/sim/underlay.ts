import ipaddr from 'ipaddr.js'
import { contains, type Prefix, parsePrefix } from '../../src/config/addresses.js'
import type {
  GatewaySocket,
  HeardIcmpError,
  HostAddress,
  IcmpErrors,
  InterfaceDrops,
  Network,
  Probes,
} from '../../src/control/network.js'
import type { Way, WayKind } from '../../src/control/peer/underlay.js'
import { EMSGSIZE, KernelError } from '../../src/linux/errno.js'
import type { ProbeAnswer } from '../../src/linux/probe-socket.js'
import type { Endpoint } from '../../src/linux/sockaddr.js'
import type { IpFamily } from '../../src/wire/ip.js'
import type { SimClock } from './clock.js'
import { isIpv6, type SimAttachment, type SimIcmp, type SimNetwork } from './network.js'

/** The tunnel's own device. */
const DEVICE = 'tap0'
const INTERFACE = 'eth0'
const GATEWAY = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const

/** What the kernel assumes while there is no route. */
const ETHERNET_MTU_BYTES = 1500

/** The first port of sockets without a port of their own. */
const FIRST_PROBE_PORT = 40_000

/** How long the kernel remembers a path MTU that a router has told (mtu_expires in ip-sysctl). */
const MTU_EXPIRES_MS = 600_000

/** How many ICMP errors wait until they are read. */
const ERRORS_BUFFER = 100

/** What the kernel of a simulated host knows of its underlay: one interface, and what ICMP has told. */
export class SimUnderlay implements Network {
  readonly icmp: IcmpErrors
  /** Addresses and networks that the host reaches by the tunnel's own device. */
  readonly inside = new Set<string>()
  /** Networks that other programs reach by the tunnel's device. Its own datagrams have a mark. */
  routed: readonly Prefix[] = []
  readonly #network: SimNetwork
  readonly #attachment: SimAttachment
  readonly #clock: SimClock
  #dataPort: number
  readonly #probes = new Map<number, ProbeAnswer[]>()
  readonly #pathMtus = new Map<string, { readonly bytes: number; readonly atMs: number }>()
  #nextPort = FIRST_PROBE_PORT
  #changes: number
  #errors: HeardIcmpError[] = []

  constructor(network: SimNetwork, attachment: SimAttachment, clock: SimClock, dataPort: number) {
    this.#network = network
    this.#attachment = attachment
    this.#clock = clock
    this.#dataPort = dataPort
    this.#changes = attachment.changes
    let unread = 0
    this.icmp = {
      deaf: undefined,
      follow: (port) => {
        this.#dataPort = port
      },
      take: (heard) => {
        for (const error of this.#errors.splice(0)) heard(error)
      },
      get unread() {
        return unread
      },
    }
    attachment.onIcmp = (icmp) => {
      if (this.#errors.length < ERRORS_BUFFER) this.#hear(icmp)
      else unread++
    }
  }

  /** How many probe sockets are open. */
  get openedProbes(): number {
    return this.#probes.size
  }

  wayTo(address: string, _isBehindPeer?: unknown, from?: string): Way {
    const own = from ?? this.#attachment.addressLike(address)
    if (this.#isInside(address)) return this.#way('inside', undefined, address)
    if (this.#attachment.addresses.includes(address)) return this.#way('own', 'lo', address)
    if (!this.#attachment.up || own === undefined || !this.#attachment.addresses.includes(own))
      return this.#way('unroutable', undefined, address)
    return { ...this.#way('host', INTERFACE, address), source: from === undefined ? own : undefined }
  }

  leavesByDevice(address: string): boolean {
    return this.#isInside(address) || this.routed.some((network) => contains(network, address))
  }

  #isInside(address: string): boolean {
    const parsed = ipaddr.parse(address.split('%')[0])
    for (const network of this.inside) {
      const [base, prefixLength] = parsedNetwork(network)
      if (base.kind() === parsed.kind() && parsed.match(base, prefixLength)) return true
    }
    return false
  }

  #way(kind: WayKind, egress: string | undefined, address: string): Way {
    const mtuBytes = egress === undefined ? ETHERNET_MTU_BYTES : this.#attachment.mtuBytes
    const isLocal = this.#attachment.nat !== undefined && this.#network.isNear(this.#attachment, address)
    const gateway = egress === INTERFACE && !isLocal ? GATEWAY[familyOf(address)] : undefined
    const underlay = { interface: egress, gateway, mtuBytes }
    return kind === 'inside' ? { kind, underlay, inwards: DEVICE } : { kind, underlay }
  }

  addressesOf(name: string): readonly HostAddress[] | undefined {
    if (name !== INTERFACE) return undefined
    const common = { ready: true, global: true, deprecated: false, secondary: false }
    return this.#attachment.addresses.map((address) => ({ ...common, address }))
  }

  ownAddresses(): readonly HostAddress[] {
    return this.#attachment.up ? (this.addressesOf(INTERFACE) ?? []) : []
  }

  /** Only a router that a test has set answers, and at once. */
  openGateway(_address: string, _port: number, heard: (bytes: Uint8Array) => void): GatewaySocket {
    const send = (bytes: Uint8Array) => {
      const answer = this.#attachment.router?.answer(bytes)
      if (answer !== undefined) heard(answer)
    }
    return { source: this.#attachment.addressLike('0.0.0.0'), send, close: () => {} }
  }

  changed(): boolean {
    const { changes } = this.#attachment
    const changed = changes !== this.#changes
    this.#changes = changes
    return changed
  }

  /** Nobody sets a simulated device down. */
  deviceHasLost(): boolean {
    return false
  }

  dropsOf(names: Iterable<string>): Map<string, InterfaceDrops> {
    return new Map([...names].map((name) => [name, { index: 2, txDropped: 0, qdisc: undefined }]))
  }

  kernelPathMtu(_family: IpFamily, address: string): number | undefined {
    const { underlay } = this.wayTo(address)
    if (underlay.interface === undefined) return undefined
    const told = this.#pathMtus.get(address)
    const fresh = told !== undefined && this.#clock.nowMs() - told.atMs < MTU_EXPIRES_MS
    return Math.min(underlay.mtuBytes, fresh ? told.bytes : Number.POSITIVE_INFINITY)
  }

  openProbes(_family: IpFamily, address: string, from?: string): Probes {
    const port = this.#nextPort++
    const answers: ProbeAnswer[] = []
    this.#probes.set(port, answers)
    return {
      send: (to, payloadBytes) => {
        const datagram = new Uint8Array(payloadBytes)
        const errno = this.#network.send(this.#attachment, port, { address, port: to }, datagram, { from })
        if (errno === EMSGSIZE) answers.push({ kind: 'local', mtuBytes: this.#attachment.mtuBytes })
        else if (errno !== 0) throw new KernelError('sendto', errno)
        return errno === 0
      },
      next: () => answers.shift(),
      close: () => void this.#probes.delete(port),
    }
  }

  close(): void {
    this.#probes.clear()
    this.#attachment.onIcmp = () => {}
  }

  #hear({ kind, port, destination, mtuBytes, from }: SimIcmp): void {
    const { address } = destination
    // While the kernel knows as little, it does not note the time anew (__ip6_rt_update_pmtu of net/ipv6/route.c).
    if (
      kind === 'too_big' &&
      mtuBytes < (this.kernelPathMtu(familyOf(address), address) ?? Number.POSITIVE_INFINITY)
    )
      this.#pathMtus.set(address, { bytes: mtuBytes, atMs: this.#clock.nowMs() })
    if (port === this.#dataPort) this.#errors.push(this.#errorOf(kind, destination, mtuBytes))
    this.#probes
      .get(port)
      ?.push(
        kind === 'too_big'
          ? { kind, port: destination.port, mtuBytes, from }
          : { kind: 'arrived', port: destination.port, from },
      )
  }

  #errorOf(kind: SimIcmp['kind'], destination: Endpoint, mtuBytes: number): HeardIcmpError {
    return {
      kind: kind === 'too_big' ? kind : 'unreachable',
      mtuBytes,
      source: bytesOf(this.#attachment.addressLike(destination.address) ?? destination.address),
      sourcePort: this.#dataPort,
      destination: bytesOf(destination.address),
      destinationPort: destination.port,
      scopeId: 0,
    }
  }
}

export function familyOf(address: string): IpFamily {
  return isIpv6(address) ? 'ipv6' : 'ipv4'
}

function bytesOf(address: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(address).toByteArray())
}

type Parsed = readonly [ipaddr.IPv4 | ipaddr.IPv6, number]

/** Hosts look at these networks all the time. */
const networks = new Map<string, Parsed>()

function parsedNetwork(network: string): Parsed {
  const known = networks.get(network)
  if (known !== undefined) return known
  const { address, prefixLength } = parsePrefix(network)
  const parsed = [ipaddr.parse(address), prefixLength] as const
  networks.set(network, parsed)
  return parsed
}

import { connect, Host } from '../../../src/lab/host.js'
import { createLink, getLink, setLink } from '../../../src/linux/interface.js'
import { ok, type RunningTunnel, startTunnel } from './lab.js'
import { PacketSocket } from './packet-socket.js'

/** The MTU of taps whose frames go in UDP over IPv4 and an Ethernet of 1500. */
export const OVERLAY_MTU_BYTES = 1458

/** Number of programs that start at the same time. */
const AT_A_TIME = 5

/** Makes a bridge of these interfaces of a host. They must be up. */
export function bridge(host: Host, ...ports: string[]): void {
  host.netlink((netlink) => {
    createLink(netlink, 'bridge', 'br0')
    const master = getLink(netlink, 'br0').index
    for (const port of ports) setLink(netlink, getLink(netlink, port).index, { master })
    setLink(netlink, master, { up: true })
  })
}

/** How often this frame has come to each of these devices from another host. */
export async function arrivals(taps: readonly PacketSocket[], bytes: Buffer): Promise<number[]> {
  const counts: number[] = []
  for (const tap of taps) {
    const came = await tap.capture(
      Number.POSITIVE_INFINITY,
      (it) => !it.outgoing && it.bytes.equals(bytes),
      1,
    )
    counts.push(came.length)
  }
  return counts
}

/**
 * Hosts with their `eth0` in one Ethernet, the underlay. Host `i` has the underlay address 192.0.2.(i + 1) and
 * the overlay address 10.9.0.(i + 1).
 */
export class Network implements Disposable {
  readonly hosts: readonly Host[]
  readonly #wire = new Host('wire')
  readonly #sockets: PacketSocket[] = []

  constructor(count: number) {
    this.hosts = Array.from({ length: count }, (_, index) => new Host(`h${index}`))
    for (const [index, host] of this.hosts.entries()) {
      const wire = { host: this.#wire, device: `p${index}`, addresses: [] }
      connect(wire, { host, device: 'eth0', addresses: [`${this.underlay(index)}/24`] })
    }
    bridge(this.#wire, ...this.hosts.map((_, index) => `p${index}`))
  }

  underlay(index: number): string {
    return `192.0.2.${index + 1}`
  }

  overlay(index: number): string {
    return `10.9.0.${index + 1}`
  }

  /** Starts the tunnel of host `index` with these peers. */
  start(index: number, to: readonly number[], ...args: string[]): Promise<RunningTunnel> {
    const peers = to.flatMap((peer) => ['--peer', this.underlay(peer)])
    return startTunnel(this.hosts[index], this.overlay(index), ...peers, ...args)
  }

  /** Starts a tunnel on every host, with all other hosts as peers, a few at a time. */
  async mesh(...args: string[]): Promise<RunningTunnel[]> {
    const all = this.hosts.map((_, index) => index)
    const tunnels: RunningTunnel[] = []
    for (let first = 0; first < all.length; first += AT_A_TIME) {
      const some = all.slice(first, first + AT_A_TIME)
      const starting = some.map((index) =>
        this.start(
          index,
          all.filter((it) => it !== index),
          ...args,
        ),
      )
      tunnels.push(...(await Promise.all(starting)))
    }
    return tunnels
  }

  /** A socket that sees everything that passes a device of host `index`. */
  socket(index: number, device: string): PacketSocket {
    const socket = new PacketSocket(this.hosts[index], device)
    this.#sockets.push(socket)
    return socket
  }

  mac(index: number, device = 'tap0'): string {
    return this.hosts[index].netlink((netlink) => getLink(netlink, device).mac ?? '')
  }

  /** The Ethernet carries nothing more between two hosts, and nobody is told; or it does again. */
  async cut(a: number, b: number, isCut = true): Promise<void> {
    if (!isCut) {
      await ok(this.#wire, 'nft', 'delete', 'table', 'bridge', 'cut')
      return
    }
    await ok(this.#wire, 'nft', 'add', 'table', 'bridge', 'cut')
    await ok(this.#wire, 'nft', 'add chain bridge cut forward { type filter hook forward priority 0; }')
    for (const [from, to] of [
      [a, b],
      [b, a],
    ])
      await ok(
        this.#wire,
        'nft',
        `add rule bridge cut forward ip saddr ${this.underlay(from)} ip daddr ${this.underlay(to)} drop`,
      )
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket[Symbol.dispose]()
    for (const host of this.hosts) host.close()
    this.#wire.close()
  }
}

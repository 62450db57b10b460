import { ENODEV, KernelError } from '../../linux/errno.js'
import { getLink, type UdpPorts } from '../../linux/interface.js'
import { type Netlink, RouteMonitor } from '../../linux/netlink.js'
import { rootQdiscs } from '../../linux/qdisc.js'
import type { HostAddress, InterfaceDrops, Network } from '../network.js'
import type { DataSocket } from '../platform.js'
import type { DevicePlace } from './device-place.js'
import { openGateway } from './gateway-socket.js'
import { addressesOf, ownAddresses } from './host-addresses.js'
import { IcmpErrorSockets } from './icmp-error-sockets.js'
import { probingWith } from './probing.js'
import { wayTo } from './way-to.js'

/** The tunnel's own device. It is never its own underlay. */
export interface OwnDevice {
  readonly index: number
  readonly place: DevicePlace
  /** Of the namespace where the device is. */
  readonly netlink: Netlink
}

/** The underlay as this host's kernel has it: rtnetlink, and sockets for probes and ICMP errors. */
export class LinuxNetwork implements Network {
  readonly icmp: IcmpErrorSockets
  readonly openGateway = openGateway
  readonly kernelPathMtu: Network['kernelPathMtu']
  readonly openProbes: Network['openProbes']
  #device: OwnDevice | undefined
  readonly #netlink: Netlink
  readonly #socket: Pick<DataSocket, 'mark' | 'local'>
  readonly #commonPort: boolean
  readonly #routes = [new RouteMonitor()]

  /** @param commonPort whether all ends have the data socket's port, and datagrams any source port */
  constructor(netlink: Netlink, socket: Pick<DataSocket, 'family' | 'local' | 'mark'>, commonPort: boolean) {
    this.#netlink = netlink
    this.#socket = socket
    this.#commonPort = commonPort
    const { kernelPathMtu, openProbes } = probingWith(() => socket.mark)
    this.kernelPathMtu = kernelPathMtu
    this.openProbes = openProbes
    this.icmp = new IcmpErrorSockets(socket.family, socket.local.port, commonPort ? 'destination' : 'source')
  }

  /** The device exists now. */
  setDevice(device: OwnDevice): void {
    this.#device = device
    if (device.place.elsewhere !== undefined) this.#routes.push(device.place.run(() => new RouteMonitor()))
    this.#routes.at(-1)?.watch(device.index)
  }

  wayTo(address: string, isBehindPeer: (mac: Uint8Array) => boolean, from?: string, port?: number) {
    const flow = {
      from,
      mark: this.#socket.mark,
      ports: port === undefined ? undefined : this.#portsTo(port),
    }
    return wayTo(this.#netlink, address, this.#indexHere, isBehindPeer, flow)
  }

  /** With VXLAN, datagrams have many source ports. */
  #portsTo(destination: number): UdpPorts {
    return { source: this.#commonPort ? undefined : this.#socket.local.port, destination }
  }

  leavesByDevice(address: string): boolean {
    const { netlink, index } = this.#device ?? {}
    return netlink !== undefined && wayTo(netlink, address, index).kind === 'inside'
  }

  addressesOf(name: string): readonly HostAddress[] | undefined {
    return addressesOf(this.#netlink, name)
  }

  ownAddresses(): readonly HostAddress[] {
    return ownAddresses(this.#netlink, this.#indexHere)
  }

  /** The index of the tunnel's device, if it is in this program's own network namespace. */
  get #indexHere(): number | undefined {
    return this.#device?.place.elsewhere === undefined ? this.#device?.index : undefined
  }

  changed(): boolean {
    return this.#routes.map((it) => it.changed()).includes(true)
  }

  deviceHasLost(): boolean {
    return this.#routes.at(-1)?.hasLost() === true
  }

  dropsOf(names: Iterable<string>): Map<string, InterfaceDrops> {
    const qdiscs = rootQdiscs(this.#netlink)
    const drops = new Map<string, InterfaceDrops>()
    for (const name of names) {
      try {
        const { index, statistics } = getLink(this.#netlink, name)
        drops.set(name, { index, txDropped: statistics.txDropped, qdisc: qdiscs.get(index) })
      } catch (error) {
        // The interface has just gone.
        if (!(error instanceof KernelError && error.errno === ENODEV)) throw error
      }
    }
    return drops
  }

  close(): void {
    this.icmp.close()
    for (const routes of this.#routes) routes.close()
  }
}

import ipaddr from 'ipaddr.js'
import { Conntrack } from '../../linux/conntrack.js'
import type { UdpFlow } from '../../linux/udp-flow.js'
import { isFor, XfrmPolicies, type XfrmPolicy } from '../../linux/xfrm.js'
import type { KernelWay } from '../datapath/kernel-path.js'

/** What this host does to datagrams of sockets, and what the programs on the underlay pass by. */
export class PassedBy {
  readonly #port: number
  readonly #anySourcePort: boolean
  readonly #sourcePorts: () => readonly number[]
  readonly #policies: XfrmPolicies
  readonly #conntrack = new Conntrack()

  /**
   * @param port of this end
   * @param anySourcePort whether datagrams may have any source port, in both directions
   * @param sourcePorts those of the datagrams that the workers send
   * @throws KernelError
   */
  constructor(port: number, anySourcePort: boolean, sourcePorts: () => readonly number[]) {
    this.#port = port
    this.#sourcePorts = sourcePorts
    this.#anySourcePort = anySourcePort
    this.#policies = new XfrmPolicies()
  }

  /**
   * @returns whether an IPsec policy is for a way, or for its answers. It reads the policies when it is asked first, and
   *   may throw a KernelError then
   */
  policies(): (way: KernelWay) => boolean {
    let all: ReturnType<XfrmPolicies['read']> | undefined
    return (way) => {
      all ??= this.#policies.read().map((policy) => this.#forAny(policy))
      if (all.length === 0) return false
      const flow = flowOf(way, this.#port)
      // One that this program cannot read may be for anything.
      return all.some((policy) => policy === undefined || isFor(policy, flow, way.ifindex))
    }
  }

  #forAny(policy: XfrmPolicy | undefined): XfrmPolicy | undefined {
    return policy && this.#anySourcePort ? { ...policy, sourcePortMask: 0 } : policy
  }

  /** Whether netfilter changes addresses or ports of a way, or of its answers. @throws KernelError */
  isTranslated(way: KernelWay): boolean {
    return this.#sourcePorts().some((port) => this.#conntrack.isTranslated(flowOf(way, port)))
  }

  close(): void {
    this.#policies.close()
    this.#conntrack.close()
  }
}

/** @param port of this end */
export function flowOf({ source, destination, destinationPort }: KernelWay, port: number): UdpFlow {
  return {
    source: bytesOf(source),
    destination: bytesOf(destination),
    sourcePort: port,
    destinationPort,
  }
}

/** An address, perhaps with a zone, as it is on the wire. */
export function bytesOf(address: string): Uint8Array {
  return Uint8Array.from(ipaddr.process(address.split('%')[0]).toByteArray())
}

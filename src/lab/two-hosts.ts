import { connect, Host } from './host.js'

/** The name of the cable's end in both hosts. */
export const UNDERLAY_DEVICE = 'eth0'

export interface TwoHostsOptions {
  /** Names of the hosts. */
  readonly names: readonly [string, string]
  /** Addresses (`address/prefix`) of each host's end of the cable. */
  readonly underlay: readonly [readonly string[], readonly string[]]
  readonly mtuBytes?: number
}

/** Two hosts with a cable between their `eth0`. Nothing of them is left after {@link close}. */
export class TwoHosts implements Disposable {
  readonly hosts: readonly [Host, Host]

  /** @throws KernelError without the right to make network namespaces */
  constructor({ names, underlay, mtuBytes }: TwoHostsOptions) {
    const near = new Host(names[0])
    this.hosts = [near, new Host(names[1])]
    const [a, b] = this.hosts.map((host, which) => ({
      host,
      device: UNDERLAY_DEVICE,
      addresses: underlay[which],
    }))
    connect(a, b, mtuBytes)
  }

  close(): void {
    for (const host of this.hosts) host.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

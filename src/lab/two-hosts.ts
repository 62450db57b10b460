import { rmSync } from 'node:fs'
import { listSockets } from '../command/path.js'
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

  /** Kills what still runs inside, and removes what killed tunnels have left in /run. */
  close(): void {
    for (const host of this.hosts) {
      removeStatusSockets(host)
      host.close()
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** The hosts share /run with this machine, and a killed tunnel leaves its socket there. */
export function removeStatusSockets(host: Host): void {
  host.run(() => {
    for (const { path } of listSockets()) rmSync(path, { force: true })
  })
}

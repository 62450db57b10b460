import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { listSockets } from '../command/path.js'
import { addAddress } from '../linux/address.js'
import { addRoute, createVeth, getLink, setLink } from '../linux/interface.js'
import { Netlink } from '../linux/netlink.js'
import { NetworkNamespace } from '../linux/netns.js'

/**
 * A host on this machine, made of a network namespace. The demo, the benchmarks and the tests run their traffic
 * between such hosts. It has no name in the system and disappears with the last process inside.
 */
export class Host {
  readonly name: string
  readonly namespace: NetworkNamespace
  readonly #children = new Set<ChildProcess>()

  constructor(name: string) {
    this.name = name
    this.namespace = NetworkNamespace.create()
    this.netlink((netlink) => setLink(netlink, getLink(netlink, 'lo').index, { up: true }))
  }

  /** Calls `work` inside this host. `work` must be synchronous. */
  run<T>(work: () => T): T {
    return this.namespace.run(work)
  }

  netlink<T>(work: (netlink: Netlink) => T): T {
    return this.run(() => {
      using netlink = new Netlink()
      return work(netlink)
    })
  }

  /** Starts a program inside this host. {@link Host.close} kills the programs that still run. */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = this.run(() => spawn(command, args, options))
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** Gives `device` the addresses (each `address/prefix`), then sets it up. */
  configure(device: string, addresses: readonly string[], change: { mtuBytes?: number } = {}): void {
    this.netlink((netlink) => {
      const { index } = getLink(netlink, device)
      setLink(netlink, index, { ...change, up: true })
      for (const address of addresses) {
        const [ip, prefix] = address.split('/')
        addAddress(netlink, index, ip, Number(prefix))
      }
    })
  }

  /** Routes `destination` (`address/prefix`) through `gateway`. */
  route(destination: string, gateway: string): void {
    const [ip, prefix] = destination.split('/')
    this.netlink((netlink) => addRoute(netlink, ip, Number(prefix), gateway))
  }

  /** Kills what still runs inside, removes what killed tunnels have left in /run, and releases the namespace. */
  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    this.#children.clear()
    this.#removeStatusSockets()
    this.namespace.close()
  }

  /** The hosts share /run with this machine, and the inode of a namespace is soon another's. */
  #removeStatusSockets(): void {
    this.run(() => {
      for (const { path } of listSockets()) rmSync(path, { force: true })
    })
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** One end of a cable: the host, the name of its interface, and that interface's addresses (`address/prefix`). */
export interface CableEnd {
  readonly host: Host
  readonly device: string
  readonly addresses: readonly string[]
}

/** Joins two hosts with a veth pair, both ends configured and up. */
export function connect(near: CableEnd, far: CableEnd, mtuBytes = 1500): void {
  near.host.netlink((netlink) =>
    createVeth(
      netlink,
      { name: near.device, namespaceFd: near.host.namespace.fd },
      { name: far.device, namespaceFd: far.host.namespace.fd },
    ),
  )
  for (const { host, device, addresses } of [near, far]) host.configure(device, addresses, { mtuBytes })
}

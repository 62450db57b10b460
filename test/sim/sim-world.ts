import type { Test } from 'tap'
import { loadPrivateSide } from '../../src/control/parts.js'
import { formatKey } from '../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../src/noise/keys.js'
import { SimTime } from './clock.js'
import { SimDns } from './dns.js'
import { SimHost, type SimHostOptions, type Surroundings } from './host.js'
import { NAT_KINDS, type NatBehaviour, type NatKind, SimNat } from './nat.js'
import { SimNetwork } from './network.js'
import { SimRandom } from './random.js'
import type { Way } from './way.js'

export const PORT = 5149

/** The longest that a start, a stop or a reload may take, in simulated time. */
const RUN_MS = 120_000

export type HostChoices = Partial<Omit<SimHostOptions, 'number'>>

// Otherwise it would be loaded at a host's start, and take a moment of real time there.
await loadPrivateSide()

/** Hosts, ways, NATs and names in simulated time. All of it is the same for the same seed. */
export class SimWorld implements Surroundings {
  readonly time = new SimTime()
  readonly random: SimRandom
  readonly network: SimNetwork
  readonly dns: SimDns
  readonly hosts: SimHost[] = []

  constructor(seed: number) {
    this.random = new SimRandom(seed)
    this.network = new SimNetwork(this.time, this.random)
    this.dns = new SimDns(this.time)
  }

  /** A new host. By default it is in the network itself, has an IPv4 address, and its tunnel is private. */
  host(name: string, choices: HostChoices = {}): SimHost {
    const number = this.hosts.length + 1
    const addresses = [`198.51.100.${number}`]
    const options = { number, addresses, port: PORT, secret: true, mode: 'tap' as const, ...choices }
    const host = new SimHost(name, this, options)
    this.hosts.push(host)
    return host
  }

  nat(address: string, behaviour: NatKind | NatBehaviour): SimNat {
    const it = typeof behaviour === 'string' ? NAT_KINDS[behaviour] : behaviour
    return new SimNat(this.time, this.random, address, it)
  }

  /** The public key of somebody who is not here, in base64. */
  publicKey(): string {
    return formatKey(derivePublicKey(clampPrivateKey(this.random.bytes(32))))
  }

  between(a: SimHost, b: SimHost, change: Partial<Way>): void {
    this.network.between(a.name, b.name, change)
  }

  /** Two hosts that are each other's peer, and up. */
  async pair(choices: HostChoices = {}, settings: Readonly<Record<string, unknown>> = {}) {
    const a = this.host('a', choices)
    const b = this.host('b', choices)
    await this.run(
      Promise.all([
        a.begin({ ...settings, peers: [b.asPeer()] }),
        b.begin({ ...settings, peers: [a.asPeer()] }),
      ]),
    )
    return { a, b }
  }

  pass(ms: number, until?: () => boolean): Promise<void> {
    return this.time.pass(ms, until)
  }

  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const note = () => {
      settled = true
    }
    promise.then(note, note)
    await this.time.pass(RUN_MS, () => settled)
    if (!settled) throw new Error(`something has not ended in ${RUN_MS} ms of simulated time`)
    return promise
  }

  /** One host sends another one frames at regular times. @returns a function that ends it */
  flow(from: SimHost, to: SimHost, everyMs: number, bytes?: number): () => void {
    let ended = false
    let number = 0
    const next = () => {
      if (ended) return
      from.offer(to, `${from.name} ${number++}`, bytes)
      this.time.after(everyMs, next)
    }
    this.time.after(everyMs, next)
    return () => {
      ended = true
    }
  }

  /** What must hold after every scenario: no fault, and nothing that goes on after the end. */
  async end(t: Test): Promise<void> {
    for (const host of this.hosts) {
      const { name, platform } = host
      t.equal(host.faults, 0, `${name} had no fault`)
      host.resume()
      await host.stop()
      t.equal(host.clock.running, 0, `${name} has left no timer`)
      t.equal(platform?.network.openedProbes ?? 0, 0, `${name} has left no probe socket`)
      for (const { msg, stack } of host.lines.filter(
        ({ level, stack }) => level >= 50 || stack !== undefined,
      ))
        t.fail(`${name} logged: ${msg}`, { stack: `${stack}` })
    }
  }
}

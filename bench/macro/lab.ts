import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../../src/lab/host.js'
import { TwoHosts, UNDERLAY_DEVICE } from '../../src/lab/two-hosts.js'
import { Daemon, runIn } from './processes.js'
import type { UnderlaySpec } from './underlay.js'

/** One of the two hosts, with its addresses. */
export interface Site {
  readonly host: Host
  readonly name: 'near' | 'far'
  readonly underlay: string
  /** Its address in the tunnel, in a network with a prefix of {@link OVERLAY_PREFIX} bits. */
  readonly overlay: string
}

export const OVERLAY_PREFIX = 24
const UNDERLAY_PREFIX = 24

export { UNDERLAY_DEVICE }

/** Offloads of the cable, with the names of ethtool(8). */
const OFFLOADS = [
  'tx-checksumming',
  'tcp-segmentation-offload',
  'tx-udp-segmentation',
  'tx-udp_tnl-segmentation',
  'tx-udp_tnl-csum-segmentation',
  'generic-segmentation-offload',
  'generic-receive-offload',
  'rx-gro-list',
  'rx-udp-gro-forwarding',
]

/**
 * Two hosts with a cable between them, for one tunnel. Everything that is started or written here ends with the
 * lab and is removed.
 */
export class Lab {
  readonly spec: UnderlaySpec
  readonly near: Site
  readonly far: Site
  readonly signal: AbortSignal
  readonly directory: string
  readonly #two: TwoHosts
  readonly #daemons: Daemon[] = []
  readonly #undo: (() => void)[] = []
  readonly #onExit = () => this.#vanish()

  private constructor(spec: UnderlaySpec, signal: AbortSignal) {
    this.spec = spec
    this.signal = signal
    const underlay = ['192.0.2.1', '192.0.2.2'] as const
    this.#two = new TwoHosts({
      names: ['near', 'far'],
      underlay: [[`${underlay[0]}/${UNDERLAY_PREFIX}`], [`${underlay[1]}/${UNDERLAY_PREFIX}`]],
      mtuBytes: spec.mtuBytes,
    })
    const [near, far] = this.#two.hosts
    this.near = { host: near, name: 'near', underlay: underlay[0], overlay: '198.51.100.1' }
    this.far = { host: far, name: 'far', underlay: underlay[1], overlay: '198.51.100.2' }
    this.directory = mkdtempSync(join(tmpdir(), 'udptun-bench-'))
    process.once('exit', this.#onExit)
  }

  static async create(spec: UnderlaySpec, signal: AbortSignal): Promise<Lab> {
    const lab = new Lab(spec, signal)
    try {
      await lab.#prepare()
      return lab
    } catch (error) {
      await lab[Symbol.asyncDispose]()
      throw error
    }
  }

  async #prepare(): Promise<void> {
    for (const { host } of this.sites) {
      // Incomplete datagrams occupy the memory for reassembly for this many seconds (30 by default). After a
      // flood over a small MTU, nothing fragmented would arrive in the next measurements.
      host.run(() => writeFileSync('/proc/sys/net/ipv4/ipfrag_time', '1'))
      if (this.spec.offload !== 'on') await this.#disableOffloads(host)
      if (this.spec.offload === 'software')
        await this.run(host, 'ethtool', ['-K', UNDERLAY_DEVICE, 'gso', 'on', 'gro', 'on'])
      if (this.spec.rate !== undefined) await this.#limit(host, this.spec.rate)
    }
  }

  async #disableOffloads(host: Host): Promise<void> {
    const changes = (await this.offloads(host)).flatMap((name) => [name, 'off'])
    if (changes.length > 0) await this.run(host, 'ethtool', ['-K', UNDERLAY_DEVICE, ...changes])
  }

  /**
   * Repeats ARP requests soon. Otherwise a first request that is sent before the other end is up would delay
   * the first ping by a second.
   */
  repeatArpSoon(): void {
    const tables = '/proc/sys/net/ipv4/neigh'
    for (const { host } of this.sites) {
      host.run(() => {
        for (const device of readdirSync(tables)) writeFileSync(`${tables}/${device}/retrans_time_ms`, '20')
      })
    }
  }

  /** The offloads of the cable that are on. */
  async offloads(host: Host): Promise<string[]> {
    const features = await this.run(host, 'ethtool', ['-k', UNDERLAY_DEVICE])
    return OFFLOADS.filter((name) => new RegExp(`^\\s*${name}: on`, 'm').test(features))
  }

  async #limit(host: Host, rate: string): Promise<void> {
    // The bucket must hold a super-frame of 64 KiB, and the bytes of one tick of the kernel's clock.
    const bucket = ['burst', '256kb', 'latency', '50ms']
    await this.run(host, 'tc', [
      'qdisc',
      'add',
      'dev',
      UNDERLAY_DEVICE,
      'root',
      'tbf',
      'rate',
      rate,
      ...bucket,
    ])
  }

  get sites(): readonly [Site, Site] {
    return [this.near, this.far]
  }

  other(site: Site): Site {
    return site === this.near ? this.far : this.near
  }

  /** Runs a program to its end and returns what it printed. @throws Error with the last line it printed */
  run(host: Host, command: string, args: readonly string[], input?: string): Promise<string> {
    return runIn(host, command, args, { signal: this.signal, ...(input === undefined ? {} : { input }) })
  }

  /** Starts a program that stops with the lab. */
  daemon(host: Host, command: string, args: readonly string[], env?: Record<string, string>): Daemon {
    const daemon = new Daemon(host, command, args, env)
    this.#daemons.push(daemon)
    return daemon
  }

  /** Writes a file that by default only root may read. Returns its path. */
  file(name: string, content: string, mode = 0o600): string {
    const path = join(this.directory, name)
    writeFileSync(path, content, { mode })
    return path
  }

  /**
   * Calls `undo` when the lab ends. It is for what programs leave outside the lab. `undo` must be synchronous.
   */
  defer(undo: () => void): void {
    this.#undo.push(undo)
  }

  /** Waits until `ready` returns true. @throws Error if a program has ended, or after 10 s */
  async until(what: string, ready: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 10_000
    while (!(await ready())) {
      this.check()
      if (performance.now() > deadline) throw new Error(`${what} did not happen within 10 s`)
      await sleep(3, undefined, { signal: this.signal })
    }
  }

  /** @throws Error if a program that was started here has ended by itself */
  check(): void {
    for (const daemon of this.#daemons) daemon.check()
  }

  #vanish(): void {
    this.#two.close()
    for (const undo of this.#undo.splice(0)) undo()
    rmSync(this.directory, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#onExit)
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()))
    this.#vanish()
  }
}

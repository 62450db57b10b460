import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSeconds, residentBytes } from '../../../bench/macro/processes.js'
import { formatValue } from '../../../src/control/discovery/member-value.js'
import { parseKey } from '../../../src/key-text.js'
import { clampPrivateKey, derivePublicKey, deriveSigningKey } from '../../../src/noise/keys.js'
import { SignedNetwork } from '../signed-network.js'
import { Etcd } from './etcd.js'
import { ok, type RunningTunnel, startTunnel, until } from './lab.js'
import { Network } from './network.js'
import { KeyFolder } from './wireguard-go.js'

const KEYS = '/udptun-fast/default/'

/** Keys that one transaction writes. etcd takes 128 by default. */
const KEYS_PER_TRANSACTION = 100

/** So many hosts start at the same time. */
const AT_A_TIME = 4

/** The pause before each look at a host's peers, and how long all of them may take to be found. */
const LOOK_MS = 250
const SETTLED_MS = 120_000

/** What a stretch of time has cost. */
export interface Cost {
  readonly seconds: number
  /** Seconds of a processor, of each host. */
  readonly cpu: readonly number[]
  readonly etcdCpu: number
  /** What etcd was asked. */
  readonly requests: number
}

export interface Joined {
  /** From the start of the program to its own device: ms. */
  readonly upMs: number
  /** From the start of the program until the last one of the others had it as a peer: ms. */
  readonly knownMs: number
  /** The same, from the moment in which the newcomer could first say where it is. */
  readonly knownAfterUpMs: number
}

/**
 * Real hosts with a real etcd, in which many other members are written that have signed records and say where they are,
 * and never answer. Host `i` is called `m<i>`.
 */
export class Fleet implements AsyncDisposable {
  readonly tunnels: RunningTunnel[] = []
  readonly etcd: Etcd
  readonly #network: Network
  readonly #keys = new KeyFolder()
  readonly #signed = new SignedNetwork(randomBytes(32))

  private constructor(network: Network, etcd: Etcd) {
    this.#network = network
    this.etcd = etcd
  }

  /** @param hosts so many are there; none is started */
  static async make(hosts: number): Promise<Fleet> {
    const network = new Network(hosts + 1)
    const store = network.hosts[hosts]
    // Those that are written are at addresses that swallow whatever comes.
    await ok(store, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    await ok(store, 'ip', 'route', 'add', 'blackhole', '198.18.0.0/15')
    for (const host of network.hosts.slice(0, hosts))
      await ok(host, 'ip', 'route', 'add', '198.18.0.0/15', 'via', network.underlay(hosts))
    return new Fleet(network, await Etcd.start(store, network.underlay(hosts)))
  }

  get #store() {
    const { hosts } = this.#network
    return hosts[hosts.length - 1]
  }

  /** Writes members that are no hosts. */
  async write(count: number): Promise<void> {
    const puts = Array.from({ length: count }, (_, index) => {
      const name = `w${index}`
      const privateKey = clampPrivateKey(randomBytes(32))
      const publicKey = Uint8Array.from(derivePublicKey(privateKey))
      const signing = deriveSigningKey(privateKey)
      const [high, low] = [index >> 8, index & 0xff]
      const addresses = [`10.10.${high}.${low}`]
      const record = this.#signed.record({ name, publicKey, signingKey: signing.publicKey, addresses })
      const endpoints = [{ address: Uint8Array.of(198, 18, high, low), port: 5149 }]
      const value = formatValue(
        { name, publicKey, networks: record.networks, endpoints, record },
        { serial: 1, sign: (message) => signing.sign(message) },
      )
      return `put ${KEYS}${name} ${JSON.stringify(value)}`
    })
    for (let at = 0; at < count; at += KEYS_PER_TRANSACTION) {
      const some = puts.slice(at, at + KEYS_PER_TRANSACTION)
      const file = this.#keys.write('transaction', `\n${some.join('\n')}\n\n\n`)
      await ok(this.#store, 'sh', '-c', `etcdctl --endpoints ${this.etcd.url} txn < ${file}`)
    }
  }

  /** Starts these hosts, a few at a time. */
  async start(indexes: readonly number[]): Promise<void> {
    for (let at = 0; at < indexes.length; at += AT_A_TIME)
      await Promise.all(indexes.slice(at, at + AT_A_TIME).map((it) => this.#start(it)))
  }

  async #start(index: number): Promise<RunningTunnel> {
    const name = `m${index}`
    const { publicKey, file } = this.#keys.make(name)
    const privateKey = parseKey(readFileSync(file, 'latin1').trim()) ?? Buffer.of()
    const record = this.#signed.line({
      name,
      publicKey: parseKey(publicKey) ?? Buffer.of(),
      signingKey: deriveSigningKey(privateKey).publicKey,
      addresses: [this.#network.overlay(index)],
    })
    const lines = [
      'mode: tun',
      `local: [${this.#network.overlay(index)}/8]`,
      `private_key_file: ${file}`,
      `network_key: "${this.#signed.text}"`,
      `record: "${record}"`,
      `discovery: {etcd: {endpoints: ["${this.etcd.url}"]}}`,
    ]
    const settings = this.#keys.write(`${name}.yaml`, lines.join('\n'))
    const tunnel = await startTunnel(this.#network.hosts[index], '--config', settings)
    this.tunnels[index] = tunnel
    return tunnel
  }

  /** Waits until each host has all other hosts as peers that are up, and so many others. */
  async settled(written: number): Promise<void> {
    const up = this.tunnels.length - 1
    const isSettled = async (tunnel: RunningTunnel) => {
      // A report of hundreds of peers takes some ms of the host's processor time.
      await sleep(LOOK_MS)
      const { peers } = await tunnel.status('tun0')
      return peers.length === written + up && peers.filter(({ state }) => state === 'up').length === up
    }
    const endMs = performance.now() + SETTLED_MS
    for (const tunnel of this.tunnels)
      await until(`${tunnel.host.name} has all peers`, () => isSettled(tunnel), endMs - performance.now())
  }

  /** One more host starts. The others tell in their logs when it has become a peer, so nobody asks them meanwhile. */
  async joins(): Promise<Joined> {
    const others = [...this.tunnels]
    const index = others.length
    const startedMs = Date.now()
    const tunnel = await this.#start(index)
    const upMs = Date.parse(String((await tunnel.said(/ is up: /)).time))
    const added = (it: RunningTunnel) =>
      it.log.find(({ added }) => Array.isArray(added) && added.includes(`m${index}`))
    await until('all know who has joined', () => others.every((it) => added(it) !== undefined))
    const knownMs = Math.max(...others.map((it) => Date.parse(String(added(it)?.time))))
    return {
      upMs: upMs - startedMs,
      knownMs: knownMs - startedMs,
      knownAfterUpMs: knownMs - upMs,
    }
  }

  /** What `work` costs these hosts and etcd. */
  async cost(tunnels: readonly RunningTunnel[], work: () => Promise<unknown>): Promise<Cost> {
    const now = async () => ({
      ms: performance.now(),
      cpu: tunnels.map(({ pid }) => cpuSeconds([pid])),
      etcdCpu: cpuSeconds([this.etcd.pid]),
      requests: await this.#requests(),
    })
    const before = await now()
    await work()
    const after = await now()
    return {
      seconds: (after.ms - before.ms) / 1_000,
      cpu: after.cpu.map((it, at) => it - before.cpu[at]),
      etcdCpu: after.etcdCpu - before.etcdCpu,
      requests: after.requests - before.requests,
    }
  }

  /** Resident memory of each host, in MiB. */
  get memoryMiB(): number[] {
    return this.tunnels.map(({ pid }) => residentBytes([pid]) / 1_048_576)
  }

  /** How many calls etcd has got so far, by its own metrics. A watch is one. */
  async #requests(): Promise<number> {
    const metrics = await ok(this.#store, 'curl', '-sS', '--fail', `${this.etcd.url}/metrics`)
    const lines = metrics.matchAll(/^grpc_server_started_total\{.*grpc_service="etcdserverpb\..*\} (\S+)$/gm)
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.tunnels.map((it) => it.stop()))
    await this.etcd[Symbol.asyncDispose]()
    this.#network[Symbol.dispose]()
    this.#keys[Symbol.dispose]()
  }
}

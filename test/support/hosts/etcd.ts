import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from '../../../src/lab/host.js'
import { ok, run, until } from './lab.js'

/** Files for TLS, in PEM. */
export interface EtcdTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface EtcdOptions {
  /** Its own certificate. Clients must have one of the same authority then. */
  readonly tls?: EtcdTls
  /** Which node of a cluster it is, and how many there are. All are in one host. */
  readonly node?: readonly [index: number, count: number]
}

/** Ports of the first node. Those of the next one are 10 higher. */
const CLIENT_PORT = 2379
const PEER_PORT = 2380

/** Debian's etcd, one node of it, in a host. Its data outlives a stop. */
export class Etcd implements AsyncDisposable {
  readonly url: string
  /** Who etcdctl is, as NAME:PASSWORD; undefined while nobody is asked for that. */
  user: string | undefined
  readonly #host: Host
  readonly #tls: EtcdTls | undefined
  readonly #cluster: readonly string[]
  readonly #data = mkdtempSync(join(tmpdir(), 'udptun-etcd-'))
  #child: ChildProcess | undefined

  private constructor(host: Host, address: string, { tls, node: [index, count] = [0, 1] }: EtcdOptions) {
    this.#host = host
    this.#tls = tls
    this.url = `${tls === undefined ? 'http' : 'https'}://${address}:${CLIENT_PORT + 10 * index}`
    const peers = Array.from({ length: count }, (_, at) => `http://${address}:${PEER_PORT + 10 * at}`)
    this.#cluster = [
      ...['--name', `n${index}`, '--listen-peer-urls', peers[index]],
      ...['--initial-advertise-peer-urls', peers[index]],
      ...['--initial-cluster', peers.map((it, at) => `n${at}=${it}`).join()],
    ]
  }

  static async start(host: Host, address: string, options: EtcdOptions = {}): Promise<Etcd> {
    const etcd = new Etcd(host, address, options)
    await etcd.start()
    return etcd
  }

  async start(): Promise<void> {
    const tls = this.#tls
    this.#child = this.#host.spawn(
      'etcd',
      [
        ...['--data-dir', this.#data, '--logger', 'zap', '--log-level', 'error'],
        ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
        ...this.#cluster,
        ...(tls === undefined
          ? []
          : [
              '--client-cert-auth',
              '--trusted-ca-file',
              tls.ca,
              '--cert-file',
              tls.cert,
              '--key-file',
              tls.key,
            ]),
      ],
      { stdio: 'ignore' },
    )
    await until('etcd answers', () => this.does('endpoint', 'health'))
  }

  /** Of the process. */
  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('etcd does not run')
    return this.#child.pid
  }

  #run(...args: readonly string[]) {
    return run(this.#host, 'etcdctl', [...this.#flags(this.user), ...args])
  }

  #flags(user: string | undefined): string[] {
    const tls = this.#tls
    const files = tls === undefined ? [] : ['--cacert', tls.ca, '--cert', tls.cert, '--key', tls.key]
    return ['--endpoints', this.url, ...files, ...(user === undefined ? [] : ['--user', user])]
  }

  /** @returns what etcdctl has printed */
  ctl(...args: readonly string[]): Promise<string> {
    return ok(this.#host, 'etcdctl', ...this.#flags(this.user), ...args)
  }

  /** @returns whether etcdctl has done it */
  async does(...args: readonly string[]): Promise<boolean> {
    return (await this.#run(...args)).code === 0
  }

  /** The same as another user. @returns what etcdctl says that is wrong */
  async refusal(user: string, ...args: readonly string[]): Promise<string> {
    return (await run(this.#host, 'etcdctl', [...this.#flags(user), ...args])).stderr
  }

  /** All keys below `prefix`. */
  async keys(prefix: string): Promise<string[]> {
    return (await this.ctl('get', '--prefix', '--keys-only', prefix)).split('\n').filter((it) => it !== '')
  }

  async isLeader(): Promise<boolean> {
    const [{ Status }] = JSON.parse(await this.ctl('endpoint', 'status', '-w', 'json'))
    return Status.leader === Status.header.member_id
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#data, { recursive: true, force: true })
  }
}

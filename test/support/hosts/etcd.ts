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

/** Debian's etcd, one node of it, in a host. Its data outlives a stop. */
export class Etcd implements AsyncDisposable {
  readonly url: string
  /** Who etcdctl is, as NAME:PASSWORD; undefined while nobody is asked for that. */
  user: string | undefined
  readonly #host: Host
  readonly #address: string
  readonly #tls: EtcdTls | undefined
  readonly #data = mkdtempSync(join(tmpdir(), 'udptun-etcd-'))
  #child: ChildProcess | undefined

  private constructor(host: Host, address: string, tls: EtcdTls | undefined) {
    this.#host = host
    this.#address = address
    this.#tls = tls
    this.url = `${tls === undefined ? 'http' : 'https'}://${address}:2379`
  }

  /** @param tls its own certificate. Clients must have one of the same authority then */
  static async start(host: Host, address: string, tls?: EtcdTls): Promise<Etcd> {
    const etcd = new Etcd(host, address, tls)
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
        ...['--listen-peer-urls', `http://${this.#address}:2380`],
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
    await until('etcd answers', async () => (await this.#run('endpoint', 'health')).code === 0)
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

  /** The same as another user. @returns what etcdctl says that is wrong */
  async refusal(user: string, ...args: readonly string[]): Promise<string> {
    return (await run(this.#host, 'etcdctl', [...this.#flags(user), ...args])).stderr
  }

  /** All keys below `prefix`. */
  async keys(prefix: string): Promise<string[]> {
    return (await this.ctl('get', '--prefix', '--keys-only', prefix)).split('\n').filter((it) => it !== '')
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#data, { recursive: true, force: true })
  }
}

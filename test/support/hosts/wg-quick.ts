import { existsSync, fstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Host } from '../../../src/lab/host.js'
import { type Finished, run, until } from './lab.js'
import { KeyFolder, type KeyPair } from './wireguard-go.js'

/** The built command udptun-fast-wg, to run with node. */
export const WG_PROGRAM = fileURLToPath(new URL('../../../program/cli/wg.js', import.meta.url))

if (existsSync('/sys/module/wireguard'))
  throw new Error(
    'this kernel has WireGuard, so wg-quick starts no other program; unload it with: rmmod wireguard',
  )

/** A host with a file for the real wg-quick(8), which starts udptun-fast-wg or another program. */
export class WgQuick implements AsyncDisposable {
  readonly host: Host
  readonly folder = new KeyFolder()
  readonly own: KeyPair = this.folder.make('own')
  /** The hosts share /var/run, so its name is that of no other. */
  readonly device: string
  readonly path: string
  readonly socket: string
  readonly log: string
  readonly #program: string

  constructor(host: Host, program?: string) {
    this.host = host
    this.device = `wq${fstatSync(host.namespace.fd).ino}`
    this.path = join(this.folder.path, `${this.device}.conf`)
    this.socket = `/var/run/wireguard/${this.device}.sock`
    this.log = join(this.folder.path, 'log')
    const text = `#!/bin/sh\nexec ${process.execPath} ${WG_PROGRAM} "$@"`
    this.#program = program ?? this.folder.write('udptun-fast-wg', text, 0o700)
  }

  /** @param own lines of [Interface] @param peers lines, with their headings */
  write(own: readonly string[], ...peers: readonly string[]): void {
    const secret = readFileSync(this.own.file, 'latin1').trim()
    const lines = ['[Interface]', `PrivateKey = ${secret}`, ...own, ...peers]
    this.folder.write(`${this.device}.conf`, lines.join('\n'))
  }

  /** Runs wg-quick, or another program that sees the same environment. */
  run(...command: readonly string[]): Promise<Finished> {
    const environment = [`WG_QUICK_USERSPACE_IMPLEMENTATION=${this.#program}`, `UDPTUN_LOG_FILE=${this.log}`]
    return run(this.host, 'env', [...environment, ...command])
  }

  /** @throws Error with what wg-quick said, if it fails */
  async quick(command: 'up' | 'down' | 'save' | 'strip'): Promise<Finished> {
    const finished = await this.run('wg-quick', command, this.path)
    if (finished.code !== 0)
      throw new Error(`wg-quick ${command}: exit ${finished.code}: ${finished.stderr}${this.said}`)
    return finished
  }

  get said(): string {
    return existsSync(this.log) ? readFileSync(this.log, 'utf8') : ''
  }

  /** The pid of the program behind the device; undefined if there is none. */
  async pid(): Promise<number | undefined> {
    const { stdout } = await run(undefined, 'pgrep', ['-f', `wg\\.js.* ${this.device}$`])
    return stdout.trim() === '' ? undefined : Number(stdout.trim().split('\n')[0])
  }

  async ended(): Promise<void> {
    await until(
      `the program of ${this.device} has ended`,
      async () => (await this.pid()) === undefined,
      20_000,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(this.host, 'ip', ['link', 'delete', this.device])
    await this.ended()
    this.folder[Symbol.dispose]()
  }
}

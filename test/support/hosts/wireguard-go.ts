import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, fstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatKey } from '../../../src/key-text.js'
import type { Host } from '../../../src/lab/host.js'
import { clampPrivateKey, derivePublicKey } from '../../../src/noise/keys.js'
import { ok, until } from './lab.js'

/** A key pair in files, like a person has it. */
export interface KeyPair {
  readonly file: string
  readonly publicKey: string
}

/** The flags of `start` that make a tunnel private: the key of this end, and the public key of the other. */
export function keyFlags(own: KeyPair, other: KeyPair): string[] {
  return ['--private-key-file', own.file, '--peer-key', other.publicKey]
}

/** A folder for keys. It is removed with the test. */
export class KeyFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'udptun-keys-'))

  make(name: string): KeyPair {
    const key = clampPrivateKey(randomBytes(32))
    return { file: this.write(`${name}.key`, formatKey(key)), publicKey: formatKey(derivePublicKey(key)) }
  }

  preshared(name: string): string {
    return this.write(`${name}.psk`, formatKey(randomBytes(32)))
  }

  /** Only its owner can read the file, unless `mode` says otherwise. */
  write(name: string, content: string, mode = 0o600): string {
    const path = join(this.path, name)
    writeFileSync(path, `${content}\n`, { mode })
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}

const SOCKETS = '/var/run/wireguard'

/** Debian's wireguard-go in a host, configured with wg(8). */
export class WireGuardGo implements AsyncDisposable {
  readonly host: Host
  readonly device: string
  readonly #child: ChildProcess

  private constructor(host: Host, device: string, child: ChildProcess) {
    this.host = host
    this.device = device
    this.#child = child
  }

  /**
   * @param address its overlay address, with prefix
   * @param settings in the form of wg(8)'s `set`
   */
  static start(host: Host, address: string, ...settings: string[]): Promise<WireGuardGo> {
    return WireGuardGo.startProgram('wireguard-go', host, address, ...settings)
  }

  /** The same with another build of it. */
  static async startProgram(
    program: string,
    host: Host,
    address: string,
    ...settings: string[]
  ): Promise<WireGuardGo> {
    // The hosts share /var/run, so the name of the device must be unique on this machine.
    const device = `wg${fstatSync(host.namespace.fd).ino}`
    const child = host.spawn(program, ['-f', device], {
      env: { PATH: process.env.PATH, LOG_LEVEL: 'silent', WG_PROCESS_FOREGROUND: '1' },
      stdio: 'ignore',
    })
    const it = new WireGuardGo(host, device, child)
    await until(`${device} is there`, () => existsSync(join(SOCKETS, `${device}.sock`)), 10_000)
    await it.set(...settings)
    host.configure(device, [address], { mtuBytes: 1420 })
    return it
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('wireguard-go has not started')
    return this.#child.pid
  }

  async set(...settings: string[]): Promise<void> {
    await ok(this.host, 'wg', 'set', this.device, ...settings)
  }

  /** A column of `wg show`, for the only peer. */
  async show(what: 'endpoints' | 'latest-handshakes' | 'transfer'): Promise<string[]> {
    const line = await ok(this.host, 'wg', 'show', this.device, what)
    return line.trim().split(/\s+/).slice(1)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await ended
    rmSync(join(SOCKETS, `${this.device}.sock`), { force: true })
  }
}

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from '../../../src/lab/host.js'
import { type Finished, Program } from '../../../src/lab/program.js'
import { run } from '../hosts/lab.js'
import { debianRoot } from './debian.js'
import { CHECKOUT } from './machine.js'

/** As in the Dockerfile. */
const NODE_VERSION = 24

/** What the image is called. Nothing is ever fetched from a registry of images. */
export const IMAGE = 'localhost/udptun-fast'
const BASE = 'localhost/base'

/** Whatever is mounted goes with this. crun takes no mixture of both kinds of cgroups, so it sees one kind. */
const HOLD = `
set -e
mount --make-rprivate /
mount -t cgroup2 none /sys/fs/cgroup
echo ready
exec sleep 3600
`

/** A place for images and containers, which goes with all of them. */
export class Podman implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'udptun-podman-'))
  readonly #holder: Program
  readonly #env: readonly string[]

  private constructor() {
    const file = (name: string, text: string) => {
      writeFileSync(join(this.folder, name), text)
      return join(this.folder, name)
    }
    const storage = `[storage]\ndriver = "overlay"\nrunroot = "${this.folder}/run"\ngraphroot = "${this.folder}/graph"\n`
    // This machine may not let anybody raise a limit or make cgroups.
    const containers = `[containers]
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
`
    this.#env = [
      `CONTAINERS_STORAGE_CONF=${file('storage.conf', storage)}`,
      `CONTAINERS_CONF=${file('containers.conf', containers)}`,
    ]
    this.#holder = new Program(undefined, 'unshare', ['--mount', 'sh', '-c', HOLD])
  }

  static async open(): Promise<Podman> {
    const podman = new Podman()
    await new Promise<void>((resolve, reject) => {
      podman.#holder.onLine(() => resolve())
      void podman.#holder.ended.then(({ stderr }) => reject(new Error(`no place for containers: ${stderr}`)))
    })
    return podman
  }

  /** Runs podman or buildah to its end, in a host, or on this machine without one. */
  try(host: Host | undefined, command: 'podman' | 'buildah', ...args: readonly string[]): Promise<Finished> {
    const enter = ['--mount', '--target', `${this.#holder.pid}`, 'env', ...this.#env, command]
    return run(host, 'nsenter', [...enter, ...args], 600_000)
  }

  /** The same, but it must succeed. @returns what it printed */
  async do(
    host: Host | undefined,
    command: 'podman' | 'buildah',
    ...args: readonly string[]
  ): Promise<string> {
    const { code, stdout, stderr } = await this.try(host, command, ...args)
    if (code !== 0)
      throw new Error(`${command} ${args.join(' ')}: exit ${code}: ${(stderr || stdout).slice(-4_000)}`)
    return stdout.trim()
  }

  /**
   * Makes what stands for `node:24-bookworm-slim` of the Dockerfile: the files of a small Debian, Node.js as npm has it,
   * and this machine's npm.
   */
  async makeBase(): Promise<void> {
    // Nothing of tap.
    const { NODE_OPTIONS: _, ...env } = process.env
    const npm = (...args: string[]) => execFileSync('npm', args, { env, encoding: 'utf8' }).trim()
    const node = `node-linux-${process.arch}`
    npm(
      'install',
      '--no-audit',
      '--no-fund',
      '--prefix',
      join(this.folder, 'node'),
      `${node}@${NODE_VERSION}`,
    )
    const binary = join(this.folder, 'node/node_modules', node, 'bin/node')
    const made = await this.do(undefined, 'buildah', 'from', 'scratch')
    const copy = (from: string, to: string) =>
      this.do(undefined, 'buildah', 'copy', '--quiet', made, from, to)
    await copy(debianRoot(), '/')
    await copy(binary, '/usr/local/bin/node')
    await copy(join(npm('root', '--global'), 'npm'), '/usr/local/lib/node_modules/npm')
    const link = ['ln', '-s', '../lib/node_modules/npm/bin/npm-cli.js', '/usr/local/bin/npm']
    await this.do(undefined, 'buildah', 'run', '--isolation', 'chroot', made, '--', ...link)
    await this.do(undefined, 'buildah', 'commit', '--quiet', '--rm', made, BASE)
  }

  /** Builds the Dockerfile, with what this machine's npm has in its cache, and the certificates that it trusts. */
  async build(): Promise<void> {
    const own = join(homedir(), '.npmrc')
    const npmrc = join(this.folder, 'npmrc')
    writeFileSync(npmrc, `${existsSync(own) ? readFileSync(own, 'utf8') : ''}\nprefer-offline=true\n`)
    const cache = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim()
    mkdirSync(cache, { recursive: true })
    const seen = [`${cache}:/root/.npm:rw`, `${npmrc}:/root/.npmrc:ro`, '/etc/ssl/certs:/etc/ssl/certs:ro']
    const how = ['--isolation', 'chroot', '--network', 'host', '--format=docker', '--pull-never']
    const volumes = seen.flatMap((it) => ['--volume', it])
    const what = ['--build-arg', `BASE=${BASE}`, '--tag', IMAGE, CHECKOUT]
    await this.do(undefined, 'buildah', 'bud', ...how, ...volumes, ...what)
  }

  /** Starts a container in the background, with the network of a host. */
  async start(host: Host, name: string, flags: readonly string[], ...args: readonly string[]): Promise<void> {
    const all = [
      'run',
      '--detach',
      '--name',
      name,
      '--pull',
      'never',
      '--network',
      'host',
      ...flags,
      IMAGE,
      ...args,
    ]
    await this.do(host, 'podman', ...all)
  }

  /** Stops a container and removes it. @returns its exit code and its log */
  async stop(name: string): Promise<{ code: number; log: string }> {
    await this.do(undefined, 'podman', 'stop', '--time', '20', name)
    const code = Number(
      await this.do(undefined, 'podman', 'inspect', '--format', '{{.State.ExitCode}}', name),
    )
    const log = await this.do(undefined, 'podman', 'logs', name)
    await this.do(undefined, 'podman', 'rm', name)
    return { code, log }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.try(undefined, 'podman', 'rm', '--all', '--force', '--time', '1')
    await this.#holder.stop('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }
}

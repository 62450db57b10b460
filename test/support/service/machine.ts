import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Host } from '../../../src/lab/host.js'
import { type Finished, Program } from '../../../src/lab/program.js'
import { PLAIN, until } from '../hosts/lab.js'

/** The checkout that this file was compiled in. */
export const CHECKOUT = fileURLToPath(new URL('../../../..', import.meta.url))

/** Where a machine sees the checkout. Services do not see what is in a home directory. */
export const CHECKOUT_INSIDE = '/opt/checkout'

/**
 * Makes a root directory of this machine's own files, on top of which whatever is written goes to memory, and starts
 * systemd there. It sees none of this machine's processes, networks or cgroups, and can change no setting of the kernel
 * but those of its own network. None of this machine's services start. Arguments: a directory, the checkout, and the root
 * directory whose files it has.
 */
const BOOT = `
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
root=$1/root
mkdir "$1/upper" "$1/work" "$root"
mount -t overlay -o lowerdir="$3",upperdir="$1/upper",workdir="$1/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
cd "$root/dev"
mknod -m 666 null c 1 3; mknod -m 666 zero c 1 5; mknod -m 666 full c 1 7
mknod -m 666 random c 1 8; mknod -m 666 urandom c 1 9; mknod -m 666 tty c 5 0
mkdir net pts shm; mknod -m 666 net/tun c 10 200
ln -s /proc/self/fd fd; ln -s fd/0 stdin; ln -s fd/1 stdout; ln -s fd/2 stderr
cd "$root"
mkdir -p .before .${CHECKOUT_INSIDE}
mount --bind "$2" .${CHECKOUT_INSIDE}
mount -o remount,bind,ro .${CHECKOUT_INSIDE}
: > etc/fstab
rm -rf etc/systemd/system lib/systemd/system/*.wants var/log/journal var/lib/udptun-fast
mkdir -p etc/systemd/system lib/systemd/system/sysinit.target.wants
ln -s ../systemd-journald.service lib/systemd/system/sysinit.target.wants/
pivot_root . .before
umount -l .before
cd /
exec env -i container=udptun-fast-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --unit=basic.target --log-target=journal
`

/** Nothing of this process's, such as what npm and tap put there. */
const ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LANG=C.UTF-8',
  'DEBIAN_FRONTEND=noninteractive',
]

/** A machine whose first process is a real systemd: namespaces, and this machine's files. Needs root. */
export class Machine implements AsyncDisposable {
  readonly #directory: string
  readonly #unshare: Program
  #init = 0

  private constructor(root: string, host: Host | undefined) {
    this.#directory = mkdtempSync(join(tmpdir(), 'udptun-fast-machine-'))
    // However this process ends, the kernel ends the machine with it.
    const [env, ...rest] = [
      ...PLAIN,
      ...['setpriv', '--pdeathsig', 'KILL', 'unshare', host === undefined ? '-fpmunC' : '-fpmuC'],
      '--kill-child=KILL',
      ...['sh', '-c', BOOT, 'sh', this.#directory, CHECKOUT, root],
    ]
    this.#unshare = new Program(host, env, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /**
   * @param root the directory whose files it has: by default this machine's own
   * @param host whose network it has: by default one of its own, without any interface
   */
  static async boot(root = '/', host?: Host): Promise<Machine> {
    const machine = new Machine(root, host)
    try {
      await machine.#booted()
      return machine
    } catch (error) {
      await machine[Symbol.asyncDispose]()
      throw error
    }
  }

  async #booted(): Promise<void> {
    const { pid } = this.#unshare
    let said = ''
    try {
      await until(
        'systemd is up',
        async () => {
          if (!this.#unshare.running) throw new Error('it has ended')
          this.#init = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')) || 0
          if (this.#init === 0 || readFileSync(`/proc/${this.#init}/comm`, 'utf8') !== 'systemd\n')
            return false
          said = (await this.run('systemctl', 'is-system-running')).stdout.trim()
          return said === 'running' || said === 'degraded'
        },
        60_000,
      )
    } catch (error) {
      const { stdout, stderr } = this.#unshare
      throw new Error(
        `the machine does not come up (${said}): ${(error as Error).message}; ${stdout}${stderr}`,
      )
    }
  }

  /** Runs a program inside, to its end. */
  async run(command: string, ...args: string[]): Promise<Finished> {
    const inside = ['-t', String(this.#init), '-m', '-u', '-n', '-p', '-C', '-r', '-w']
    return new Program(undefined, 'nsenter', [...inside, 'env', '-i', ...ENVIRONMENT, command, ...args]).ended
  }

  /** Runs a program inside that must succeed. @returns what it printed */
  async ok(command: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, ...args)
    if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${code}: ${stderr || stdout}`)
    return stdout
  }

  /** Writes a file inside. */
  async write(path: string, text: string, mode = '0644'): Promise<void> {
    await this.ok(
      'sh',
      '-c',
      'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1" && chmod "$3" "$1"',
      'sh',
      path,
      text,
      mode,
    )
  }

  /** A property of a unit, as `systemctl show` prints it. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.ok('systemctl', 'show', '-P', name, unit)).trim()
  }

  /** Ends it. Waits until nothing of it is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#unshare.stop('SIGKILL')
    const gone = () => {
      try {
        // What was mounted there goes with the last process.
        rmdirSync(this.#directory)
        return true
      } catch {
        return false
      }
    }
    await until('the machine is gone', gone, 20_000)
  }
}

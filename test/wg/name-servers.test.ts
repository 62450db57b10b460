/** `DNS =` and `--dns`, by a real resolvconf. The hosts share this machine's files, so each test has copies of some. */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Host } from '../../src/lab/host.js'
import { journals } from '../support/hosts/host-state.js'
import { type Finished, PROGRAM, RunningTunnel, run, twoHosts, until } from '../support/hosts/lab.js'
import { KeyFolder } from '../support/hosts/wireguard-go.js'

const BEFORE = 'nameserver 192.0.2.254\nsearch home.example\n'

/** A mount namespace in which /etc is a copy, and /run is empty. */
class Files {
  readonly #host: Host
  readonly #holder: ChildProcess
  readonly #pid: number

  private constructor(host: Host, holder: ChildProcess) {
    this.#host = host
    this.#holder = holder
    this.#pid = holder.pid ?? 0
  }

  /** @param more commands to do inside */
  static async of(host: Host, keys: KeyFolder, more = 'true'): Promise<Files> {
    const script = `set -e; cp -a /etc "$1/etc"; printf '%s' "$0" > "$1/etc/resolv.conf"; rm -f "$1/etc/resolv.conf.bak"
      mount --bind "$1/etc" /etc; mount -t tmpfs none /run; ${more}; touch /run/ready; exec sleep infinity`
    const holder = host.spawn('unshare', [
      '-m',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      BEFORE,
      keys.path,
    ])
    const files = new Files(host, holder)
    await until('the files are there', () => files.read('/run/ready') !== undefined, 20_000)
    return files
  }

  read(path: string): string | undefined {
    try {
      return readFileSync(`/proc/${this.#pid}/root${path}`, 'utf8')
    } catch {
      return undefined
    }
  }

  /** Runs a program inside, to its end. */
  run(...command: string[]): Promise<Finished> {
    return run(this.#host, 'nsenter', ['-m', '-t', `${this.#pid}`, ...command])
  }

  async start(...args: string[]): Promise<RunningTunnel> {
    const command = ['nsenter', '-m', '-t', `${this.#pid}`, process.execPath, PROGRAM] as const
    const tunnel = new RunningTunnel(this.#host, [...args, '--warm-up', 'off', '--datapath', 'workers'], [], {
      command: [...command],
    })
    await tunnel.said(/ is up: /)
    return tunnel
  }

  [Symbol.dispose](): void {
    this.#holder.kill('SIGKILL')
  }
}

t.test('they are set, and what was there before comes back', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  using files = await Files.of(pair.a, keys)
  const noted = journals()
  const resolv = () => files.read('/etc/resolv.conf') ?? ''
  const lines = () =>
    resolv()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
  t.equal(resolv(), BEFORE)
  const key = readFileSync(keys.make('a').file, 'utf8').trim()
  const path = keys.write(
    'a.conf',
    `[Interface]\nPrivateKey = ${key}\nAddress = 10.66.0.2/24\nDNS = 10.66.0.1, fd66::1 # ours\nDNS = corp.example, lab.example\n`,
  )
  const wanted = ['search corp.example lab.example', 'nameserver 10.66.0.1', 'nameserver fd66::1']
  const first = await files.start('--wireguard', path)
  t.same(lines(), wanted)
  await first.stop()
  t.equal(resolv(), BEFORE, 'after SIGTERM')
  t.same(journals(), noted)

  const second = await files.start('--wireguard', path)
  second.child.kill('SIGKILL')
  await second.ended
  t.same(lines(), wanted, 'a killed one leaves them')
  const third = await files.start('10.9.0.1', pair.underlay.b)
  await third.said(/taken back what a killed tunnel had left on this host: 1 name servers/)
  t.equal(resolv(), BEFORE, 'after the next start')
  await third.stop()

  const tap = await files.start('10.9.0.1', pair.underlay.b, '--dns', '10.9.0.53')
  t.same(lines(), ['nameserver 10.9.0.53'], 'in mode tap, too')
  await tap.stop()
  t.equal(resolv(), BEFORE)
  t.same(journals(), noted)
})

t.test('they are saved as by wg-quick, which asks resolvconf; but search domains stay', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  using files = await Files.of(pair.a, keys)
  const key = readFileSync(keys.make('a').file, 'utf8').trim()
  const text = `[Interface]\nPrivateKey = ${key}\nAddress = 10.66.0.2/24\nDNS = 10.66.0.1, corp.example,fd66::1\nDNS = lab.example\n`
  const ours = keys.write('wg0.conf', text)
  mkdirSync(join(keys.path, 'copy'))
  const theirs = keys.write('copy/wg0.conf', text)
  const tunnel = await files.start('--wireguard', ours, '--dev', 'wg0')
  const saved = await files.run(process.execPath, PROGRAM, 'save', ours)
  t.equal(saved.code, 0, saved.stderr)
  const quick = await files.run('wg-quick', 'save', theirs)
  t.equal(quick.code, 0, quick.stderr)
  const linesOf = (path: string) => readFileSync(path, 'utf8').match(/^DNS = .*$/gm) ?? []
  t.same(linesOf(theirs), ['DNS = 10.66.0.1', 'DNS = fd66::1'])
  t.same(
    linesOf(ours).filter((line) => !line.endsWith('.example')),
    linesOf(theirs),
  )
  t.same(
    linesOf(ours).filter((line) => line.endsWith('.example')),
    ['DNS = corp.example', 'DNS = lab.example'],
  )
  await tunnel.stop()

  t.comment('the saved file sets the same')
  const again = await files.start('--wireguard', ours, '--dev', 'wg0')
  t.match(
    files.read('/etc/resolv.conf'),
    /^search corp\.example lab\.example\nnameserver 10\.66\.0\.1\nnameserver fd66::1$/m,
  )
  await again.stop()
})

t.test('where there is no such program, one sentence says so', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const hide = 'for it in $(which resolvconf resolvectl); do mount --bind /dev/null $it; done'
  using files = await Files.of(pair.a, keys, hide)
  const tunnel = await files.start('10.9.0.1', pair.underlay.b, '--dns', '10.9.0.53,example.net')
  await tunnel.said(
    /^the name servers 10\.9\.0\.53 are not set \(there is neither resolvectl nor resolvconf\)/,
  )
  t.equal(files.read('/etc/resolv.conf'), BEFORE)
  await tunnel.stop()
  const domain = await files.start('10.9.0.1', pair.underlay.b, '--dns', 'example.net')
  await domain.said(/^example\.net: without a name server, search domains are not set/)
  await domain.stop()
})

t.test('where resolvconf cannot write the file, and ends with 0, one sentence says so', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const readOnly = 'mount --bind /etc/resolv.conf /etc/resolv.conf; mount -o remount,bind,ro /etc/resolv.conf'
  using files = await Files.of(pair.a, keys, readOnly)
  const tunnel = await files.start('10.9.0.1', pair.underlay.b, '--dns', '10.9.0.53')
  await tunnel.said(
    /^the name servers 10\.9\.0\.53 may not be set \(resolvconf: .*resolv\.conf: Read-only file system.*\)$/,
  )
  t.equal(files.read('/etc/resolv.conf'), BEFORE)
  await tunnel.stop()
})

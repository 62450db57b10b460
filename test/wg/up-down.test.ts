/** `udptun-fast up`, `down` and `save` do what wg-quick(8) does with the same file. */
import {
  chownSync,
  existsSync,
  fstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Host } from '../../src/lab/host.js'
import { type Finished, Program } from '../../src/lab/program.js'
import { hostState } from '../support/hosts/host-state.js'
import { ok, PLAIN, run, twoHosts, until, untilPing } from '../support/hosts/lab.js'
import { KeyFolder, type KeyPair } from '../support/hosts/wireguard-go.js'
import { PROGRAM } from '../support/program.js'

const PORT = 51_820
const LIGHT = ['--warm-up', 'off', '--datapath', 'workers']
const WITHIN_MS = 20_000

/** A host with a file for wg-quick(8). */
class End implements AsyncDisposable {
  readonly host: Host
  readonly folder = new KeyFolder()
  readonly own: KeyPair = this.folder.make('own')
  /** The hosts share /var/run, so its name is that of no other. */
  readonly device: string
  readonly path: string
  readonly log = join(this.folder.path, 'log')
  /** What hooks write. */
  readonly record = join(this.folder.path, 'record')

  constructor(host: Host) {
    this.host = host
    this.device = `ud${fstatSync(host.namespace.fd).ino}`
    this.path = join(this.folder.path, `${this.device}.conf`)
  }

  /** @param own lines of [Interface] @param peers lines, with their headings */
  write(own: readonly string[], peers: readonly string[] = []): void {
    const secret = readFileSync(this.own.file, 'latin1').trim()
    rmSync(this.record, { force: true })
    rmSync(this.log, { force: true })
    const lines = ['[Interface]', `PrivateKey = ${secret}`, ...own, ...peers]
    this.folder.write(`${this.device}.conf`, lines.join('\n'))
  }

  run(command: string, ...args: string[]): Promise<Finished> {
    const environment = [`UDPTUN_LOG_FILE=${this.log}`, `RECORD=${this.record}`]
    return run(this.host, 'env', [...environment, process.execPath, PROGRAM, command, ...args])
  }

  up(...args: string[]): Promise<Finished> {
    return this.run('up', ...LIGHT, ...args, this.path)
  }

  foreground(...args: string[]): Program {
    const command = ['up', '--foreground', ...LIGHT, ...args, this.path]
    const environment = [`RECORD=${this.record}`, process.execPath, PROGRAM]
    const [env, ...rest] = [...PLAIN, ...environment, ...command]
    return new Program(this.host, env, rest)
  }

  get recorded(): string[] {
    return existsSync(this.record) ? readFileSync(this.record, 'utf8').trimEnd().split('\n') : []
  }

  get said(): string {
    return existsSync(this.log) ? readFileSync(this.log, 'utf8') : ''
  }

  async pids(): Promise<number[]> {
    const { stdout } = await run(undefined, 'pgrep', ['-f', `main\\.js up --foreground .*${this.device}`])
    return stdout.split('\n').filter(Boolean).map(Number)
  }

  async hasDevice(): Promise<boolean> {
    return (await run(this.host, 'ip', ['link', 'show', this.device])).code === 0
  }

  /** Nothing of the tunnel is there. */
  async gone(t: Test): Promise<void> {
    t.notOk(await this.hasDevice(), 'no device')
    await until(`no process of ${this.device}`, async () => (await this.pids()).length === 0, WITHIN_MS)
    t.notOk(existsSync(`/var/run/wireguard/${this.device}.sock`), 'no socket for wg')
    t.notOk(
      readdirSync('/run/udptun-fast').some((it) => it.includes(this.device)),
      'no socket for commands',
    )
    t.notOk(existsSync(`${this.path}.tmp`), 'no half file')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of await this.pids()) process.kill(pid, 'SIGKILL')
    await until('ended', async () => (await this.pids()).length === 0, WITHIN_MS)
    this.folder[Symbol.dispose]()
  }
}

const peer = (of: End, endpoint: string, ...lines: string[]) => [
  '[Peer]',
  `PublicKey = ${of.own.publicKey}`,
  `Endpoint = ${endpoint}`,
  ...lines,
]

const note = (what: string) => `echo ${what} %i $(ip -br -4 addr show %i 2> /dev/stdout) >> "$RECORD"`
const NOTING = ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map((name) => `${name} = ${note(name)}`)

t.test('up, save and down, with hooks, at both ends', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  await using b = new End(pair.b)
  a.write(
    [
      'Address = 10.9.0.1/24, fd00:9::1/64',
      `ListenPort = ${PORT}`,
      'MTU = 1380',
      'PostUp = echo two; echo three > /dev/stderr',
      ...NOTING,
    ],
    peer(b, `${pair.underlay.b}:${PORT}`, 'AllowedIPs = 10.9.0.2/32, fd00:9::2/128, 10.77.0.0/24'),
  )
  b.write(
    ['Address = 10.9.0.2/24, 10.77.0.1/32', `ListenPort = ${PORT}`],
    peer(a, `${pair.underlay.a}:${PORT}`, 'AllowedIPs = 10.9.0.1/32'),
  )
  const before = await hostState(pair.a)
  const refused = await a.up()
  t.equal(refused.code, 2)
  t.match(
    refused.stderr,
    /commands to run \(PostUp, PreUp, PreDown, PostDown\).*--allow-hooks.*--skip-hooks\n$/,
  )
  for (const [end, ...flags] of [[a, '--allow-hooks'], [b]] as const) {
    const { code, stdout, stderr } = await end.up(...flags)
    t.same([code, stdout], [0, ''], stderr)
    if (end === a)
      t.match(stderr, /\[#\] echo two; echo three > \/dev\/stderr\ntwo\nthree\n\[#\] echo PostUp/)
  }
  await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
  await untilPing(pair.a, '10.77.0.1', WITHIN_MS)
  const again = await a.up('--allow-hooks')
  t.equal(again.code, 1)
  t.match(again.stderr, /^udptun-fast: \S+ is up already; end it with: udptun-fast down \S+\n$/)

  t.comment(
    'the file that is saved is that of the real wg-quick, but for the address that the kernel has made',
  )
  await ok(pair.a, 'wg', 'set', a.device, 'listen-port', '7000', 'fwmark', '0x7')
  await ok(pair.a, 'ip', 'address', 'add', '10.9.7.7/24', 'dev', a.device)
  const psk = a.folder.preshared('psk')
  await ok(
    pair.a,
    'wg',
    'set',
    a.device,
    'peer',
    a.folder.make('other').publicKey,
    'preshared-key',
    psk,
    'persistent-keepalive',
    '25',
  )
  const copy = join(a.folder.path, 'copy')
  mkdirSync(copy)
  const theirs = join(copy, `${a.device}.conf`)
  writeFileSync(theirs, readFileSync(a.path), { mode: 0o600 })
  const wgQuick = await run(pair.a, 'wg-quick', ['save', theirs])
  t.equal(wgQuick.code, 0, wgQuick.stderr)
  const saved = await a.run('save', a.path)
  t.same([saved.code, saved.stdout, saved.stderr], [0, '', ''])
  t.equal(readFileSync(a.path, 'utf8'), readFileSync(theirs, 'utf8').replace(/^Address = fe80.*\n/m, ''))
  t.equal(statSync(a.path).mode & 0o777, 0o600)
  t.match(readFileSync(a.path, 'utf8'), /^MTU = 1380$/m)

  const { code, stdout, stderr } = await a.run('down', a.device)
  t.same([code, stdout], [0, ''], stderr)
  t.match(stderr, /^\[#\] echo PreDown .*\n\[#\] echo PostDown .*\n$/)
  await a.gone(t)
  t.same(
    a.recorded.map((line) =>
      line
        .replaceAll(a.device, 'DEVICE')
        .replace(/fd00.*/, '')
        .trimEnd(),
    ),
    [
      'PreUp DEVICE Device "DEVICE" does not exist.',
      'PostUp DEVICE DEVICE UNKNOWN 10.9.0.1/24',
      'PreDown DEVICE DEVICE UNKNOWN 10.9.0.1/24 10.9.7.7/24',
      'PostDown DEVICE Device "DEVICE" does not exist.',
    ],
  )
  t.same(await hostState(pair.a), before)
  const down = await a.run('down', a.path)
  t.equal(down.code, 1)
  t.match(down.stderr, /^udptun-fast: no tunnel of this program runs for \S+ here; start one with: .*\n$/)

  t.comment('the saved file is good for the next start; --skip-hooks runs none')
  rmSync(a.record)
  t.equal((await a.up('--skip-hooks')).code, 0)
  t.match(await ok(pair.a, 'wg', 'showconf', a.device), /ListenPort = 7000\nFwMark = 0x7\n/)
  t.match(await ok(pair.a, 'ip', 'address', 'show', a.device), /10\.9\.7\.7/)
  t.equal((await a.run('save', a.device)).code, 0)
  t.match(readFileSync(a.path, 'utf8'), /^PostUp = echo two/m, 'but they are kept')
  const other = await a.run('down', theirs)
  t.equal(other.code, 1)
  t.match(other.stderr, /this tunnel was started from \S+, not from \S+copy/)
  t.equal((await a.run('down', a.path)).code, 0)
  await a.gone(t)
  t.same(a.recorded, [])
  t.equal((await b.run('down', b.device)).code, 0)
  await b.gone(t)
})

t.test('a hook that fails', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  const before = await hostState(pair.a)
  for (const failing of ['PreUp', 'PostUp'] as const) {
    a.write(['Address = 10.9.0.1/24', ...NOTING, `${failing} = exit 3`, `${failing} = ${note('never')}`])
    const { code, stderr } = await a.up('--allow-hooks')
    t.equal(code, 1)
    t.match(stderr, new RegExp(`udptun-fast: ${failing} has failed \\(exit code 3\\): exit 3\n$`))
    const names = a.recorded.map((line) => line.split(' ')[0])
    t.same(names, failing === 'PreUp' ? ['PreUp'] : ['PreUp', 'PostUp'])
    await a.gone(t)
    t.same(await hostState(pair.a), before)
  }

  t.comment('PreDown: the tunnel stays, as with wg-quick')
  const open = join(a.folder.path, 'gate')
  a.write(['Address = 10.9.0.1/24', 'SaveConfig = true', `PreDown = test -e ${open}`, ...NOTING])
  t.equal((await a.up('--allow-hooks')).code, 0)
  const stays = await a.run('down', a.device)
  t.equal(stays.code, 1)
  t.match(stays.stderr, /udptun-fast: PreDown has failed \(exit code 1\): test -e/)
  t.ok(await a.hasDevice())
  writeFileSync(open, '')
  t.equal((await a.run('down', a.device)).code, 0)
  await a.gone(t)
  t.match(readFileSync(a.path, 'utf8'), /^SaveConfig = true$/m)
  t.match(readFileSync(a.path, 'utf8'), /^ListenPort = [1-9]/m, 'SaveConfig has saved it')

  t.comment('PostDown: the device is gone, and down says what has failed')
  a.write(['Address = 10.9.0.1/24', 'PostDown = false', ...NOTING])
  t.equal((await a.up('--allow-hooks')).code, 0)
  const late = await a.run('down', a.device)
  t.equal(late.code, 1)
  t.match(late.stderr, /udptun-fast: PostDown has failed \(exit code 1\): false\n$/)
  await a.gone(t)
})

t.test('a file that a reload refuses gives no hooks', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  await using b = new End(pair.b)
  const hook = (name: string) => `PostDown = echo ${name} >> "$RECORD"`
  a.write(['Address = 10.9.0.1/24', hook('first')])
  t.equal((await a.up('--allow-hooks')).code, 0)
  a.write(['Address = 10.9.0.1/24', hook('refused')], peer(b, '10.9.0.9:1', 'AllowedIPs = 10.9.0.9/32'))
  const { code, stderr } = await a.run('reload', a.device)
  t.equal(code, 1)
  t.match(stderr, /10\.9\.0\.9/)
  t.equal((await a.run('down', a.device)).code, 0)
  t.same(a.recorded, ['first'])
  await a.gone(t)
})

t.test('a command is run as by wg-quick', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  const commands = [
    'false; true',
    'false | true',
    'false || true',
    'true && false || echo or >> "$RECORD"',
    'echo a{1,2} $LC_ALL >> "$RECORD"',
    '[[ xy == @(x|y)+(y) ]] && echo extended >> "$RECORD"',
    'x=1; (exit 7); echo $x >> "$RECORD"',
    'for i in %i %i; do echo $i; done >> "$RECORD" # a comment',
    'no-such-program-here',
    'echo "unfinished',
    `printf '%s ' "a  b" c >> "$RECORD"`,
    'f() { echo in f >> "$RECORD"; }; f',
    'export KEPT=1',
  ]
  for (const command of commands) {
    a.write([`PreUp = ${command}`, 'PreUp = echo after $KEPT. >> "$RECORD"', 'PreUp = exit 9'])
    const ours = await a.up('--allow-hooks')
    const here = a.recorded
    rmSync(a.record, { force: true })
    const theirs = await run(pair.a, 'env', [`RECORD=${a.record}`, 'wg-quick', 'up', a.path])
    t.same(here, a.recorded, command)
    t.equal(ours.code, 1)
    t.not(theirs.code, 0)
    const asked = (text: string) =>
      text.split('\n').filter((line) => line.startsWith('[#]') && !/ip link/.test(line))
    t.same(asked(ours.stderr), asked(theirs.stderr), command)
  }
})

t.test('a file that is saved keeps its owner', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  a.write(['Address = 10.9.0.1/24'])
  t.equal((await a.up()).code, 0)
  chownSync(a.path, 65_534, 65_533)
  const before = statSync(a.path)
  t.equal((await a.run('save', a.device)).code, 0)
  const { uid, gid, mode, ino } = statSync(a.path)
  t.same([uid, gid, mode & 0o777], [65_534, 65_533, 0o600])
  t.not(ino, before.ino, 'it was written')
  t.match(readFileSync(a.path, 'utf8'), /^ListenPort = [1-9]/m)
  t.equal((await a.run('down', a.device)).code, 0)
  await a.gone(t)
  const { code, stderr } = await a.up()
  t.match([code, stderr], [2, /another user's \(uid 65534\)/], 'but nobody starts it')
})

t.test('hooks run where up and down are called', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  const folders = ['up', 'down'].map((name) => join(a.folder.path, name))
  const [upIn, downIn] = folders
  for (const folder of folders) mkdirSync(folder)
  const noting = ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map(
    (name) => `${name} = echo ${name} $PWD >> "$RECORD"`,
  )
  const call = (cwd: string, ...args: string[]) => {
    const command = ['cd "$0" && exec "$@"', cwd, process.execPath, PROGRAM, ...args]
    const environment = [`UDPTUN_LOG_FILE=${a.log}`, `RECORD=${a.record}`]
    return run(pair.a, 'env', [...environment, 'sh', '-c', ...command])
  }
  const upThere = async () => {
    a.write(['Address = 10.9.0.1/24', ...noting])
    const { code, stderr } = await call(upIn, 'up', ...LIGHT, '--allow-hooks', a.path)
    t.equal(code, 0, stderr)
  }
  await upThere()
  const { code, stderr } = await call(downIn, 'down', a.device)
  t.equal(code, 0, stderr)
  t.same(a.recorded, [`PreUp ${upIn}`, `PostUp ${upIn}`, `PreDown ${downIn}`, `PostDown ${downIn}`])
  await a.gone(t)

  t.comment('a signal has no directory')
  await upThere()
  for (const pid of await a.pids()) process.kill(pid, 'SIGTERM')
  await until('ended', () => a.recorded.length === 4, WITHIN_MS)
  t.same(a.recorded.slice(2), [`PreDown ${upIn}`, `PostDown ${upIn}`])
  await a.gone(t)

  t.comment('that of up is gone')
  await upThere()
  rmSync(upIn, { recursive: true })
  for (const pid of await a.pids()) process.kill(pid, 'SIGTERM')
  await until('ended', () => a.recorded.length === 4, WITHIN_MS)
  t.same(a.recorded.slice(2), ['PreDown /', 'PostDown /'])
  await a.gone(t)
})

t.test('in the foreground, and what ends it', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  const names = () => a.recorded.map((line) => line.split(' ')[0])
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    a.write(['Address = 10.9.0.1/24', 'SaveConfig = true', ...NOTING])
    const program = a.foreground('--allow-hooks')
    await until('up', () => names().includes('PostUp'), WITHIN_MS)
    // SIGTERM may come while PostUp is still the last command.
    await until('asked', async () => (await a.run('save', a.device)).code === 0, WITHIN_MS)
    const { code, stdout, stderr } = await program.stop(signal)
    t.same([code, stderr], [0, ''])
    t.match(stdout, new RegExp(`stopped by ${signal}"`))
    t.same(names(), ['PreUp', 'PostUp', 'PreDown', 'PostDown'])
    t.match(readFileSync(a.path, 'utf8'), /^ListenPort = [1-9]/m)
    await a.gone(t)
  }

  t.comment('somebody deletes the device')
  a.write(['Address = 10.9.0.1/24', ...NOTING])
  const program = a.foreground('--allow-hooks')
  await until('asked', async () => (await a.run('save', a.device)).code === 0, WITHIN_MS)
  await ok(pair.a, 'ip', 'link', 'delete', a.device)
  t.equal((await program.ended).code, 1)
  t.same(names(), ['PreUp', 'PostUp', 'PostDown'])
  await a.gone(t)

  t.comment('killed: the next up is like the first')
  a.write(['Address = 10.9.0.1/24', ...NOTING])
  t.equal((await a.up('--allow-hooks')).code, 0)
  for (const pid of await a.pids()) process.kill(pid, 'SIGKILL')
  await until('the device is gone', async () => !(await a.hasDevice()), WITHIN_MS)
  t.equal((await a.up('--allow-hooks')).code, 0)
  t.equal((await a.run('down', a.device)).code, 0)
  t.same(names(), ['PreUp', 'PostUp', 'PreUp', 'PostUp', 'PreDown', 'PostDown'])
  await a.gone(t)
})

t.test('while a hook runs, the tunnel answers; and whoever waits may be interrupted', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  const open = join(a.folder.path, 'gate')
  const wait = `touch "$RECORD"; until [ -e ${open} ]; do sleep 0.05; done`
  a.write(['Address = 10.9.0.1/24', `PostUp = ${wait}`])
  const starting = a.up('--allow-hooks')
  await until('the hook runs', () => existsSync(a.record), WITHIN_MS)
  t.equal((await a.run('status', a.device)).code, 0)
  const early = await a.run('down', a.device)
  t.match([early.code, early.stderr], [1, /still starting/])
  writeFileSync(open, '')
  t.equal((await starting).code, 0)
  t.equal((await a.run('down', a.device)).code, 0)

  for (const moment of ['PreUp', 'PostUp']) {
    rmSync(open, { force: true })
    a.write(['Address = 10.9.0.1/24', `${moment} = ${wait}`])
    const [env, ...rest] = [...PLAIN, `RECORD=${a.record}`, process.execPath, PROGRAM, 'up', '--allow-hooks']
    const program = new Program(pair.a, env, [...rest, ...LIGHT, '--log-file', a.log, a.path])
    await until('the hook runs', () => existsSync(a.record), WITHIN_MS)
    const { code, stderr } = await program.stop('SIGINT')
    t.equal(code, 1)
    t.match(stderr, /stopped by SIGINT before the device was there\n$/, moment)
    await a.gone(t)
  }
})

t.test('whoever waits for the end is answered, whatever ends the tunnel', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  const open = join(a.folder.path, 'gate')
  const wait = `PreDown = touch "$RECORD"; until [ -e ${open} ]; do sleep 0.05; done`

  t.comment('a signal comes meanwhile')
  a.write(['Address = 10.9.0.1/24', wait, 'PostDown = echo over'])
  t.equal((await a.up('--allow-hooks')).code, 0)
  const first = a.run('down', a.device)
  await until('the hook runs', () => existsSync(a.record), WITHIN_MS)
  for (const pid of await a.pids()) process.kill(pid, 'SIGTERM')
  writeFileSync(open, '')
  const answer = await first
  t.equal(answer.code, 0)
  t.match(answer.stderr, /^over$/m)
  await a.gone(t)

  t.comment('a hook deletes the device')
  a.write(['Address = 10.9.0.1/24', 'PreDown = ip link delete %i', 'PostDown = echo over'])
  t.equal((await a.up('--allow-hooks')).code, 0)
  const { code, stderr } = await a.run('down', a.device)
  t.equal(code, 0)
  t.match(stderr, /^over$/m)
  await a.gone(t)
})

t.test('what cannot start says why, and what is only a warning is seen, too', async (t) => {
  using pair = twoHosts()
  await using a = new End(pair.a)
  a.write(['Address = 10.9.0.1/24', 'ListenPort = 99999'])
  const wrong = await a.up()
  t.match([wrong.code, wrong.stderr], [2, /^udptun-fast: \S+\.conf:4: ListenPort: [^\n]*\n$/])
  await ok(pair.a, 'ip', 'tuntap', 'add', a.device, 'mode', 'tun')
  a.write(['Address = 10.9.0.1/24'])
  const taken = await a.up()
  t.match([taken.code, taken.stderr], [1, /there is a device \S+ already, of another program/])
  await ok(pair.a, 'ip', 'link', 'delete', a.device)
  t.equal((await run(undefined, 'chmod', ['644', a.path])).code, 0)
  const warned = await a.up()
  t.equal(warned.code, 0)
  t.match(warned.stderr, /^udptun-fast: \S+ can be read or written by others.*\n$/)
  t.match(a.said, /can be read or written by others/)
  t.equal((await a.run('down', a.device)).code, 0)
  const both = await a.up('--allow-hooks', '--skip-hooks')
  t.match([both.code, both.stderr], [2, /contradict each other/])
})

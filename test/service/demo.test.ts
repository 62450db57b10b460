import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import type { DemoEvent, Measured } from '../../src/demo/run.js'
import { PROGRAM, until } from '../support/hosts/lab.js'

/** What every process of a demo has in its environment, so that it is found whatever else runs here. */
const MARK = 'UDPTUN_FAST_DEMO_TEST'

/** A demo that runs, by itself or under another program that is the first of the command. */
class Demo {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  /** The network namespaces that its programs have been seen in, beside this one's. */
  readonly namespaces = new Set<string>()
  readonly #mark = `${MARK}=${randomUUID()}`
  readonly #closed: Promise<unknown[]>

  constructor(command: readonly string[]) {
    const env = { ...process.env, [MARK]: this.#mark.slice(MARK.length + 1) }
    this.child = spawn(command[0], command.slice(1), { env })
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.#closed = once(this.child, 'close')
  }

  static run(...args: readonly string[]): Demo {
    return new Demo([process.execPath, PROGRAM, 'demo', ...args])
  }

  /** In a terminal of its own, as script(1) makes one; what is written to its standard input is typed. */
  static inTerminal(args: readonly string[], { size = 'cols 100 rows 45', term = 'xterm' } = {}): Demo {
    const line = `stty ${size}; TERM=${term} exec ${[process.execPath, PROGRAM, 'demo', ...args].join(' ')}`
    return new Demo(['script', '--quiet', '--return', '--command', line, '/dev/null'])
  }

  /** Exit code or signal. */
  async ended(): Promise<unknown> {
    const [code, signal] = await this.#closed
    return code ?? signal
  }

  /** Waits until something has been printed, and notes where its programs run. */
  async printed(pattern: RegExp): Promise<void> {
    await until(`${pattern} of the demo`, () => pattern.test(this.stdout), 60_000)
    for (const pid of this.processes()) {
      const namespace = namespaceOf(pid)
      if (namespace !== undefined && namespace !== namespaceOf('self')) this.namespaces.add(namespace)
    }
  }

  get events(): DemoEvent[] {
    return this.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  }

  /** Its processes that run. */
  processes(): string[] {
    return pids().filter((pid) =>
      attempt(() => readFileSync(`/proc/${pid}/environ`, 'latin1'))?.includes(this.#mark),
    )
  }

  /** Checks that nothing of it is left: no process, namespace, interface or status socket. */
  async leavesNothing(t: Test): Promise<void> {
    await until('its processes have ended', () => this.processes().length === 0)
    t.equal(this.namespaces.size, 2, 'it had two hosts')
    const named = [...this.namespaces].map((namespace) => `net:[${namespace}]`)
    // Interfaces are gone with their namespace, that with the last process or fd that refers to it.
    const referring = pids().filter((pid) =>
      [`/proc/${pid}/ns/net`, ...links(`/proc/${pid}/fd`)].some((path) => named.includes(target(path) ?? '')),
    )
    t.same(referring, [], 'no process is in its hosts or holds them')
    const sockets = attempt(() => readdirSync('/run/udptun-fast')) ?? []
    t.same(
      sockets.filter((name) => this.namespaces.has(name.split('-')[0])),
      [],
      'no status socket',
    )
    t.same(devices(), DEVICES_BEFORE, 'no interface here')
  }
}

/** What `read` reads of /proc, or undefined when that has gone meanwhile. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name))
const links = (folder: string) => (attempt(() => readdirSync(folder)) ?? []).map((name) => join(folder, name))
const target = (path: string) => attempt(() => readlinkSync(path))
const namespaceOf = (pid: string) => /\d+/.exec(target(`/proc/${pid}/ns/net`) ?? '')?.[0]
const devices = () => readdirSync('/sys/class/net').sort()
const DEVICES_BEFORE = devices()

t.test('it runs to its end, with figures that can be, and leaves nothing', async (t) => {
  const demo = Demo.run('--seconds', '1')
  await demo.printed(/"event":"sample"/)
  t.equal(await demo.ended(), 0)
  t.equal(demo.stderr, '')

  const names = demo.events.map(({ event }) => event)
  t.same([...new Set(names)], ['hosts', 'tunnels', 'ping', 'sample', 'result'])
  t.equal(names.filter((name) => name === 'tunnels').length, 2, 'by the kernel, and then through the workers')
  const pings = names.filter((name) => name === 'ping').length
  t.ok(pings >= 20 && pings <= 80, 'pings until they settle')
  t.ok(names.filter((name) => name === 'sample').length > 3, 'it showed how it went')

  const result = demo.events.at(-1)
  if (result?.event !== 'result') throw new Error('no result')
  t.comment(result)
  t.equal(result.datapath, 'kernel')
  t.equal(result.workers?.datapath, 'workers')
  for (const measured of [result, result.workers]) figuresCanBe(t, measured)
  await demo.leavesNothing(t)
})

function figuresCanBe(t: Test, measured: Measured | null): void {
  if (measured === null) throw new Error('nothing was measured')
  const { tcp, round_trip_ms, frames, drops } = measured
  t.ok(tcp.seconds > 0.7 && tcp.seconds < 4, 'TCP ran for about a second')
  t.ok(tcp.gbit_per_s > 0.02 && tcp.gbit_per_s < 200, 'at a throughput that can be')
  t.ok(
    Math.abs((tcp.gbit_per_s * tcp.seconds * 1e9) / 8 / tcp.bytes - 1) < 0.01,
    'which is bytes in that time',
  )
  const { idle, loaded } = round_trip_ms
  t.ok(idle > 0.01 && idle < 100, 'a round trip that can be')
  t.ok(loaded === null || (loaded > 0.01 && loaded < 2_000), 'under load, too')
  // A frame holds the MTU of 1458 bytes less at least 40 of IP and TCP headers.
  t.ok(frames.a_to_b >= tcp.bytes / 1418, 'there were frames for all the bytes')
  t.ok(frames.b_to_a > 10, 'and some back')
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0)
  t.ok(dropped < frames.a_to_b / 10, 'few were dropped')
}

t.test('in a terminal it draws, and says the figures below when all is gone', async (t) => {
  const demo = Demo.inTerminal(['--seconds', '1'])
  await demo.printed(/Gbit\/s/)
  t.equal(await demo.ended(), 0)
  const text = stripVTControlCharacters(demo.stdout)
  t.match(text, /host a +host b/)
  t.match(text, /│ tap0 {2}10\.9\.0\.1 +│━+ Ethernet ━+▶?│ tap0 {2}10\.9\.0\.2 +│/)
  t.match(text, /✔ ping +\d+\.\d\d ms {2}[▁▂▃▄▅▆▇█]{10}/)
  t.match(text, /\d\.\d\d?┤.*[─╭╮╰╯]/, 'a chart')
  t.match(text, /✔ TCP +\d+\.\d\d Gbit\/s/)
  t.match(text, /throughput +\d+\.\d\d Gbit\/s +one TCP stream, \d\.\d s, [\d.]+ [MG]B/)
  t.match(text, /round trip +\d+\.\d\d ms/)
  t.match(text, /Both hosts are gone again/)
  t.notOk(demo.stdout.includes('\x1b[?25l'), 'the cursor is never hidden: Ctrl-Z may come at any time')
  await demo.leavesNothing(t)
})

t.test('a terminal that cannot place text gets a picture of each step, without any code', async (t) => {
  const demo = Demo.inTerminal(['--seconds', '1'], { term: 'dumb' })
  await demo.printed(/Gbit\/s/)
  t.equal(await demo.ended(), 0)
  t.notMatch(demo.stdout, '\x1b')
  // The hosts and each of the two tunnels are there, and the end.
  t.equal(demo.stdout.split('host a').length - 1, 5, 'at the start, too')
  t.match(demo.stdout, /Both hosts are gone again/)
  await demo.leavesNothing(t)
})

t.test('a terminal that has no size gets the usual one', async (t) => {
  const demo = Demo.inTerminal(['--seconds', '1'], { size: 'cols 0 rows 0' })
  await demo.printed(/Gbit\/s/)
  t.equal(await demo.ended(), 0)
  t.match(stripVTControlCharacters(demo.stdout), /host a +host b/)
  await demo.leavesNothing(t)
})

t.test('a Ctrl-C in the terminal ends it, and leaves nothing', async (t) => {
  const demo = Demo.inTerminal(['--seconds', '60'])
  await demo.printed(/Gbit\/s/)
  demo.child.stdin?.write('\x03')
  t.equal(await demo.ended(), 130)
  t.match(demo.stdout, /stopped by SIGINT, everything is removed again/)
  t.notOk(demo.stdout.includes('\x1b[?25l'), 'the cursor is never hidden: Ctrl-Z may come at any time')
  await demo.leavesNothing(t)
})

/** A signal at each stage, and what the demo ends with. */
const ENDS: readonly (readonly [signal: NodeJS.Signals, while_: RegExp, ends: number | string])[] = [
  ['SIGTERM', /"event":"ping"/, 143],
  ['SIGHUP', /"event":"tunnels"/, 129],
  ['SIGKILL', /"event":"sample"/, 'SIGKILL'],
]

for (const [signal, stage, ends] of ENDS) {
  t.test(`${signal} at ${stage.source} ends it, and leaves nothing`, async (t) => {
    const demo = Demo.run('--seconds', '60')
    await demo.printed(stage)
    const sentMs = performance.now()
    demo.child.kill(signal)
    t.equal(await demo.ended(), ends)
    t.ok(performance.now() - sentMs < 5_000, 'soon')
    if (signal !== 'SIGKILL') t.match(demo.stderr, new RegExp(`stopped by ${signal}, everything is removed`))
    await demo.leavesNothing(t)
  })
}

t.test('when nobody reads what it prints any more it ends, and leaves nothing', async (t) => {
  const demo = Demo.run('--seconds', '60')
  await demo.printed(/"event":"tunnels"/)
  demo.child.stdout?.destroy()
  t.equal(await demo.ended(), 141)
  t.equal(demo.stderr, 'udptun-fast: stopped by SIGPIPE, everything is removed again\n')
  await demo.leavesNothing(t)
})

t.test('without the right to make hosts it says so, in a sentence', async (t) => {
  const powerless = ['setpriv', '--bounding-set=-all', '--inh-caps=-all']
  const demo = new Demo([...powerless, process.execPath, PROGRAM, 'demo'])
  t.equal(await demo.ended(), 1)
  t.equal(demo.stdout, '')
  t.equal(
    demo.stderr,
    'udptun-fast: the demo makes two hosts out of network namespaces, which needs root; run it with sudo, or as root\n',
  )
})

t.test('when a tunnel cannot start it says why, and ends', async (t) => {
  const line = `mount -t tmpfs none /dev/net && exec ${process.execPath} ${PROGRAM} demo`
  const demo = new Demo(['unshare', '--mount', 'sh', '-c', line])
  t.equal(await demo.ended(), 1)
  t.match(
    demo.stderr,
    /^udptun-fast: host [ab] of the demo failed: \/dev\/net\/tun is missing, so no device can be made; .+\n$/,
  )
  await until('its processes have ended', () => demo.processes().length === 0)
})

t.test('how long it runs is checked', async (t) => {
  for (const seconds of ['0', '1.5']) {
    const demo = Demo.run('--seconds', seconds)
    t.equal(await demo.ended(), 2)
    t.equal(
      demo.stderr,
      `udptun-fast: --seconds: "${seconds}" is not how long TCP can run; write seconds from 1 to 600\n`,
    )
  }
})

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { chooseGenerator } from '../../bench/macro/generators/index.js'
import { Lab } from '../../bench/macro/lab.js'
import { article, BUILT, nativeOffload } from '../../bench/macro/peers/baseline.js'
import { findProgram } from '../../bench/macro/processes.js'
import { readResults } from '../../bench/macro/results.js'
import { parseUnderlay } from '../../bench/macro/underlay.js'

const BENCH = fileURLToPath(new URL('../../bench/macro/main.js', import.meta.url))
const UNDERLAY = 'mtu=1500,offload=off'

/** Options of a test that cannot do without these programs. */
function needs(...programs: string[]): { skip?: string } {
  const missing = programs.filter((name) => findProgram(name) === undefined)
  return missing.length === 0 ? {} : { skip: `${missing.join(', ')}: not installed` }
}

/** A run of the benchmark, whose processes and temporary files can be told from anybody else's. */
class Run {
  readonly folder: string
  readonly out: string
  readonly temporary: string
  readonly #process: ChildProcess
  readonly #ended: Promise<number | null>
  stdout = ''
  stderr = ''

  constructor(t: Test, args: readonly string[], env: Record<string, string> = {}) {
    this.folder = mkdtempSync(join(tmpdir(), 'bench-test-'))
    t.teardown(() => rmSync(this.folder, { recursive: true, force: true }))
    this.out = join(this.folder, 'out')
    this.temporary = join(this.folder, 'tmp')
    mkdirSync(this.temporary)
    this.#process = spawn(process.execPath, [BENCH, '--out', this.out, ...args], {
      env: { ...process.env, ...env, TMPDIR: this.temporary },
    })
    this.#process.stdout?.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.#process.stderr?.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.#ended = new Promise((resolve) => this.#process.once('close', resolve))
  }

  end(): Promise<number | null> {
    return this.#ended
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  async says(text: RegExp): Promise<void> {
    while (!text.test(this.stderr) && this.#process.exitCode === null) await sleep(10)
  }

  /** What is still there of it: processes (every child has its environment) and temporary files. */
  left(): string[] {
    const processes = readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && this.#isOurs(pid))
      .flatMap((pid) => {
        try {
          return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')]
        } catch {
          // It has just ended.
          return []
        }
      })
    return [...processes, ...readdirSync(this.temporary)]
  }

  #isOurs(pid: string): boolean {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${this.temporary}`)
    } catch {
      return false
    }
  }
}

t.test('a small run writes its report and leaves nothing behind', needs('cc'), async (t) => {
  const run = new Run(t, [
    ...['--peers', 'underlay,article', '--loads', 'tcp-1,udp-64,ping-idle,start'],
    ...['--rounds', '2', '--seconds', '1', '--underlay', UNDERLAY],
  ])
  await run.says(/round 1/)
  t.ok(run.left().length > 0, 'what left() looks for is there while it runs')
  t.equal(await run.end(), 0, run.stderr)
  t.same(run.left(), [])
  t.same(readdirSync(run.out).sort(), [
    'ping-idle.svg',
    'report.html',
    'report.md',
    'results.json',
    'start.svg',
    'tcp-1.svg',
    'timeline-mtu-1500-offload-off.svg',
    'udp-64.svg',
  ])

  const results = readResults(join(run.out, 'results.json'))
  t.same(results.failures, [])
  t.same(
    results.underlays.map(({ name, offloadsOn }) => ({ name, offloadsOn })),
    [{ name: UNDERLAY, offloadsOn: [] }],
  )
  const value = (peer: string, load: string, metric: string) =>
    results.samples
      .filter((s) => s.peer === peer && s.load === load && s.metric === metric)
      .map((s) => s.value)
  for (const peer of ['underlay', 'article']) {
    t.equal(value(peer, 'tcp-1', 'bitsPerSecond').filter((speed) => speed > 1e6).length, 2, `${peer}: TCP`)
    t.equal(
      value(peer, 'udp-64', 'datagramsPerSecond').filter((rate) => rate > 100).length,
      2,
      `${peer}: UDP`,
    )
    t.equal(value(peer, 'ping-idle', 'p50Ms').filter((ms) => ms > 0 && ms < 1000).length, 2, `${peer}: ping`)
  }
  t.equal(value('article', 'tcp-1', 'cpuSecondsPerGigabyte').filter((seconds) => seconds > 0).length, 2)
  t.equal(value('article', 'tcp-1', 'residentBytes').filter((bytes) => bytes > 1e5).length, 2)
  t.equal(value('article', 'start', 'startMs').filter((ms) => ms > 0).length, 2)
  t.same(value('underlay', 'tcp-1', 'cpuSecondsPerGigabyte'), [], 'the kernel alone has no process to ask')
  t.match(run.stdout, /the article's C program/)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`${signal} in the middle of a measurement`, needs('cc', 'iperf3'), async (t) => {
    const run = new Run(t, ['--peers', 'article', '--loads', 'tcp-1', '--rounds', '1', '--seconds', '20'])
    await run.says(/round 1/)
    while (!run.left().some((command) => command.includes('iperf3'))) await sleep(20)
    const asked = performance.now()
    run.kill(signal)
    t.equal(await run.end(), signal === 'SIGINT' ? 130 : 143)
    t.ok(performance.now() - asked < 3000, 'ends soon')
    t.match(run.stderr, `stopped by ${signal}; no report was written`)
    t.same(run.left(), [])
    t.notOk(existsSync(run.out), 'no report')
  })
}

t.test('a peer that fails is reported, and the others are measured all the same', async (t) => {
  const programs = mkdtempSync(join(tmpdir(), 'bench-programs-'))
  t.teardown(() => rmSync(programs, { recursive: true }))
  writeFileSync(join(programs, 'socat'), '#!/bin/sh\necho "out of order" >&2\nexit 1\n', { mode: 0o755 })
  const run = new Run(
    t,
    ['--peers', 'socat,underlay', '--loads', 'ping-idle', '--rounds', '1', '--underlay', '', '--json'],
    { PATH: `${programs}:${process.env.PATH}` },
  )
  t.equal(await run.end(), 0, run.stderr)
  t.match(run.stderr, /failed:.* socat, start .*: socat ended by itself: out of order/)
  const results = JSON.parse(run.stdout)
  t.match(results.failures, [{ peer: 'socat', load: null, message: 'socat ended by itself: out of order' }])
  t.ok(results.samples.some(({ peer }: { peer: string }) => peer === 'underlay'))
  t.match(readFileSync(join(run.out, 'report.md'), 'utf8'), /socat, start, .* failed: .*out of order/)
  t.same(run.left(), [])
})

t.test('without iperf3 there is a generator of its own', async (t) => {
  const run = new Run(t, [
    ...['--generator', 'own', '--peers', 'underlay', '--loads', 'tcp-both,tcp-8,udp-64,udp-1400'],
    ...['--rounds', '1', '--seconds', '1', '--underlay', '', '--json'],
  ])
  t.equal(await run.end(), 0, run.stderr)
  const { failures, samples, generator } = JSON.parse(run.stdout)
  t.same(failures, [])
  t.match(generator.name, /own generator/)
  for (const load of ['tcp-both', 'tcp-8']) {
    const [sample] = samples.filter((sample: { load: string }) => sample.load === load)
    t.match(sample, { metric: 'bitsPerSecond' })
    t.ok(sample.value > 1e8, `${load}: ${sample.value} bit/s`)
  }
  for (const load of ['udp-64', 'udp-1400']) {
    const [sample] = samples.filter((sample: { load: string }) => sample.load === load)
    t.match(sample, { metric: 'datagramsPerSecond' })
    t.ok(sample.value > 1000, `${load}: ${sample.value}/s`)
  }
  t.match(readFileSync(join(run.out, 'report.md'), 'utf8'), /Traffic by own generator/)
})

t.test('the baselines understand each other, with right checksums', needs('cc', 'iperf3'), async (t) => {
  for (const peer of [article, nativeOffload]) t.match(await peer.available(), { version: /bench\/baseline/ })
  const generator = await chooseGenerator('iperf3')
  const { signal } = new AbortController()
  await using lab = await Lab.create(parseUnderlay(UNDERLAY), signal)
  lab.daemon(lab.near.host, `${BUILT}udptun-offload`, [lab.near.overlay, lab.far.underlay])
  lab.daemon(lab.far.host, `${BUILT}udptun`, [lab.far.overlay, lab.near.underlay])
  lab.repeatArpSoon()
  await lab.until('a ping', () =>
    lab.run(lab.near.host, 'ping', ['-c', '1', '-W', '1', lab.far.overlay]).then(
      () => true,
      () => false,
    ),
  )
  const route = {
    near: lab.near,
    far: lab.far,
    nearAddress: lab.near.overlay,
    farAddress: lab.far.overlay,
    signal,
  }
  const tcp = await generator.tcp(route, { seconds: 1, streams: 2, bothWays: true })
  t.ok(tcp.deliveredBytes > 1e6, `${tcp.deliveredBytes} bytes by TCP`)
  const back = {
    ...route,
    near: lab.far,
    far: lab.near,
    nearAddress: lab.far.overlay,
    farAddress: lab.near.overlay,
  }
  for (const way of [route, back]) {
    const udp = await generator.udp(way, { seconds: 1, payloadBytes: 333, datagramsPerSecond: 2000 })
    t.ok(udp.delivered > 0.9 * udp.sent, `from ${way.near.name}: ${udp.delivered} of ${udp.sent} datagrams`)
  }
  for (const { host, name } of lab.sites) {
    const snmp = host.run(() => readFileSync('/proc/thread-self/net/snmp', 'latin1'))
    for (const protocol of ['Tcp', 'Udp'])
      t.equal(counter(snmp, protocol, 'InCsumErrors'), 0, `${name}: ${protocol}`)
  }
})

/** A counter of /proc/net/snmp: a line of names, then one of values. */
function counter(snmp: string, protocol: string, name: string): number {
  const [names, values] = snmp
    .split('\n')
    .filter((line) => line.startsWith(`${protocol}: `))
    .map((line) => line.split(' '))
  return Number(values[names.indexOf(name)])
}

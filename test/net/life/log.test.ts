/** Whatever is wrong with the log's reader or its disk, main does not wait, the tunnel goes on, and lines are counted. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import { ask, askStatus } from '../../../src/command/client.js'
import type { LineLoss } from '../../../src/control/faults.js'
import { Program } from '../../../src/lab/program.js'
import { Fifo } from '../../support/fifo.js'
import {
  ok,
  PLAIN,
  PROGRAM,
  pings,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'

const pair = twoHosts()
const folder = mkdtempSync(join(tmpdir(), 'log-'))
t.teardown(() => {
  pair[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

const config = join(folder, 'a.yaml')
const configure = (more: object) =>
  writeFileSync(
    config,
    JSON.stringify({
      local: ['10.9.0.1'],
      peers: [{ name: 'x'.repeat(60), endpoint: pair.underlay.b }],
      ...more,
    }),
  )
configure({})

/** Settings that need a restart. Each reload says so in many words. */
const OTHERS = {
  listen: '7000',
  mtu: 'safe',
  vlan: true,
  mtu_refresh: 700,
  mss_clamp: true,
  tos: 'inherit',
  offload: 'off',
  datapath: 'workers',
  warm_up: 'off',
  relay: true,
  accept_any: true,
  mac: '02:00:00:00:00:01',
  fwmark: '7',
}

const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)

/** A tunnel with its log in `stdout`, which carries frames and answers commands. It ends with the test. */
async function startInto(t: Test, stdout: number): Promise<Program> {
  const [env, ...rest] = [...PLAIN, process.execPath, PROGRAM, 'start', '--config', config]
  const program = new Program(pair.a, env, rest, { stdio: ['ignore', stdout, 'pipe'] })
  t.teardown(() => program.child.kill('SIGKILL'))
  await untilPing(pair.a, '10.9.0.2', 20_000)
  // The workers run a little before the socket for commands is there.
  await until('it answers', () => status().then(Boolean, () => false))
  return program
}

const status = () => pair.a.run(() => askStatus('tap0'))
const lost = async (why: LineLoss) => (await status()).faults.log_lines_lost[why]
/** Has the tunnel say one more line. */
const say = () => pair.a.run(() => ask('tap0', { command: 'reload' }))

async function ends(program: Program): Promise<number> {
  const { code, tookMs } = await program.stop('SIGTERM', 10_000)
  t.equal(code, 0, program.stderr)
  return tookMs
}

/** How long an answer takes at the most of twenty, in ms. */
async function slowestAnswer(): Promise<number> {
  let most = 0
  for (let i = 0; i < 20; i++) {
    const startedMs = performance.now()
    await status()
    most = Math.max(most, performance.now() - startedMs)
  }
  return most
}

/** Fills a pipe, and what may wait before it. */
async function fill(): Promise<void> {
  configure(OTHERS)
  await until(
    'lines are lost',
    async () => {
      for (let i = 0; i < 50; i++) await say()
      return (await lost('reader_slow')) > 10
    },
    60_000,
  )
  configure({})
}

t.test('a reader that stands still blocks nothing', async (t) => {
  using fifo = new Fifo()
  const near = await startInto(t, fifo.writeFd)
  const usualMs = await slowestAnswer()
  await fill()
  const tookMs = await slowestAnswer()
  t.ok(tookMs < usualMs + 200, `an answer takes ${tookMs} ms at the most, and took ${usualMs}`)
  t.ok(await pings(pair.a, '10.9.0.2'))
  const text = await run(pair.a, 'script', [
    '-qec',
    [...PLAIN, process.execPath, PROGRAM, 'status'].join(' '),
    '/dev/null',
  ])
  t.match(stripVTControlCharacters(text.stdout), /^log lines lost \d+ were not read in time\r?$/m)

  const before = (await fifo.read())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(before[0].msg, / is up: /)
  t.match(before.at(-1), { level: 40, lines_lost: await lost('reader_slow') })
  await say()
  t.match(JSON.parse(await fifo.read()).msg, /^reloaded/)

  await fill()
  t.ok((await ends(near)) < 3_000, 'the end waits for it no longer than a second')
})

t.test('a tunnel that dies says so, and ends, also before a reader that stands still', async (t) => {
  using fifo = new Fifo()
  const near = await startInto(t, fifo.writeFd)
  await fill()
  const startedMs = performance.now()
  await ok(pair.a, 'ip', 'link', 'del', 'tap0')
  const { code, stderr } = await near.ended
  t.ok(performance.now() - startedMs < 3_000)
  t.equal(code, 1)
  t.match(stderr, /^udptun-fast: .*the device has been deleted\n$/)
})

t.test('an error whose reader stands still ends the program, too', async (t) => {
  using fifo = new Fifo()
  const filler = new Program(undefined, 'dd', ['if=/dev/zero', 'bs=64k', 'count=1'], {
    stdio: ['ignore', fifo.writeFd, 'ignore'],
  })
  await filler.ended
  const [env, ...rest] = [...PLAIN, process.execPath, PROGRAM, 'start', '10.9.0.1', 'host b']
  const wrong = new Program(pair.a, env, rest, { stdio: ['ignore', 'pipe', fifo.writeFd] })
  const timer = setTimeout(() => wrong.child.kill('SIGKILL'), 5_000)
  t.equal((await wrong.ended).code, 2)
  clearTimeout(timer)
})

t.test('a reader that has gone', async (t) => {
  using fifo = new Fifo()
  const near = await startInto(t, fifo.writeFd)
  fifo.closeReader()
  for (let i = 0; i < 3; i++) await say()
  await until('it is counted', async () => (await lost('reader_gone')) >= 3)
  t.ok(await pings(pair.a, '10.9.0.2'))
  await ends(near)
})

t.test('a disk that is full', async (t) => {
  const full = openSync('/dev/full', 'w')
  const near = await startInto(t, full)
  closeSync(full)
  await say()
  await until('it is counted', async () => (await lost('no_space')) >= 2)
  t.ok(await pings(pair.a, '10.9.0.2'))
  await ends(near)
})

t.test('a disk that is full for a while', async (t) => {
  const disk = join(folder, 'disk')
  const [path, filler] = [join(disk, 'log'), join(disk, 'filler')]
  execFileSync('mkdir', [disk])
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'none', disk])
  t.teardown(() => execFileSync('umount', ['-l', disk]))
  const fd = openSync(path, 'a')
  const near = await startInto(t, fd)
  closeSync(fd)
  writeFileSync(filler, Buffer.alloc(4_096))
  await until(
    'it is full',
    async () => {
      await say()
      return (await lost('no_space')) > 5
    },
    20_000,
  )
  t.ok(await pings(pair.a, '10.9.0.2'))
  truncateSync(filler)
  await say()
  await until('it is told', () => / lost here: \d+/.test(readFileSync(path, 'utf8')))
  await ends(near)
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  t.match(lines.at(-1), /"stopped by SIGTERM"/)
  const broken = lines.filter((line) => !line.endsWith('}'))
  t.ok(broken.length <= 1, 'at most the line that filled the disk is broken')
})

t.test('the last lines are there, 8 times out of 8', async (t) => {
  const [env, ...start] = [
    ...PLAIN,
    process.execPath,
    PROGRAM,
    'start',
    '--config',
    config,
    '--log-level',
    'debug',
  ]
  for (let i = 0; i < 8; i++) {
    const near = new RunningTunnel(pair.a, ['--config', config, '--log-level', 'debug'])
    await near.said(/ is up: /)
    t.equal((await near.stop()).code, 0)
    t.equal(near.log.at(-1)?.msg, 'stopped by SIGTERM')
  }
  // The second one finds the port taken.
  const near = await startInto(t, 1)
  for (let i = 0; i < 8; i++) {
    const { code, stderr } = await new Program(pair.a, env, start).ended
    t.equal(code, 1)
    t.match(stderr, /^udptun-fast: .*\n$/)
  }
  await ends(near)
  await far.stop()
})

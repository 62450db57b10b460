import { readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { askStatus } from '../../../src/command/client.js'
import type { Host } from '../../../src/lab/host.js'
import { ok, PLAIN, PROGRAM, startTunnel, startWarmTunnel, twoHosts, until } from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { runMs, workersSleep } from '../../support/hosts/threads.js'

// What else the machine does is not what is measured. Programs that are started from here inherit it.
setPriority(constants.priority.PRIORITY_HIGHEST)

/** From the signal to the end of the process. */
const STOP_MS = 300

/** Two hosts that, without IPv6, have nothing to say by themselves. */
function quietHosts() {
  const pair = twoHosts()
  for (const host of [pair.a, pair.b])
    host.run(() => writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1'))
  return pair
}

/** The sockets a process has open: a tunnel's own, and while it warms up two pairs a worker. */
function sockets(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')
    } catch {
      return false
    }
  }).length
}

/** What V8 says of a tunnel process, `--trace-opt --trace-deopt`, from its start on. */
function tracedTunnel(host: Host, ...args: string[]) {
  const [env, ...rest] = [
    ...PLAIN,
    process.execPath,
    '--trace-opt',
    '--trace-deopt',
    PROGRAM,
    'start',
    ...args,
  ]
  const child = host.spawn(env, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += chunk
  })
  const names = (pattern: RegExp) => [...said.matchAll(pattern)].map(([, name]) => name)
  return {
    pid: child.pid ?? 0,
    isUp: () => / is up: /.test(said),
    /** Names of the functions it has compiled to machine code that is optimised for what came by. */
    optimized: () => names(/\[completed optimizing [^<]*<JSFunction (\S+)/g),
    /** Names of those of which it has thought that they were worth it. */
    begun: () => names(/\[compiling method <JSFunction (\S+)/g),
    /** Names of those it has gone back to interpreting. */
    takenBack: () => names(/bailout[^<]*<JSFunction (\S+)/g),
  }
}

/** What each frame goes through. What V8 compiles as a part of its caller it need not compile by itself. */
const DATA_PATH = ['run', 'turn', 'fill', 'drain', '#take', '#takeEntry', '#takeFrame', '#send', 'writeFrame']

/** What cuts super-frames, and what joins frames. */
const SUPER_FRAMES = ['writeHeader', 'add', '#continues', '#append', '#writeHeader', 'writeSuperFrame']

/** Of a function that is interpreted V8 thinks again after some thousand calls. */
const MANY = 5_000

/** What a frame's addresses are looked up by, on its way out and in. */
const SWITCHING = ['fromDevice', 'fromPeer', 'learn', 'find']

t.test('a fresh tunnel is compiled before it has carried anything, for what then comes', async (t) => {
  using pair = quietHosts()
  const a = tracedTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  const b = await startWarmTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await until('a is up', a.isUp)
  await until('both are warm', () => workersSleep(a.pid) && workersSleep(b.pid), 15_000)
  const compiled = a.optimized()
  // V8 of Node.js 24 compiles the turn, and leaves the loop around it to its middle compiler.
  t.ok(compiled.includes('run') || compiled.includes('turn'), 'the loop has been compiled')
  t.ok(compiled.includes('fill'), 'fill has been compiled')
  const before = a.takenBack().length
  const begun = a.begun().length

  await ok(pair.a, 'ping', '-q', '-c', '100', '-i', '0.005', '10.9.0.2')
  await ok(pair.a, 'ping', '-q', '-c', '20', '-i', '0.005', '-s', '1200', '10.9.0.2')
  const back = a.takenBack().slice(before)
  t.same(
    back.filter((name) => [...DATA_PATH, ...SWITCHING].includes(name)),
    [],
    'and stays so',
  )
  await ok(pair.a, 'ping', '-q', '-f', '-c', String(MANY), '10.9.0.2')
  t.same(
    a
      .begun()
      .slice(begun)
      .filter((name) => DATA_PATH.includes(name)),
    [],
    'nothing was left to be compiled',
  )
  const beforeLoad = a.takenBack().length
  pair.b.spawn('iperf3', ['-s', '-1', '-B', '10.9.0.2'], { stdio: 'ignore' })
  await until('iperf3 listens', async () => (await ok(pair.b, 'ss', '-Hltn', 'sport', '=', '5201')) !== '')
  await ok(pair.a, 'iperf3', '-c', '10.9.0.2', '-t', '1', '--bidir')
  const { super_frames } = await pair.a.run(() => askStatus('tap0'))
  t.ok(super_frames.read > 100 && super_frames.written > 100, JSON.stringify(super_frames))
  t.same(
    a
      .takenBack()
      .slice(beforeLoad)
      .filter((name) => SUPER_FRAMES.includes(name)),
    [],
    'nor does the first load have V8 take back what cuts and joins',
  )
  t.comment(`${compiled.length} functions compiled; taken back while carrying: ${back.join(', ') || 'none'}`)
})

t.test('nothing of it stays or shows', async (t) => {
  using pair = quietHosts()
  const tunnel = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await until('it is warm', () => workersSleep(tunnel.pid), 15_000)
  const { outbound, inbound, workers, rings, super_frames, drops } = await tunnel.status()
  t.ok(outbound.frames <= 1, 'nothing has gone out but what announces the device')
  t.same(inbound, { frames: 0, bytes: 0 })
  t.same(super_frames, { read: 0, written: 0 })
  t.same([...new Set(Object.values(drops))], [0])
  for (const ring of Object.values(rings)) t.ok(ring.high_water_bytes < 2_000)
  for (const { wake_ups, syscalls } of Object.values(workers))
    t.ok(wake_ups < 10 && syscalls < 20, `${wake_ups} wake-ups, ${syscalls} system calls`)
})

t.test('a stop in the middle of it is quick', async (t) => {
  using pair = quietHosts()
  const warm = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await until('it is warm', () => workersSleep(warm.pid), 15_000)
  const open = sockets(warm.pid)
  await warm.stop()
  let caught = 0
  for (const delayMs of [0, 10, 40]) {
    const tunnel = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    await sleep(delayMs)
    if (sockets(tunnel.pid) > open) caught++
    const { code, stderr, tookMs } = await tunnel.stop()
    t.equal(code, 0)
    t.equal(stderr, '')
    t.ok(tookMs < STOP_MS, `${delayMs} ms after it was up: ended ${Math.round(tookMs)} ms after the signal`)
    t.same(leftIn(pair.a), [])
  }
  t.ok(caught > 0, `${caught} of them were in the middle of it`)
})

t.test('--warm-up off does without', async (t) => {
  using pair = quietHosts()
  const cpuMs = async (mode: string) => {
    const tunnel = await startTunnel(pair.a, '--warm-up', mode, '10.9.0.1', pair.underlay.b)
    await until('both workers sleep', () => workersSleep(tunnel.pid), 15_000)
    const ms = Math.round([...runMs(tunnel.pid).values()].reduce((sum, it) => sum + it, 0))
    await tunnel.stop()
    return ms
  }
  const [off, auto] = [await cpuMs('off'), await cpuMs('auto')]
  t.ok(off < 0.75 * auto, `${off} ms of processor time without it, ${auto} ms with it`)
})

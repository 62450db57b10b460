import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { askStatus } from '../../../src/command/client.js'
import { Faults } from '../../../src/control/faults.js'
import { Workers } from '../../../src/control/kernel/workers.js'
import { close } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { openUdp } from '../../../src/linux/udp.js'
import { planMemory } from '../../../src/memory/plan.js'
import {
  type Finished,
  ok,
  type Pair,
  PLAIN,
  PROGRAM,
  RunningTunnel,
  run,
  startWarmTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { silenceNames, startNamed } from '../../support/hosts/names.js'
import { workersSleep } from '../../support/hosts/threads.js'

const CHECKOUT = fileURLToPath(new URL('../../../..', import.meta.url))

// What follows measures how long a stop takes, which is far from what it may take: a few may do so at once.
t.jobs = 2

/** Options of tests that load the machine, measure a start, or close file descriptors of this process. */
const ALONE = { buffered: false }

// What else the machine does is not what is measured. Programs that are started from here inherit it.
setPriority(constants.priority.PRIORITY_HIGHEST)

/** From the signal to the end of the process. */
const STOP_MS = 300

/** A start is not broken off in the middle, but finished first. */
const START_MS = 1_000

function endedWell(t: Test, { code, stderr, tookMs }: Finished, tunnel: RunningTunnel, what: string): void {
  t.equal(code, 0, `${what}: exit code`)
  t.equal(stderr, '', `${what}: nothing to complain of`)
  t.ok(tookMs < STOP_MS, `${what}: ended ${Math.round(tookMs)} ms after the signal`)
  t.same(leftIn(tunnel.host), [], `${what}: nothing is left`)
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  t.test(`${signal} with no traffic at all`, async (t) => {
    using pair = twoHosts()
    for (const scope of ['all', 'default'])
      await ok(pair.a, 'sysctl', '-qw', `net.ipv6.conf.${scope}.disable_ipv6=1`)
    const tunnel = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    const wakeUps = async () => {
      const { tap, udp } = (await tunnel.status()).workers
      return [tap.wake_ups, udp.wake_ups]
    }
    await sleep(100)
    const [tap, udp] = await wakeUps()
    await sleep(500)
    const [tapAfter, udpAfter] = await wakeUps()
    t.equal(tapAfter, tap, 'the tap worker sleeps')
    // What main has asked of the far end may be answered by ICMP errors.
    t.ok(udpAfter - udp <= 20, `the udp worker was woken ${udpAfter - udp} times`)
    endedWell(t, await tunnel.stop(signal), tunnel, signal)
    t.match(tunnel.log.at(-1), { signal, msg: `stopped by ${signal}` })
  })
}

/** Two tunnels with as much TCP both ways as goes through. */
async function underFullLoad(pair: Pair) {
  const a = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  const b = await startWarmTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  pair.b.spawn('iperf3', ['-s'])
  await until(
    'somebody listens',
    async () => (await ok(pair.b, 'ss', '-Hltn', 'sport', '=', '5201')).length > 0,
  )
  pair.a.spawn('iperf3', ['-c', '10.9.0.2', '--bidir', '-P', '2', '-t', '30'])
  await until('a load', async () => {
    const { outbound, inbound } = await a.status()
    return Math.min(outbound.bytes, inbound.bytes) > 20e6
  })
  return { a, b }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} under full load`, ALONE, async (t) => {
    using pair = twoHosts()
    const { a, b } = await underFullLoad(pair)
    endedWell(t, await a.stop(signal), a, 'the one end')
    endedWell(t, await b.stop(signal), b, 'the other')
  })
}

/** What keeps datagrams from leaving (tc-tbf(8)), and the drop that shows it. */
const JAMS = [
  { what: "the interface's queue is full", rate: '1mbit', limit: '128kb', drop: 'underlay_queue_full' },
  {
    what: 'the send buffer is full and drains slowly',
    rate: '1mbit',
    limit: '64mb',
    drop: 'device_queue_full',
  },
  {
    what: 'the send buffer is full and does not drain',
    rate: '8kbit',
    limit: '64mb',
    drop: 'send_buffer_full',
  },
] as const

for (const { what, rate, limit, drop } of JAMS) {
  t.test(`SIGTERM while ${what}`, ALONE, async (t) => {
    using pair = twoHosts()
    const queue = ['tbf', 'rate', rate, 'burst', '10kb', 'limit', limit]
    await ok(pair.a, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...queue)
    const tunnel = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    await ok(pair.a, 'ip', 'neigh', 'add', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'tap0')
    pair.a.spawn('socat', ['-u', '-b1400', '/dev/zero', 'UDP-SENDTO:10.9.0.2:9'])
    await until(`it drops: ${drop}`, async () => (await tunnel.status()).drops[drop] > 20)
    endedWell(t, await tunnel.stop(), tunnel, what)
  })
}

t.test('SIGTERM at any moment of the start', ALONE, async (t) => {
  using pair = twoHosts()
  for (let delayMs = 50; delayMs <= 450; delayMs += 80) {
    const tunnel = new RunningTunnel(pair.a, ['--warm-up', 'auto', '10.9.0.1', pair.underlay.b])
    await sleep(delayMs)
    const { code, signal, stderr, tookMs } = await tunnel.stop()
    const ended = code ?? signal
    t.ok(ended === 0 || ended === 'SIGTERM', `after ${delayMs} ms: ended with ${ended}`)
    t.equal(stderr, '')
    t.ok(tookMs < START_MS, `after ${delayMs} ms: it took ${Math.round(tookMs)} ms`)
    t.same(leftIn(pair.a), [])
  }
})

for (const [how, ...flags] of [['refuses'], ['is silent'], ['refuses', '--wait'], ['is silent', '--wait']]) {
  t.test(`SIGTERM while it waits for a DNS that ${how} ${flags}`, async (t) => {
    using pair = twoHosts()
    if (how === 'is silent') await silenceNames(pair.a)
    const tunnel = startNamed(t, pair.a, ...flags)
    await tunnel.said(/DNS does not answer/)
    endedWell(t, await tunnel.stop(), tunnel, `DNS ${how}`)
  })
}

/** A tunnel that npx starts in this checkout, with an npm cache of its own, and without building it again. */
function startByNpx(
  t: Test,
  { a, underlay }: Pair,
  command: readonly [string, ...string[]] = ['npx', 'udptun-fast'],
): RunningTunnel {
  const home = mkdtempSync(join(tmpdir(), 'udptun-fast-stop-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  const npm = { npm_config_cache: join(home, 'cache'), npm_config_ignore_scripts: 'true' }
  const env = { ...process.env, HOME: home, ...npm }
  return new RunningTunnel(a, ['--warm-up', 'auto', '10.9.0.1', underlay.b], [], {
    command,
    cwd: CHECKOUT,
    env,
  })
}

/** The process ids of the line of only children that begins with `pid`. */
function descendants(pid: number): number[] {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    return child === undefined ? [pid] : [pid, ...descendants(Number(child))]
  } catch {
    return []
  }
}

/** False for a zombie as well. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function isProgram(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('udptun-fast\0start\0')
  } catch {
    return false
  }
}

t.test('SIGTERM to the npx around it ends it too', async (t) => {
  using pair = twoHosts()
  const npx = startByNpx(t, pair)
  await npx.said(/is up/, 20_000)
  const { pid } = await npx.status()
  const line = descendants(npx.pid)
  t.comment(line.map((it) => readFileSync(`/proc/${it}/comm`, 'utf8').trim()).join(' > '))
  t.ok(line.indexOf(pid) > 0, 'it is a descendant of npx')
  const { tookMs } = await npx.stop()
  await until('the program has ended', () => !isRunning(pid), 1_000)
  t.ok(tookMs < STOP_MS, `everything that npx started has ended ${Math.round(tookMs)} ms after the signal`)
  t.same(leftIn(pair.a), [])
})

t.test('Ctrl-C at the npx around it, a signal to all of them, ends it too', async (t) => {
  using pair = twoHosts()
  const npx = startByNpx(t, pair, ['setsid', 'npx', 'udptun-fast'])
  await npx.said(/is up/, 20_000)
  const sentMs = performance.now()
  process.kill(-npx.pid, 'SIGINT')
  await npx.ended
  const tookMs = performance.now() - sentMs
  t.ok(tookMs < STOP_MS, `everything has ended ${Math.round(tookMs)} ms after the signal`)
  t.match(npx.log.at(-1), { msg: 'stopped by SIGINT' })
  t.same(leftIn(pair.a), [])
})

t.test('SIGTERM to npx when the program has only just been started', async (t) => {
  using pair = twoHosts()
  for (const delayMs of [0, 100, 200]) {
    const npx = startByNpx(t, pair)
    let program: number | undefined
    await until(
      'npx has started the program',
      () => {
        program = descendants(npx.pid).find((pid) => pid !== npx.pid && isProgram(pid))
        return program !== undefined
      },
      20_000,
    )
    await sleep(delayMs)
    npx.child.kill('SIGTERM')
    await until('the program has ended', () => program !== undefined && !isRunning(program), 3_000)
    t.same(leftIn(pair.a), [], `${delayMs} ms after its start`)
  }
})

t.test('the end of a shell that started it in the background does not end it', async (t) => {
  using pair = twoHosts()
  const env = { ...process.env }
  delete env.npm_command
  const command = `${PLAIN.join(' ')} ${process.execPath} ${PROGRAM} start 10.9.0.1 ${pair.underlay.b} >/dev/null 2>&1 &`
  const shell = pair.a.spawn('sh', ['-c', command], { env })
  const ask = () => pair.a.run(() => askStatus('tap0')).catch(() => undefined)
  await until('it is up', async () => (await ask()) !== undefined)
  t.equal(shell.exitCode, 0, 'the shell has ended')
  const pid = (await ask())?.pid ?? 0
  t.teardown(() => isRunning(pid) && process.kill(pid, 'SIGKILL'))
  await sleep(200)
  t.equal((await ask())?.pid, pid, 'it goes on')
  process.kill(pid, 'SIGTERM')
  await until('it has ended', () => !isRunning(pid))
  t.same(leftIn(pair.a), [])
})

for (const load of [false, true]) {
  t.test(
    `a device that is deleted ${load ? 'under load' : 'in silence'} ends it, with the reason`,
    { buffered: !load },
    async (t) => {
      using pair = twoHosts()
      const tunnel = load
        ? (await underFullLoad(pair)).a
        : await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
      const deletedMs = performance.now()
      await ok(pair.a, 'ip', 'link', 'del', 'tap0')
      const { code, stderr } = await tunnel.ended
      const tookMs = Math.round(performance.now() - deletedMs)
      t.equal(code, 1)
      t.match(stderr, /^udptun-fast: the (tap|udp) worker has ended: the device has been deleted\n$/)
      t.ok(tookMs < 1_000, `it ended ${tookMs} ms after the deletion began`)
      t.same(leftIn(pair.a), [])
    },
  )
}

t.test('an error that nobody foresaw in the main thread ends it, with one sentence', async (t) => {
  using pair = twoHosts()
  const thrower = 'data:text/javascript,process.on("SIGUSR2", () => { throw new Error("unforeseen") })'
  const tunnel = new RunningTunnel(pair.a, ['10.9.0.1', pair.underlay.b], ['--import', thrower])
  await tunnel.said(/is up/)
  const { code, stderr, tookMs } = await tunnel.stop('SIGUSR2')
  t.equal(code, 1)
  t.equal(stderr, 'udptun-fast: unforeseen\n')
  t.ok(tookMs < STOP_MS, `it ended ${Math.round(tookMs)} ms after it`)
  t.notOk(leftIn(pair.a).includes('tap0'), 'the device is gone')
})

/** Two sockets in the place of the fds, and what starts workers on them; `fds` replace those of the sockets. */
function onSockets(fds: { tap?: number; udp?: number } = {}) {
  const listen = { address: '127.0.0.1', port: 0 }
  const open = () => openUdp({ listen, receiveBufferBytes: 65536, sendBufferBytes: 65536 })
  const [tap, udp] = [open(), open()]
  const plan = planMemory(1)
  const workers = new Workers({
    memory: NativeMemory.allocate(plan.bytes),
    plan,
    socket: { ...udp, fd: fds.udp ?? udp.fd, flowFds: [] },
    faults: new Faults({ warn() {}, debug() {} }),
  })
  workers.tapFd = fds.tap ?? tap.fd
  const start = () => workers.start({ mode: 'tap', dsMask: 3, relay: false, keys: undefined, warmUp: true })
  return { sockets: { tap, udp }, workers, start }
}

for (const [role, other] of [
  ['tap', 'udp'],
  ['udp', 'tap'],
] as const) {
  // While little comes, the udp worker polls both fds, so either may be the first to see it.
  const message =
    role === 'tap'
      ? /^the (tap|udp) worker has ended: the file descriptor has been closed$/
      : 'the udp worker has ended: the file descriptor has been closed'

  t.test(
    `a ${role} worker whose fd is closed under it dies with the reason, the other stops`,
    ALONE,
    async (t) => {
      const { sockets, workers, start } = onSockets()
      await start()
      // Warming up it opens sockets, of which one could get the closed one's number.
      await until('both workers are warm', () => workersSleep(process.pid), 20_000)
      const sender = createSocket('udp4').bind(0, '127.0.0.1')
      await once(sender, 'listening')
      // The worker's poll still holds the closed socket: a datagram ends the poll, and the fd is nobody's.
      const { fd, local } = sockets[role]
      close(fd)
      sender.send('wake', local.port, local.address)
      t.match(await workers.died, { message })
      const startedMs = performance.now()
      await workers.stop()
      t.ok(performance.now() - startedMs < STOP_MS, 'the other one has stopped')
      workers.close()
      close(sockets[other].fd)
      sender.close()
    },
  )

  t.test(
    `a ${role} worker whose fd is none dies with the reason, and does not try for ever`,
    ALONE,
    async (t) => {
      const { sockets, workers, start } = onSockets({ [role]: 1_000_000 })
      // It may still say that it has started.
      await start().catch(() => {})
      t.match(await workers.died, { message })
      await workers.stop()
      workers.close()
      for (const { fd } of Object.values(sockets)) close(fd)
    },
  )
}

t.test(
  'after kill -9 the next start works, and status is not misled by the socket left behind',
  async (t) => {
    using pair = twoHosts()
    const start = () => startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    await startWarmTunnel(pair.b, '10.9.0.2', pair.underlay.a)
    const killed = await start()
    t.equal((await killed.stop('SIGKILL')).signal, 'SIGKILL')
    t.equal(leftIn(pair.a).length, 1, 'its status socket is left, its device is not')
    t.match(await run(pair.a, process.execPath, [PROGRAM, 'status']), {
      code: 1,
      stderr: /no tunnel runs here/,
    })
    const next = await start()
    await untilPing(pair.a, '10.9.0.2')
    t.equal((await next.status()).pid, next.pid)
    endedWell(t, await next.stop(), next, 'the next')
  },
)

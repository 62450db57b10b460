import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { LoopDelay } from '../../support/hosts/in-process.js'
import { ok, RunningTunnel, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { occurrences, pollers, runMs, workersSleep, writableMappings } from '../../support/hosts/threads.js'

const IN_PROCESS = fileURLToPath(new URL('../../support/hosts/in-process.js', import.meta.url))

const pair = twoHosts()
t.teardown(() => pair[Symbol.dispose]())
// Without IPv6 the hosts have nothing to say by themselves.
for (const host of [pair.a, pair.b])
  host.run(() => writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1'))

const a = new RunningTunnel(pair.a, ['10.9.0.1', pair.underlay.b], [], {
  command: [process.execPath, IN_PROCESS],
  stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
})
const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
await a.said(/is up/)
await untilPing(pair.a, '10.9.0.2')

/** The delay of a's event loop since the last call. */
async function loopDelay(): Promise<LoopDelay> {
  a.child.send('measure')
  const [measured] = await once(a.child, 'message')
  return measured
}

t.test(
  'two threads sleep in poll, each with its doorbell; while nothing comes, one has both fds',
  async (t) => {
    await until('both are asleep', () => workersSleep(b.pid))
    const found = pollers(b.pid)
    const [tap, udp] = found
      .map(({ files }) => files.map((file) => file.replace(/\d+/, 'N')).sort())
      .sort((one, other) => one.length - other.length)
    t.same(udp, ['/dev/net/tun', 'anon_inode:[eventfd]', 'socket:[N]'])
    t.same(
      tap.filter((file) => file !== '/dev/net/tun'),
      ['anon_inode:[eventfd]'],
      'the other one may not have seen yet that the device is read',
    )
    t.ok(
      found.every(({ forever, tid }) => forever && tid !== b.pid),
      'for as long as nothing happens, and neither is the main thread',
    )
  },
)

/** What b does in two seconds, in ms of CPU time. */
async function twoSeconds() {
  const before = await b.status()
  const workers = pollers(b.pid).map(({ tid }) => tid)
  const start = runMs(b.pid)
  await sleep(2_000)
  const end = runMs(b.pid)
  const after = await b.status()
  const sum = (times: Map<number, number>) => [...times.values()].reduce((total, ms) => total + ms, 0)
  const workersMs = workers.map((tid) => (end.get(tid) ?? 0) - (start.get(tid) ?? 0))
  return { before, after, usedMs: sum(end) - sum(start), workersMs }
}

t.test('an idle tunnel uses next to no CPU time, its workers for keepalives alone', async (t) => {
  let seen = await twoSeconds()
  // Some seconds after a start V8 collects, once, what the start has left.
  for (let more = 0; seen.usedMs >= 30 && more < 5; more++) seen = await twoSeconds()
  const { before, after, usedMs, workersMs } = seen
  t.ok(usedMs < 30, `${usedMs.toFixed(1)} ms of CPU time in 2 s`)
  t.ok(Math.max(...workersMs) < 10, `of which its workers ${workersMs.map((ms) => ms.toFixed(1))}`)
  t.same(after.workers.tap, before.workers.tap, 'the tap worker has made no system call')
  const woken = after.workers.udp.wake_ups - before.workers.udp.wake_ups
  t.ok(woken <= 4, `a keepalive and an answer to one: the udp worker was woken ${woken} times`)
})

t.test('each question wakes one worker, which answers it, too; both cross in their rings', async (t) => {
  const before = await b.status()
  await ok(pair.a, 'ping', '-c', '20', '-i', '0.02', '10.9.0.2')
  const after = await b.status()
  for (const [worker, way] of [
    ['tap', 'outbound'],
    ['udp', 'inbound'],
  ] as const) {
    const woken = after.workers[worker].wake_ups - before.workers[worker].wake_ups
    // Less often where it came late, and found two. The tap worker may wake before it sees that the device is read.
    const [least, most] = worker === 'tap' ? [0, 5] : [10, 30]
    t.ok(woken >= least && woken <= most, `the ${worker} worker came back from its poll ${woken} times`)
    // ARP may ask once more.
    const frames = after[way].frames - before[way].frames
    t.ok(frames >= 20 && frames <= 22, `${frames} frames went ${way}`)
    t.ok(after.rings[way].high_water_bytes > 0, 'through the ring')
    t.equal(after.rings[way].used_bytes, 0, 'which is empty again')
  }
})

t.test('the kernel fills and empties the rings in place: no copy of a frame is anywhere else', async (t) => {
  const pattern = randomBytes(16)
  const ping = ['-c', '50', '-i', '0.02', '-s', '800', '-p', pattern.toString('hex')]
  await ok(pair.a, 'ping', ...ping, '10.9.0.2')
  const needle = Buffer.concat([pattern, pattern])
  const found = writableMappings(b.pid)
    .map((mapping) => ({ ...mapping, times: occurrences(b.pid, mapping, needle) }))
    .filter(({ times }) => times > 0)
  t.equal(found.length, 1, `in one mapping: ${JSON.stringify(found)}`)
  t.ok(found[0]?.times > 100, `${found[0]?.times} times in the rings`)
})

t.test('the main thread stays free while iperf3 saturates the tunnel both ways', async (t) => {
  const server = pair.b.spawn('iperf3', ['--server', '--one-off', '--bind', '10.9.0.2'])
  const served = once(server, 'close')
  await until('iperf3 listens', async () => (await ok(pair.b, 'ss', '-Hltn', 'sport = :5201')) !== '')
  const start = runMs(a.pid)
  await loopDelay()
  const client = ['--client', '10.9.0.2', '--bidir', '--time', '5', '--json']
  const { end: report } = JSON.parse(await ok(pair.a, 'iperf3', ...client))
  const delay = await loopDelay()
  const end = runMs(a.pid)
  await served

  const used = [...end].map(([tid, ms]) => ({ tid, ms: ms - (start.get(tid) ?? 0) }))
  const sum = (threads: typeof used) => threads.reduce((total, { ms }) => total + ms, 0)
  const mainMs = sum(used.filter(({ tid }) => tid === a.pid))
  const workersMs = sum(used) - mainMs
  const megabits =
    (report.sum_received.bits_per_second + report.sum_received_bidir_reverse.bits_per_second) / 1e6
  const delays = [delay.p50Ms, delay.p99Ms, delay.maxMs].map((ms) => ms.toFixed(1)).join(', ')
  t.comment(`${megabits.toFixed(0)} Mbit/s, both ways together; delay p50, p99, most: ${delays} ms`)
  t.ok(megabits > 50, 'the tunnel is busy')
  t.ok(delay.samples > 500, `${delay.samples} samples`)
  t.ok(delay.p99Ms < 20, `p99 ${delay.p99Ms.toFixed(1)} ms`)
  t.ok(mainMs < workersMs / 5, `main ran ${mainMs.toFixed(0)} ms, the workers ${workersMs.toFixed(0)}`)
})

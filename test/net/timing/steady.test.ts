import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  ok,
  PLAIN,
  PROGRAM,
  run,
  startWarmTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { workersSleep } from '../../support/hosts/threads.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

/** Of saturating traffic: the first part fills the rings for the first time. */
const WARM_S = 4
/** Longer if somebody wants to know what ten minutes bring. */
const LOAD_S = Number(process.env.TEST_LOAD_SECONDS ?? 11)

/** Resident memory that is the process's own, not a file's, in bytes (proc(5)). */
function anonymousBytes(pid: number): number {
  const [, kibibytes] = /^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kibibytes) * 1024
}

for (const kind of ['plain', 'private'] as const)
  t.test(
    `under full load both ways a ${kind} tunnel neither grows nor collects garbage in its workers`,
    { timeout: (LOAD_S + 60) * 1_000 },
    (t) => underLoad(t, kind),
  )

async function underLoad(t: Test, kind: 'plain' | 'private'): Promise<void> {
  using pair = twoHosts()
  using keys = new KeyFolder()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const keyed = (own: typeof ka, other: typeof ka) => (kind === 'private' ? keyFlags(own, other) : [])
  const [env, ...rest] = [...PLAIN, process.execPath, '--trace-gc', PROGRAM]
  const child = pair.a.spawn(env, [...rest, 'start', '10.9.0.1', pair.underlay.b, ...keyed(ka, kb)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pid = child.pid ?? 0
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += chunk
  })
  /** The heaps of the process that have been collected, by address, in order; the first is the main thread's. */
  const collected = (text: string) => [...text.matchAll(/^\[\d+:(0x[0-9a-f]+)\]/gm)].map(([, heap]) => heap)
  await until('a is up', () => / is up: /.test(said))
  await startWarmTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyed(kb, ka))
  await untilPing(pair.a, '10.9.0.2')
  await until('a is warm', () => workersSleep(pid), 15_000)
  const [main] = collected(said)
  t.equal(new Set(collected(said)).size, 3, 'main and two workers have collected while they started')

  for (const port of ['5201', '5202']) {
    pair.b.spawn('iperf3', ['-s', '-p', port])
    await until('somebody listens', async () => (await ok(pair.b, 'ss', '-Hltn', 'sport', '=', port)) !== '')
  }
  const client = ['-c', '10.9.0.2', '-t', String(LOAD_S)]
  const load = (...how: string[]) => run(pair.a, 'iperf3', [...client, ...how], (LOAD_S + 30) * 1_000)
  const loads = Promise.all([load('--bidir', '--json'), load('-u', '-b', '100M', '-l', '300', '-p', '5202')])
  await sleep(WARM_S * 1000)
  const from = { bytes: anonymousBytes(pid), said: said.length }
  await sleep((LOAD_S - WARM_S - 1) * 1000)
  const grownMiB = (anonymousBytes(pid) - from.bytes) / 2 ** 20
  const inWorkers = collected(said.slice(from.said)).filter((heap) => heap !== main)
  const [{ code, stdout: report, stderr }, { code: otherCode }] = await loads
  t.same([code, otherCode], [0, 0], stderr)
  const { sum_received, sum_received_bidir_reverse } = JSON.parse(report).end
  const megabits = (sum_received.bits_per_second + sum_received_bidir_reverse.bits_per_second) / 1e6
  t.comment(`${megabits.toFixed(0)} Mbit/s both ways; ${grownMiB.toFixed(1)} MiB more`)
  t.ok(megabits > 50, 'it was busy')
  t.ok(grownMiB < 5, `${grownMiB.toFixed(1)} MiB more`)
  t.same(inWorkers, [], 'no collection in a worker')
}

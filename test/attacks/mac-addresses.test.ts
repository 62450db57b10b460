import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { FdbReport } from '../../src/control/addresses.js'
import { PORT_LIMIT } from '../../src/memory/fdb-layout.js'
import { ok, PROGRAM, untilPing } from '../support/hosts/lab.js'
import type { MacFlood } from '../support/hosts/mac-flooder.js'
import { Network } from '../support/hosts/network.js'

const FLOODER = fileURLToPath(new URL('../support/hosts/mac-flooder.js', import.meta.url))
const FRAMES_PER_SECOND = 20_000
const SECONDS = 1
const ROUNDS = 3
const PORT = 5149

const network = new Network(3)
t.teardown(() => network[Symbol.dispose]())
const [a, b, c] = network.hosts
// The third host has no tunnel: what floods is in its place.
const [tunnel] = await Promise.all([network.start(0, [1, 2]), network.start(1, [0, 2])])
await untilPing(a, network.overlay(1))
b.spawn('iperf3', ['-s', '-B', network.overlay(1)], { stdio: 'ignore' })
b.spawn('iperf3', ['-s', '-p', '5202', '-B', network.overlay(1)], { stdio: 'ignore' })
await sleep(300)

const iperf3 = async (...args: string[]) =>
  JSON.parse(await ok(a, 'iperf3', '-J', '-c', network.overlay(1), '-t', String(SECONDS), ...args)).end
const throughput = async () => (await iperf3()).sum_received.bits_per_second as number
const lossPercent = async () => (await iperf3('-p', '5202', '-u', '-b', '20M', '-l', '1200')).sum.lost_percent

async function flooding<T>(work: () => Promise<T>): Promise<{ result: T; sent: number }> {
  const flood: MacFlood = {
    to: [0, 1].map((index) => ({ address: network.underlay(index), port: PORT })),
    port: PORT,
    framesPerSecond: FRAMES_PER_SECOND,
    seconds: SECONDS + 1.5,
    seed: 1,
  }
  const flooder = ok(c, process.execPath, FLOODER, JSON.stringify(flood))
  await sleep(700)
  const result = await work()
  return { result, sent: Number(await flooder) / 2 }
}

const median = (values: readonly number[]) => [...values].sort((x, y) => x - y)[values.length >> 1]

t.test('while one floods, two others keep half of their throughput', async (t) => {
  const quiet: number[] = []
  const loud: number[] = []
  let sent = 0
  for (let round = 0; round < ROUNDS; round++) {
    quiet.push(await throughput())
    const flooded = await flooding(throughput)
    loud.push(flooded.result)
    sent += flooded.sent
  }
  const ratio = median(loud.map((it, round) => it / quiet[round]))
  t.comment(
    `${quiet.map((it) => (it / 1e9).toFixed(2))} Gbit/s alone, ${loud.map((it) => (it / 1e9).toFixed(2))} beside a flood`,
  )
  t.comment(`${Math.round(sent / ROUNDS / (SECONDS + 1.5))} frames a second`)
  t.ok(ratio >= 0.5, `${ratio.toFixed(2)} of it`)
})

t.test('and lose under 1% of a steady flow', async (t) => {
  const losses: number[] = []
  for (let round = 0; round < ROUNDS; round++) losses.push((await flooding(lossPercent)).result)
  t.ok(median(losses) < 1, `${losses.map((it) => it.toFixed(2))}%`)
})

t.test('what was known stays known, and the flood is held to its share', async (t) => {
  const { entries, counts } = JSON.parse(await ok(a, process.execPath, PROGRAM, 'fdb')) as FdbReport
  t.match(
    entries.filter(({ mac }) => mac === network.mac(1)),
    [{ peer: network.underlay(1) }],
  )
  t.equal(entries.filter(({ peer }) => peer === network.underlay(2)).length, PORT_LIMIT)
  t.ok(counts.full > FRAMES_PER_SECOND, `${counts.full} were not learnt`)
  const { peers } = await tunnel.status()
  t.ok((peers.find(({ name }) => name === network.underlay(2))?.inbound.frames ?? 0) > FRAMES_PER_SECOND)
})

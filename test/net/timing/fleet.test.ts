/** Real hosts find each other by a real etcd, among many members that never answer. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Fleet } from '../../support/hosts/fleet.js'

const HOSTS = 8
const WRITTEN = 200
const KNOWN_MS = 2_000
/** Without a join: long enough for each host to ask etcd as often as it does. */
const IDLE_MS = 20_000
/** After a join, until its work is done. */
const AFTER_MS = 2_000

/** Some times of what was measured: this is to notice what would not do for thousands. */
const MOST = { cpu: 0.2, memoryMiB: 300, requestsPerSecond: 0.3 }

const mean = (all: readonly number[]) => all.reduce((a, b) => a + b, 0) / all.length

t.test('eight hosts among 200 other members: whoever joins is known to all within 2 s', async (t) => {
  await using fleet = await Fleet.make(HOSTS + 1)
  await fleet.write(WRITTEN)
  await fleet.start(Array.from({ length: HOSTS }, (_, index) => index))
  await fleet.settled(WRITTEN)
  const eight = [...fleet.tunnels]

  const idle = await fleet.cost(eight, () => sleep(IDLE_MS))
  const cpu = mean(idle.cpu) / idle.seconds
  const memoryMiB = mean(fleet.memoryMiB)
  const requestsPerSecond = idle.requests / idle.seconds / HOSTS
  t.comment(
    `each host, if nobody joins: ${(100 * cpu).toFixed(1)} % of a processor, ${memoryMiB.toFixed(0)} MiB, ${requestsPerSecond.toFixed(2)} requests a second; etcd: ${((100 * idle.etcdCpu) / idle.seconds).toFixed(1)} % of a processor`,
  )
  t.ok(cpu < MOST.cpu)
  t.ok(memoryMiB < MOST.memoryMiB)
  t.ok(requestsPerSecond < MOST.requestsPerSecond)

  const during = { cost: idle, joined: { upMs: 0, knownMs: 0, knownAfterUpMs: 0 } }
  during.cost = await fleet.cost(eight, async () => {
    during.joined = await fleet.joins()
    await sleep(AFTER_MS)
  })
  const { cost, joined } = during
  const joinCpuMs = 1_000 * (mean(cost.cpu) - cpu * cost.seconds)
  t.comment(
    `a ninth one is up after ${joined.upMs} ms, and all know it after ${joined.knownMs} ms; ${joinCpuMs.toFixed(0)} ms of a processor for each of the eight`,
  )
  t.ok(joined.knownAfterUpMs <= KNOWN_MS, `all know it ${joined.knownAfterUpMs} ms after it is up`)
  for (const it of eight) t.ok((await it.status('tun0')).peers.some(({ name }) => name === `m${HOSTS}`))
})

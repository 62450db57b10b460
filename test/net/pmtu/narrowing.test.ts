/** Paths that narrow and widen while TCP runs through the tunnel. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startFlow } from '../../support/hosts/flows.js'
import { ok, PROGRAM, pings, untilPing } from '../../support/hosts/lab.js'
import { filterIcmp, pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'

const mtuOf = async (host: Parameters<typeof ok>[0]) =>
  JSON.parse(await ok(host, 'ip', '-j', 'link', 'show', 'dev', 'tap0'))[0].mtu

t.test('1500, 1400, 1500 while TCP runs: it stalls for less than 3 s, and the MTU comes back', async (t) => {
  using path = pathOf(1500, 1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  await untilPathMtu(ends.b, 1500)
  const flow = await startFlow(path.a, path.b, '10.9.0.2', 8)
  await sleep(2_000)
  path.setMtu(1, 1400)
  await untilPathMtu(ends.a, 1400)
  t.equal(await mtuOf(path.a), 1358)
  await sleep(2_000)
  path.setMtu(1, 1500)
  const widenedMs = performance.now()
  await ok(path.a, process.execPath, PROGRAM, 'mtu', '--refresh')
  await untilPathMtu(ends.a, 1500, 'acknowledged', 30_000)
  t.comment(`the MTU was back after ${Math.round(performance.now() - widenedMs)} ms`)
  await untilPathMtu(ends.b, 1500, 'acknowledged', 30_000)
  t.equal(await mtuOf(path.a), 1458)
  t.equal(await mtuOf(path.b), 1458, 'the other end has noticed by it')
  const { longestStallMs, error, bytes, seconds } = await flow.ended
  t.equal(error, null)
  t.ok(longestStallMs < 3_000, `the longest stall was ${Math.round(longestStallMs)} ms`)
  t.ok(bytes > 10_000_000, `${((bytes * 8) / seconds / 1e9).toFixed(2)} Gbit/s`)
})

t.test('a black hole in the middle of a transfer is found within 10 s', async (t) => {
  using path = pathOf(1500, 1500, 1500)
  for (const router of path.routers) await filterIcmp(router, 'both')
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  const flow = await startFlow(path.a, path.b, '10.9.0.2', 7)
  await sleep(2_000)
  path.setMtu(1, 1337)
  const narrowedMs = performance.now()
  await untilPathMtu(ends.a, 1337, 'acknowledged', 10_000)
  t.comment(`found after ${Math.round(performance.now() - narrowedMs)} ms`)
  t.equal(await mtuOf(path.a), 1295)
  const { longestStallMs, error } = await flow.ended
  t.equal(error, null)
  t.ok(longestStallMs < 10_000, `the longest stall was ${Math.round(longestStallMs)} ms`)
})

t.test('a route to another interface is followed at once, higher only when it is confirmed', async (t) => {
  using path = pathOf(1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  path.a.configure('eth0', [], { mtuBytes: 1300 })
  const startedMs = performance.now()
  await untilPathMtu(ends.a, 1300)
  t.ok(performance.now() - startedMs < 1_500, `less after ${Math.round(performance.now() - startedMs)} ms`)
  path.a.configure('eth0', [], { mtuBytes: 9000 })
  await sleep(500)
  await untilPathMtu(ends.a, 1500)
  await untilPing(path.a, '10.9.0.2')
  t.ok(await pings(path.a, '10.9.0.2', '-M', 'do', '-s', '1430'))
})

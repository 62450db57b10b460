import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { askStatus } from '../../../src/command/client.js'
import { ok, startWarmTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'

t.test('reading it 50 times a second does not slow a full load', async (t) => {
  using pair = twoHosts()
  const [a] = await Promise.all([
    startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b),
    startWarmTunnel(pair.b, '10.9.0.2', pair.underlay.a),
  ])
  await untilPing(pair.a, '10.9.0.2')
  pair.b.spawn('iperf3', ['-s'])
  await until(
    'somebody listens',
    async () => (await ok(pair.b, 'ss', '-Hltn', 'sport', '=', '5201')).length > 0,
  )
  pair.a.spawn('iperf3', ['-c', '10.9.0.2', '-t', '30'])
  await until('a load', async () => (await a.status()).outbound.bytes > 50e6)

  const rates: Record<'alone' | 'read', number[]> = { alone: [], read: [] }
  const tookMs: number[] = []
  for (let round = 0; round < 4; round++) {
    for (const kind of ['alone', 'read'] as const) {
      const from = await a.status()
      for (let beat = 0; beat < 35; beat++) {
        const askedMs = performance.now()
        if (kind === 'read') {
          await pair.a.run(() => askStatus('tap0'))
          tookMs.push(performance.now() - askedMs)
        }
        await sleep(Math.max(0, 20 - (performance.now() - askedMs)))
      }
      const to = await a.status()
      rates[kind].push(((to.outbound.bytes - from.outbound.bytes) * 8) / (to.uptime_s - from.uptime_s) / 1e9)
    }
  }
  const median = (values: readonly number[]) => [...values].sort((x, y) => x - y)[values.length >> 1]
  t.comment(
    `${median(rates.alone).toFixed(2)} Gbit/s alone, ${median(rates.read).toFixed(2)} while read; ` +
      `${tookMs.length} readings, median ${median(tookMs).toFixed(1)} ms, at the most ${Math.max(...tookMs).toFixed(1)} ms`,
  )
  t.ok(
    median(rates.read) > 0.8 * median(rates.alone),
    'as fast, but for what two programs more on full cores cost',
  )
  t.ok(median(tookMs) < 20, 'and it answers at once')
})

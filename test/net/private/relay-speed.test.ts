/** TCP through the relay against TCP on the direct path, in turns. On this machine all three hosts share the processors. */
import t from 'tap'
import { ok, until, untilPing } from '../../support/hosts/lab.js'
import { part, startMembers } from '../../support/hosts/members.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

const ROUNDS = Number(process.env.UDPTUN_ROUNDS ?? 3)

t.test('TCP through the relay', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const { hub, introduced, stop } = await startMembers(network, keys, { hub: ['relay_limit: 100000'] })
  const [, a, b] = network.hosts
  await untilPing(a, network.overlay(2))
  const way = async (relayed: boolean) => {
    await part(network, 1, 2, relayed)
    await until(
      relayed ? 'relayed' : 'direct',
      async () =>
        [...(await introduced(0)), ...(await introduced(1))].every((it) => (it.relayed !== null) === relayed),
      90_000,
    )
  }
  const measure = async () => {
    const server = b.spawn('iperf3', ['-s', '-1', '-B', network.overlay(2)], { stdio: 'ignore' })
    await until('it listens', async () => (await ok(b, 'ss', '-tlnH')).includes(':5201'))
    const out = await ok(a, 'iperf3', '-c', network.overlay(2), '-t', '4', '-O', '1', '-J')
    server.kill('SIGKILL')
    return JSON.parse(out).end.sum_received.bits_per_second / 1e9
  }
  const figures: Record<'direct' | 'relayed', number[]> = { direct: [], relayed: [] }
  await until(
    'direct',
    async () => [...(await introduced(0)), ...(await introduced(1))].every((it) => it.relayed === null),
    30_000,
  )
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) await way(false)
    figures.direct.push(await measure())
    await way(true)
    figures.relayed.push(await measure())
  }
  const median = (all: number[]) => [...all].sort((x, y) => x - y)[(all.length - 1) >>> 1]
  const [direct, relayed] = [median(figures.direct), median(figures.relayed)]
  t.comment(
    `Gbit/s direct ${figures.direct.map((it) => it.toFixed(2))}, relayed ${figures.relayed.map((it) => it.toFixed(2))}: ${(relayed / direct).toFixed(2)}`,
  )
  const { drops } = await hub.status('tun0')
  t.comment(JSON.stringify(Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0))))
  t.ok(relayed > 0.1 * direct, `${relayed} of ${direct} Gbit/s`)
  await stop()
})

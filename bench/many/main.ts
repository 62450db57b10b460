/**
 * Compares the TCP throughput of two hosts with and without many other peers. In the network of many hosts, all
 * are peers of each other, and all but the two are idle. The other network has only two hosts. The two are
 * measured in turns: `npm run bench:many -- [hosts] [rounds] [seconds]`. During the measurement of the two, the
 * many are stopped (SIGSTOP), so that they use no processor time.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { stderrColors, stdoutColors } from '../../src/cli/colors.js'
import { table } from '../../src/cli/table.js'
import type { Host } from '../../src/lab/host.js'
import { type RunningTunnel, untilPing } from '../../test/support/hosts/lab.js'
import { Network } from '../../test/support/hosts/network.js'

const [hosts = 20, rounds = 7, seconds = 3] = process.argv.slice(2).map(Number)
/** Time to warm up, and for the machine's work after all tunnels have started. */
const SETTLE_MS = 5_000

async function throughput(from: Host, to: Host, address: string): Promise<number> {
  const server = to.spawn('iperf3', ['-s', '-1', '-B', address], { stdio: 'ignore' })
  await sleep(200)
  const client = from.spawn('iperf3', ['-J', '-c', address, '-t', String(seconds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let json = ''
  client.stdout?.on('data', (chunk) => {
    json += chunk
  })
  await once(client, 'close')
  server.kill()
  return JSON.parse(json).end.sum_received.bits_per_second / 1e9
}

async function start(count: number): Promise<{ network: Network; tunnels: RunningTunnel[] }> {
  const network = new Network(count)
  const tunnels = await network.mesh()
  for (let index = 1; index < count; index++)
    await untilPing(network.hosts[index], network.overlay(0), 30_000)
  return { network, tunnels }
}

const measure = ({ network }: { network: Network }) =>
  throughput(network.hosts[0], network.hosts[1], network.overlay(1))

const two = await start(2)
using _two = two.network
const many = await start(hosts)
using _many = many.network
const signal = (name: NodeJS.Signals) => many.tunnels.map(({ child }) => child.kill(name))
await sleep(SETTLE_MS)

const rows: number[][] = []
for (let round = 0; round < rounds; round++) {
  signal('SIGSTOP')
  const alone = await measure(two)
  signal('SIGCONT')
  await sleep(500)
  const among = await measure(many)
  rows.push([alone, among, among / alone])
  if (process.stderr.isTTY) process.stderr.write(stderrColors.dim(`round ${round + 1} of ${rounds}\n`))
}
const median = (values: readonly number[]) => [...values].sort((x, y) => x - y)[values.length >> 1]
const medians = [0, 1, 2].map((column) => median(rows.map((row) => row[column])))
const cells = (row: readonly number[]) => row.map((value) => value.toFixed(2))
process.stdout.write(
  process.stdout.isTTY
    ? `${table([
        ['TCP, Gbit/s', 'two alone', `two of ${hosts}`, 'ratio'],
        ...rows.map((row, index) => [`round ${index + 1}`, ...cells(row)]),
        [stdoutColors.bold('median'), ...cells(medians)],
      ])}\n`
    : `${JSON.stringify({ hosts, seconds, rounds: rows, medians })}\n`,
)

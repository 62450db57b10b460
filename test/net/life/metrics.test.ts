/** Metrics, health and `status --check` of real tunnels, scraped by Debian's Prometheus. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import {
  ok,
  PROGRAM,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { dashboardQueries, get, getAll, getFrom } from '../../support/hosts/scrape.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'
import { statusMistakes } from '../../support/status-schema.js'

t.jobs = 3

const WITHIN_MS = 30_000
const METRICS = 'http://127.0.0.1:9149/metrics'
const HEALTH = 'http://127.0.0.1:9149/healthz'
const PROMETHEUS = 'http://127.0.0.1:9090'

const command = (host: Host, ...args: string[]) => run(host, process.execPath, [PROGRAM, ...args])

async function jsonOf(host: Host, ...args: string[]): Promise<unknown> {
  return JSON.parse(await ok(host, process.execPath, PROGRAM, ...args, '--json'))
}

t.test(
  'Prometheus scrapes a tunnel, and a peer that is removed has no series',
  { buffered: true },
  async (t) => {
    using pair = twoHosts()
    using keys = new KeyFolder()
    const [ka, kb, kc] = ['a', 'b', 'c'].map((name) => keys.make(name))
    const b = { name: 'host-b', endpoint: pair.underlay.b, public_key: kb.publicKey }
    const c = { name: 'host-c', endpoint: '192.0.2.77', public_key: kc.publicKey }
    const settings = (...peers: object[]) =>
      keys.write(
        'a.yaml',
        JSON.stringify({ local: ['10.9.0.1'], private_key_file: ka.file, metrics: '9149', peers }),
      )
    const config = settings(b, c)
    const a = await startTunnel(pair.a, '--config', config)
    const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))
    await untilPing(pair.a, '10.9.0.2', WITHIN_MS)

    const file = keys.write(
      'prometheus.yaml',
      JSON.stringify({
        global: { scrape_interval: '1s' },
        scrape_configs: [{ job_name: 'udptun', static_configs: [{ targets: ['127.0.0.1:9149'] }] }],
      }),
    )
    const prometheus = pair.a.spawn(
      'prometheus',
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${keys.path}/data`,
        '--web.listen-address=127.0.0.1:9090',
      ],
      { stdio: 'ignore' },
    )
    const ended = new Promise((resolve) => prometheus.once('exit', resolve))
    const ask = async (...queries: string[]) => {
      const urls = queries.map((it) => `${PROMETHEUS}/api/v1/query?query=${encodeURIComponent(it)}`)
      return (await getAll(pair.a, urls)).map(({ body }) => JSON.parse(body))
    }
    const value = async (query: string) => {
      const [{ data }] = await ask(query).catch(() => [{}])
      return Number(data?.result?.[0]?.value?.[1])
    }
    await until('it was scraped', async () => (await value('up{job="udptun"}')) === 1, WITHIN_MS)
    await until(
      'what the ping has sent is there',
      async () => (await value('udptun_peer_receive_bytes_total{peer="host-b"}')) > 0,
      WITHIN_MS,
    )
    const ageS = await value('time() - udptun_peer_last_handshake_timestamp_seconds{peer="host-b"}')
    t.ok(ageS >= 0 && ageS < 60, `the keys are ${ageS} s old`)
    t.equal(await value('udptun_up'), 1)
    t.equal(await value('udptun_peer_path_mtu_bytes{peer="host-b"}'), 1500)

    const scraped = await get(pair.a, METRICS)
    t.match(scraped, { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' })
    const text = keys.write('scraped.txt', scraped.body)
    const lint = await run(pair.a, 'sh', ['-c', `promtool check metrics <${text}`])
    t.match(lint, { code: 0, stdout: '', stderr: '' })
    const open = await get(pair.a, METRICS, 'application/openmetrics-text; version=1.0.0')
    t.match(open, { status: 200, type: /^application\/openmetrics-text/, body: /\n# EOF\n$/ })

    const queries = dashboardQueries()
    t.ok(queries.length > 20)
    const present = new Set([...scraped.body.matchAll(/^(udptun_\w+)[{ ]/gm)].map(([, name]) => name))
    const used = new Set(queries.flatMap((it) => it.match(/udptun_\w+/g) ?? []))
    t.same(
      [...used].filter((it) => !present.has(it)),
      [],
      'the dashboard uses only metrics that exist',
    )
    const answers = await ask(...queries)
    for (const [index, query] of queries.entries()) t.equal(answers[index].status, 'success', query)

    t.same(statusMistakes(await jsonOf(pair.a, 'status')), [])
    for (const peer of (await jsonOf(pair.a, 'peers')) as unknown[]) t.same(statusMistakes(peer, 'peer'), [])

    t.match(scraped.body, /^udptun_peer_up\{peer="host-c"\} 0$/m)
    settings(b)
    t.equal((await command(pair.a, 'reload')).code, 0)
    await until(
      'the peer is gone',
      async () => !(await get(pair.a, METRICS)).body.includes('host-c'),
      WITHIN_MS,
    )
    t.match((await get(pair.a, METRICS)).body, /^udptun_peer_up\{peer="host-b"\} 1$/m)

    prometheus.kill()
    await ended
    for (const tunnel of [a, far]) t.equal((await tunnel.stop()).code, 0)
    t.same(leftIn(pair.a), [])
  },
)

t.test('health: the device and the peers; status --check', { buffered: true }, async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mode', 'tun', '--metrics', '9149')
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--mode', 'tun')
  await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
  t.match(await get(pair.a, HEALTH), { status: 200, body: 'healthy\n' })
  t.match(await command(pair.a, 'status', '--check'), {
    code: 0,
    stdout: 'tun0: 1 of 1 peer up\n',
    stderr: '',
  })
  t.same(statusMistakes(await jsonOf(pair.a, 'status')), [], 'the status of a plain tunnel of packets')

  await ok(pair.a, 'ip', 'link', 'set', 'tun0', 'down')
  const reason = 'the device tun0 is down; set it up with: ip link set tun0 up'
  await until('it is not healthy', async () => (await get(pair.a, HEALTH)).status === 503, WITHIN_MS)
  t.match(await get(pair.a, HEALTH, 'application/json'), {
    status: 503,
    body: `${JSON.stringify({ healthy: false, reasons: [reason] })}\n`,
  })
  t.match(await command(pair.a, 'status', '--check'), {
    code: 1,
    stdout: '',
    stderr: `udptun-fast: tun0: ${reason}\n`,
  })
  await ok(pair.a, 'ip', 'link', 'set', 'tun0', 'up')
  await until('it is healthy again', async () => (await get(pair.a, HEALTH)).status === 200, WITHIN_MS)

  await far.stop('SIGKILL')
  const check = () => command(pair.a, 'status', '--check')
  await until('the peer is down', async () => (await check()).code === 1, 60_000)
  t.match(await check(), {
    code: 1,
    stderr:
      /^udptun-fast: tun0: peer 192\.0\.2\.2 is down: it answers no keepalives, and was last heard .* ago\n$/,
  })
  t.match(await get(pair.a, HEALTH), { status: 200 }, 'nothing on this host can mend that')
})

t.test('a Unix socket, a worker that is stuck, and places that cannot be', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const folder = mkdtempSync(join(tmpdir(), 'udptun-metrics-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const socket = join(folder, 'm.sock')
  const args = ['10.9.0.1', pair.underlay.b, '--metrics', socket]
  const killed = await startTunnel(pair.a, ...args)
  t.equal(statSync(socket).mode & 0o777, 0o600)
  t.match(await getFrom(socket, '/metrics'), { status: 200, body: /^udptun_up 1$/m })
  await killed.stop('SIGKILL')
  t.ok(existsSync(socket))

  // Not from the bundle, because the hook needs the modules by their names.
  const file = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
  const stuck = file('test/support/service/stuck.js')
  const near = new RunningTunnel(
    pair.a,
    [...args, '--warm-up', 'off', '--datapath', 'workers', '--json'],
    [],
    {
      command: [process.execPath, '--import', stuck, file('src/cli/main.js')],
      env: { ...process.env, STUCK: join(folder, 'stuck'), INVOCATION_ID: 'test' },
    },
  )
  await near.said(/^metrics and health are served at /)
  t.match(await getFrom(socket, '/healthz'), { status: 200 }, 'the socket that was left is replaced')
  await ok(pair.a, 'sh', '-c', `printf '%s' 'tap test' >${join(folder, 'stuck')}`)
  const spoil = () => run(pair.a, 'ping', ['-c', '1', '-W', '0.2', '10.9.0.77'])
  const isSick = async () => {
    await spoil()
    return (await getFrom(socket, '/healthz')).status === 503
  }
  await until('a worker is stuck', isSick, WITHIN_MS)
  t.match(await getFrom(socket, '/healthz'), { body: 'the tap worker has not turned for 2 s\n' })
  t.match(await getFrom(socket, '/metrics'), { status: 200, body: /^udptun_worker_up\{worker="tap"\} 0$/m })
  await near.stop('SIGKILL')

  const last = await startTunnel(pair.a, ...args, '--dev', 'tap7')
  const other = ['start', '10.8.0.1', '192.0.2.9', '--listen', '0', '--dev', 'tap8', '--metrics']
  t.match(await command(pair.a, ...other, socket), {
    code: 1,
    stderr: `udptun-fast: metrics: another program answers at ${socket}; choose another path\n`,
  })
  t.match(await command(pair.a, ...other, '192.0.2.66:9149'), {
    code: 1,
    stderr:
      'udptun-fast: metrics: this host has no address 192.0.2.66 to listen on; choose one that it has\n',
  })
  t.match(await command(pair.a, ...other, 'here'), {
    code: 2,
    stderr: /^udptun-fast: --metrics: "here" is not a place for metrics; write a port, .*\n$/,
  })
  t.equal((await last.stop()).code, 0)
  t.notOk(existsSync(socket), 'it is gone at the end')
  t.same(leftIn(pair.a), [])
})

/** Where the kernel's own datapath cannot be: the workers carry, and it is said once why. */
import { readdirSync, readlinkSync } from 'node:fs'
import t from 'tap'
import { carrier } from '../../support/hosts/carried.js'
import {
  ONE_OF_FIVE,
  PLAIN,
  PROGRAM,
  pings,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'

/** Starts a program with these capabilities and no others. */
const withOnly = (...capabilities: readonly string[]) => {
  const list = ['-all', ...capabilities.map((it) => `+${it}`)].join(',')
  return ['setpriv', `--bounding-set=${list}`, `--inh-caps=${list}`] as const
}

/** What a process holds of BPF: its maps, programs and links. */
function bpfFds({ pid }: RunningTunnel): string[] {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder)
    .map((fd) => readlinkSync(`${folder}/${fd}`))
    .filter((it) => it.includes('bpf'))
}

t.test('CAP_BPF beside CAP_NET_ADMIN and CAP_NET_RAW is enough; without it the workers carry', async (t) => {
  using pair = twoHosts()
  const launch = (...capabilities: readonly string[]) => ({
    command: [...withOnly(...capabilities), process.execPath, PROGRAM] as [string, ...string[]],
  })
  const start = async (host: typeof pair.a, capabilities: readonly string[], ...args: readonly string[]) => {
    const tunnel = new RunningTunnel(host, ['--warm-up', 'off', ...args], [], launch(...capabilities))
    await tunnel.said(/ is up: /)
    return tunnel
  }
  const able = await start(pair.a, ['net_admin', 'net_raw', 'bpf'], '10.9.0.1', pair.underlay.b)
  const other = await startTunnel(pair.b, '--datapath', 'kernel', '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  for (const tunnel of [able, other])
    await until('the kernel carries', async () => (await carrier(tunnel)).by === 'kernel', 10_000)
  t.equal((await able.stop()).code, 0)

  const unable = await start(pair.a, ['net_admin', 'net_raw'], '10.9.0.1', pair.underlay.b)
  await untilPing(pair.a, '10.9.0.2')
  t.same(await carrier(unable), { by: 'workers', reason: 'kernel' })
  const why = /the kernel's own datapath cannot be used/
  const { msg } = await unable.said(why)
  t.equal(unable.log.filter((line) => why.test(String(line.msg))).length, 1)
  t.match(msg, /\(.*\(EPERM\)\); it needs Linux 6\.6, CAP_BPF and CAP_NET_RAW; the workers carry all frames$/)
  await until('the other end knows', async () => (await carrier(other)).by === 'workers', 10_000)
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
  t.not(bpfFds(other).length, 0)
  t.equal((await unable.stop()).code, 0)

  const late = await start(pair.a, ['net_admin', 'bpf'], '10.9.0.1', pair.underlay.b)
  await late.said(/the kernel's own datapath cannot be used \(socket: /)
  await until('nothing of it is left open', () => bpfFds(late).length === 0, 10_000)
  t.equal((await late.stop()).code, 0)

  const [env, ...rest] = [
    ...[...PLAIN, ...withOnly('net_admin', 'net_raw'), process.execPath, PROGRAM],
    ...['start', '--datapath', 'kernel', '10.9.0.1', pair.underlay.b],
  ]
  const { code, stderr } = await run(pair.a, env, rest)
  t.equal(code, 1)
  t.match(
    stderr,
    /^udptun-fast: the kernel's own datapath cannot be used \(.*\); .*; leave out --datapath kernel to go on without\n$/,
  )
  t.equal((await run(pair.a, 'ip', ['link', 'show', 'tap0'])).code, 1, 'nothing is left behind')
})

t.test('an underlay that is no Ethernet', async (t) => {
  using pair = twoHosts()
  const under = (host: 1 | 2, remote: string) => ['--mode', 'tun', `10.8.0.${host}`, remote]
  await startTunnel(pair.a, ...under(1, pair.underlay.b))
  await startTunnel(pair.b, ...under(2, pair.underlay.a))
  await untilPing(pair.a, '10.8.0.2')
  const over = ['--datapath', 'auto', '--listen', '5150']
  const a = await startTunnel(pair.a, ...over, '10.9.0.1', '10.8.0.2:5150')
  await startTunnel(pair.b, ...over, '10.9.0.2', '10.8.0.1:5150')
  await untilPing(pair.a, '10.9.0.2')
  await until('both have said that they can', async () => (await carrier(a)).reason === 'underlay', 15_000)
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
  const { stdout } = await run(pair.a, process.execPath, [PROGRAM, 'peers', 'tap0'])
  t.match(stdout, /underlay/)
})

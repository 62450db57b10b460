import { once } from 'node:events'
import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { askStatus } from '../../../src/command/client.js'
import { listSockets } from '../../../src/command/path.js'
import type { DropReason, StatusReport } from '../../../src/control/status.js'
import type { Host } from '../../../src/lab/host.js'
import { getLink, setLink } from '../../../src/linux/interface.js'
import { close } from '../../../src/linux/libc.js'
import { encodeSockaddr } from '../../../src/linux/sockaddr.js'
import { openUdp, sendDatagram } from '../../../src/linux/udp.js'
import { sendDatagrams } from '../../support/hosts/datagrams.js'
import { BROADCAST, ETHERTYPE, frame } from '../../support/hosts/frames.js'
import {
  type Finished,
  ok,
  type Pair,
  PLAIN,
  PROGRAM,
  type RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { pollers, workersSleep } from '../../support/hosts/threads.js'
import { transfer } from '../../support/hosts/transfer.js'

function status(host: Host, ...args: string[]): Promise<Finished> {
  return run(host, process.execPath, [PROGRAM, 'status', ...args])
}

/** A command line for a terminal of its own (script(1)), of a given size. */
function onTerminal(args: string, rows = 50, columns = 140): string[] {
  const program = `stty rows ${rows} columns ${columns}; exec ${PLAIN.join(' ')} ${process.execPath} ${PROGRAM} ${args}`
  return ['-qec', program, '/dev/null']
}

/** The cells of the table's last row of this name. */
function row(text: string, name: string): string[] {
  const rows = text.split(/\r?\n/).filter((line) => line.startsWith(`${name}  `))
  return rows.at(-1)?.split(/ {2,}/) ?? []
}

/** Two tunnels that know each other. */
async function joined(pair: Pair, ...args: string[]) {
  const [a, b] = await Promise.all([
    startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...args),
    startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...args),
  ])
  await untilPing(pair.a, '10.9.0.2')
  return { a, b }
}

t.test('its socket is for root alone, named by network namespace and device', async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--dev', 'lan7')
  const inode = /\d+/.exec(pair.a.run(() => readlinkSync('/proc/thread-self/ns/net')))?.[0]
  const { index } = pair.a.netlink((netlink) => getLink(netlink, 'lan7'))
  const path = `/run/udptun-fast/${inode}-${index}-lan7.sock`
  const { mode } = lstatSync(path)
  t.equal(mode & 0o170000, 0o140000, 'a socket')
  t.equal(mode & 0o7777, 0o600)
  t.equal(lstatSync('/run/udptun-fast').mode & 0o7777, 0o700)
  t.same(
    pair.a.run(() => listSockets()),
    [{ path, device: 'lan7', present: true, elsewhere: false }],
  )
})

t.test('a table on a terminal, JSON in a pipe or when asked', async (t) => {
  using pair = twoHosts()
  const { a } = await joined(pair)
  const piped = await status(pair.a)
  t.match(piped, { code: 0, stderr: '' })
  const report: StatusReport = JSON.parse(piped.stdout)
  t.match(report, {
    pid: a.pid,
    device: 'tap0',
    mode: 'tap',
    local: ['10.9.0.1/24'],
    listen: '[::]:5149',
    peers: [
      {
        name: '192.0.2.2',
        host: '192.0.2.2',
        endpoint: '192.0.2.2:5149',
        underlay: { interface: 'eth0', mtu_bytes: 1500 },
        mtu_bytes: 1458,
      },
    ],
    mtu_bytes: 1458,
  })
  await until('it has heard of the remote', async () => (await a.status()).peers[0].heard_s !== null)

  const { code, stdout } = await run(pair.a, 'env', ['-u', 'NO_COLOR', 'script', ...onTerminal('status')])
  t.equal(code, 0)
  t.not(stripVTControlCharacters(stdout), stdout, 'coloured')
  const lines = stripVTControlCharacters(stdout).trimEnd().split(/\r?\n/)
  t.ok(lines.length < 24, `short: ${lines.length} lines`)
  for (const line of lines) t.ok(line.length <= 80, line)
  t.match(lines[0], /^tap0 tap {2}10\.9\.0\.1\/24 {2}MTU 1458 {2}up \d+ s$/)
  t.match(
    lines[1],
    /^to 192\.0\.2\.2:5149 by eth0 \(MTU 1500\) {2}heard \d+ s ago( {2}round trip [\d.]+ ms)?$/,
  )
  const { outbound } = await a.status()
  const text = lines.join('\n')
  const frames = Number(row(text, 'outbound')[1])
  t.ok(frames > 0 && frames <= outbound.frames, `${frames} frames`)
  for (const worker of ['tap', 'udp']) t.equal(row(text, worker).length, 6, `a row for the ${worker} worker`)
  t.ok(lines.some((line) => line.startsWith('nothing dropped')))

  const asked = await run(pair.a, 'script', onTerminal('status --json'))
  t.equal(JSON.parse(asked.stdout).device, 'tap0')
})

t.test('--watch shows it every second, with rates, until it is stopped or the tunnel is', async (t) => {
  using pair = twoHosts()
  const { a } = await joined(pair)
  pair.a.spawn('ping', ['-q', '-i', '0.02', '10.9.0.2'])
  const [env, ...rest] = [...PLAIN, process.execPath, PROGRAM, 'status', '--watch']
  const jsonLines = pair.a.spawn(env, rest)
  const screens = ['50', '0'].map((rows) => {
    const child = pair.a.spawn('script', onTerminal('status --watch', Number(rows)))
    let seen = ''
    child.stdout?.on('data', (chunk) => {
      seen += chunk
    })
    return { child, text: () => stripVTControlCharacters(seen) }
  })
  let json = ''
  jsonLines.stdout?.on('data', (chunk) => {
    json += chunk
  })
  const rateOn = ({ text }: (typeof screens)[number]) => row(text(), 'outbound').at(-2) ?? ''
  for (const screen of screens) await until('a rate is shown', () => / \/s$/.test(rateOn(screen)))
  const rate = Number.parseInt(rateOn(screens[0]), 10)
  const head = row(screens[0].text(), 'traffic')
  t.equal(new Set(head).size, head.length, `each column has a name of its own: ${head.join(', ')}`)
  t.ok(rate > 30 && rate < 60, `${rate} frames a second, of a ping 50 times a second`)
  await until('three lines', () => json.split('\n').length > 3)
  const [first, second] = json
    .split('\n')
    .slice(0, 2)
    .map((line): StatusReport => JSON.parse(line))
  t.ok(second.uptime_s - first.uptime_s > 0.9 && second.uptime_s - first.uptime_s < 1.5)
  screens[0].child.kill()

  const ended = once(screens[1].child, 'exit')
  await a.stop()
  const [code] = await ended
  t.equal(code, 1, 'the tunnel has ended, and so does it')
  t.match(screens[1].text(), /no tunnel runs on tap0 here; start one with: .*\s*$/)
})

t.test('a reader that has read enough is no error', async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  const pipe = `set -o pipefail; ${process.execPath} ${PROGRAM} status --watch | head -n 1`
  const { code, stdout, stderr } = await run(pair.a, 'bash', ['-c', pipe])
  t.equal(JSON.parse(stdout).device, 'tap0')
  t.equal(stderr, '')
  t.equal(code, 0)
})

t.test('of several tunnels one is to be chosen; without any it says so', async (t) => {
  using pair = twoHosts()
  t.match(await status(pair.a), {
    code: 1,
    stderr: 'udptun-fast: no tunnel runs here; start one with: udptun-fast start <local-ip> <remote>\n',
  })
  t.match(await status(pair.a, '--dev', 'tap0'), {
    code: 1,
    stderr:
      'udptun-fast: no tunnel runs on tap0 here; start one with: udptun-fast start <local-ip> <remote>\n',
  })
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  const other = ['--dev', 'lan1', '--listen', '6000', '--mode', 'tun']
  const second = await startTunnel(pair.a, '10.8.0.1', pair.underlay.b, ...other)
  t.match(await status(pair.a), {
    code: 1,
    stderr:
      /^udptun-fast: several tunnels run here \((tap0, lan1|lan1, tap0)\); name one, such as: udptun-fast status (tap0|lan1)\n$/,
  })
  t.equal(JSON.parse((await status(pair.a, '--dev', 'lan1')).stdout).pid, second.pid)
  t.match(await status(pair.b), { code: 1, stderr: /no tunnel runs here/ }, 'another host sees neither')
  await second.stop('SIGKILL')
  t.equal(JSON.parse((await status(pair.a)).stdout).device, 'tap0', 'one that was killed does not count')
})

/** Once nothing moves any more. */
async function atRest(...tunnels: readonly RunningTunnel[]): Promise<StatusReport[]> {
  let before = ''
  let reports: StatusReport[] = []
  await until('nothing moves', async () => {
    await sleep(150)
    reports = await Promise.all(tunnels.map((tunnel) => tunnel.status()))
    const now = JSON.stringify(reports.map(({ inbound, outbound }) => [inbound, outbound]))
    const same = now === before
    before = now
    return same
  })
  return reports
}

interface Amount {
  readonly frames: number
  readonly bytes: number
}

function less(now: Amount, before: Amount): Amount {
  return { frames: now.frames - before.frames, bytes: now.bytes - before.bytes }
}

for (const offload of ['auto', 'off'] as const) {
  t.test(`what goes out on one side comes in on the other, offload ${offload}`, async (t) => {
    using pair = twoHosts()
    const { a, b } = await joined(pair, '--offload', offload)
    const before = await atRest(a, b)
    const bytes = 24 * 1024 * 1024
    await transfer({ listener: pair.b, address: '10.9.0.2', connector: pair.a, bytes })
    const after = await atRest(a, b)
    for (const [from, to] of [
      [0, 1],
      [1, 0],
    ]) {
      const name = `${'ab'[from]} to ${'ab'[to]}`
      const sent = less(after[from].outbound, before[from].outbound)
      const received = less(after[to].inbound, before[to].inbound)
      const lost = after[to].drops.socket_buffer_full
      t.equal(sent.frames, received.frames + lost, `frames ${name}, ${lost} lost at the socket`)
      if (lost === 0) t.equal(sent.bytes, received.bytes, `bytes ${name}`)
      t.ok(sent.bytes > bytes, 'more than what it carried')
      const { high_water_bytes, used_bytes, bytes: room } = after[from].rings.outbound
      t.equal(used_bytes, 0, 'nothing waits')
      t.ok(high_water_bytes > 1_000 && high_water_bytes <= room, `at the most ${high_water_bytes} of ${room}`)
    }
    const [near] = after
    const [{ stats64: kernel }] = JSON.parse(await ok(pair.a, 'ip', '-j', '-s', 'link', 'show', 'tap0'))
    t.comment(`super-frames: ${JSON.stringify(near.super_frames)}`)
    if (offload === 'off') {
      t.same(near.super_frames, { read: 0, written: 0 })
      t.same(near.outbound, { frames: kernel.tx.packets, bytes: kernel.tx.bytes }, 'as the kernel counts')
      t.same(near.inbound, { frames: kernel.rx.packets, bytes: kernel.rx.bytes })
    } else {
      t.ok(near.super_frames.read > 0 && near.super_frames.written > 0)
      t.ok(near.outbound.frames > kernel.tx.packets, 'a super-frame is many frames')
    }
  })
}

/** What /proc tells of one thread. */
function threadOf(pid: number, file: string) {
  const poller = pollers(pid).find(({ files }) => files.some((it) => it.startsWith(file)))
  if (poller === undefined) throw new Error(`no thread polls ${file}`)
  const task = `/proc/${pid}/task/${poller.tid}`
  const number = (name: string, key: string) =>
    Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(readFileSync(`${task}/${name}`, 'utf8'))?.[1])
  return {
    slept: number('status', 'voluntary_ctxt_switches'),
    readsAndWrites: number('io', 'syscr') + number('io', 'syscw'),
  }
}

t.test('syscalls and wake-ups are those that the kernel sees', async (t) => {
  using pair = twoHosts()
  const { a } = await joined(pair)
  await until('its workers are warm and sleep', () => workersSleep(a.pid))
  await atRest(a)
  const look = async () => {
    const { workers } = await a.status()
    return { ...workers, thread: threadOf(a.pid, 'socket:') }
  }
  const before = await look()
  const pings = 100
  await ok(pair.a, 'ping', '-q', '-c', String(pings), '-i', '0.01', '10.9.0.2')
  await atRest(a)
  const after = await look()
  const wakeUps = after.udp.wake_ups - before.udp.wake_ups
  const slept = after.thread.slept - before.thread.slept
  const syscalls = after.udp.syscalls - before.udp.syscalls
  const seen = after.thread.readsAndWrites - before.thread.readsAndWrites
  t.comment(
    `udp worker: ${wakeUps} wake-ups, slept ${slept} times; ${syscalls} syscalls, ${seen} reads and writes`,
  )
  // A poll that finds something at once wakes a worker that has not slept.
  t.ok(slept <= 5 + 1.1 * wakeUps, 'each sleep ended with a wake-up')
  t.ok(wakeUps >= 2 * pings * 0.8 && wakeUps < 4 * pings, 'once for each ping and each answer, or so')
  // Beside reads and writes: its polls, a send for each record it read, and what it received or looked for.
  t.ok(syscalls >= seen + wakeUps, 'reads, writes and polls are counted')
  t.ok(syscalls <= seen + wakeUps + 4 * pings, 'and little else')
  t.ok(after.tap.wake_ups - before.tap.wake_ups < 0.3 * pings, 'the tap worker has slept meanwhile')
})

/** How a reason to drop is provoked on host a, and its counter. */
interface Provocation {
  readonly reason: DropReason
  /** Another that comes with it, as frames wait for a full send buffer. */
  readonly beside?: DropReason
  readonly args?: readonly string[]
  provoke(pair: Pair): Promise<unknown>
}

/** Frames out of host a: pings to an address on its overlay that nobody need have. */
async function send(pair: Pair, ...args: string[]): Promise<void> {
  await ok(pair.a, 'ip', 'neigh', 'replace', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'tap0')
  await run(pair.a, 'ping', ['-q', '-c', '5', '-i', '0.01', '-W', '0.1', ...args, '10.9.0.2'])
}

/** Datagrams out of host a, with don't-fragment, from a socket that does not heed the answers. */
async function sendHeedless({ a }: Pair, payloads: readonly Buffer[]): Promise<void> {
  await ok(a, 'ip', 'neigh', 'replace', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'tap0')
  const buffers = { receiveBufferBytes: 1 << 16, sendBufferBytes: 1 << 16 }
  const socket = a.run(() => openUdp({ listen: { address: '10.9.0.1', port: 9_000 }, ...buffers }))
  const name = encodeSockaddr(socket.family, { address: '10.9.0.2', port: 9 })
  for (const payload of payloads) sendDatagram(socket, payload, name)
  close(socket.fd)
}

/** Datagrams to host a, from its peer's address unless another port is given. */
function arrive(pair: Pair, payloads: readonly Buffer[], port = 5149): Promise<void> {
  const from = { address: pair.underlay.b, port }
  return sendDatagrams(pair.b, from, { address: pair.underlay.a, port: 5149 }, payloads)
}

/** As much as goes, for as long as the host lives. */
async function blast({ a }: Pair): Promise<void> {
  await ok(a, 'ip', 'neigh', 'replace', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'tap0')
  a.spawn('socat', ['-u', '-b1400', '/dev/zero', 'UDP-SENDTO:10.9.0.2:9'])
}

function shape({ a }: Pair, rate: string, limit = '64mb'): Promise<string> {
  const queue = ['tbf', 'rate', rate, 'burst', '10kb', 'limit', limit]
  return ok(a, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...queue)
}

const five = (bytes: number) => Array.from({ length: 5 }, () => Buffer.alloc(bytes, 0xff))

/** `malformed` and `device_refused` are what no kernel does; offload-fallback.test.ts makes a device refuse. */
const PROVOCATIONS: readonly Provocation[] = [
  {
    reason: 'send_buffer_full',
    beside: 'device_queue_full',
    provoke: async (pair) => {
      await shape(pair, '8kbit')
      await blast(pair)
    },
  },
  {
    reason: 'underlay_queue_full',
    beside: 'device_queue_full',
    provoke: async (pair) => {
      await shape(pair, '1mbit', '32kb')
      await blast(pair)
    },
  },
  {
    reason: 'over_path',
    args: ['--mtu', '1500'],
    provoke: async (pair) => {
      const known = async () =>
        (await pair.a.run(() => askStatus('tap0'))).peers[0].path_mtu?.how !== 'assumed'
      await until('the path is known', known)
      await sendHeedless(pair, five(1_450))
    },
  },
  {
    reason: 'unreachable',
    provoke: async (pair) => {
      await ok(pair.a, 'ip', 'route', 'del', '192.0.2.0/24', 'dev', 'eth0')
      await send(pair)
    },
  },
  {
    reason: 'forbidden',
    provoke: async (pair) => {
      const rules =
        'add chain ip t c { type filter hook output priority 0; }; add rule ip t c udp dport 5149 drop'
      await ok(pair.a, 'nft', `add table ip t; ${rules}`)
      await send(pair)
    },
  },
  {
    reason: 'send_failed',
    provoke: async (pair) => {
      await ok(pair.a, 'ip', 'route', 'add', 'blackhole', pair.underlay.b)
      await send(pair)
    },
  },
  { reason: 'foreign', provoke: (pair) => arrive(pair, five(100), 6000) },
  { reason: 'empty', provoke: (pair) => arrive(pair, five(0)) },
  { reason: 'runt', provoke: (pair) => arrive(pair, five(13)) },
  { reason: 'oversize', provoke: (pair) => arrive(pair, five(1600)) },
  {
    reason: 'device_down',
    provoke: async (pair) => {
      pair.a.netlink((netlink) => setLink(netlink, getLink(netlink, 'tap0').index, { up: false }))
      await arrive(pair, five(100))
    },
  },
  {
    reason: 'device_receive',
    provoke: (pair) =>
      arrive(
        pair,
        Array.from({ length: 5 }, () => frame(BROADCAST, ETHERTYPE.experimental, Buffer.alloc(60))),
      ),
  },
  {
    reason: 'device_queue_full',
    beside: 'send_buffer_full',
    provoke: async (pair) => {
      await shape(pair, '1mbit')
      await blast(pair)
    },
  },
]

for (const { reason, beside, args = [], provoke } of PROVOCATIONS) {
  t.test(`drops are counted by their reason: ${reason}`, async (t) => {
    using pair = twoHosts()
    const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...args)
    t.equal((await tunnel.status()).drops[reason], 0)
    await provoke(pair)
    await until('they are counted', async () => (await tunnel.status()).drops[reason] >= 5)
    const { drops } = await tunnel.status()
    const counted = Object.entries(drops).filter(([, count]) => count > 0)
    t.comment(JSON.stringify(Object.fromEntries(counted)))
    const others = counted.map(([name]) => name).filter((name) => name !== reason && name !== beside)
    t.same(others, [], 'and by no other')
    const shown = stripVTControlCharacters((await run(pair.a, 'script', onTerminal('status'))).stdout)
    t.match(shown, new RegExp(`^${reason} +\\d+ +\\S`, 'm'), 'the table says why')
  })
}

t.test('drops are counted by their reason: not_ip', async (t) => {
  using pair = twoHosts()
  const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mode', 'tun')
  await arrive(pair, five(100))
  await until('they are counted', async () => (await tunnel.status('tun0')).drops.not_ip > 0)
  t.equal((await tunnel.status('tun0')).drops.not_ip, 5)
})

// With UDP_GRO the kernel counts a run of datagrams as one.
for (const offload of ['off', 'auto'] as const) {
  const what = offload === 'off' ? 'to the last datagram' : 'by its buffers'
  t.test(`what the kernel drops at the socket is counted, ${what}, offload ${offload}`, async (t) => {
    using pair = twoHosts()
    const { a, b } = await joined(pair, '--offload', offload)
    const before = await atRest(a, b)
    a.child.kill('SIGSTOP')
    await ok(pair.b, 'ip', 'neigh', 'replace', '10.9.0.1', 'lladdr', '02:00:00:00:00:01', 'dev', 'tap0')
    const socat = pair.b.spawn('socat', ['-u', '-b1400', '/dev/zero', 'UDP-SENDTO:10.9.0.1:9'])
    await until(
      'more is sent than there is room for',
      async () => (await b.status()).outbound.bytes > 40e6,
      30_000,
    )
    socat.kill()
    await atRest(b)
    a.child.kill('SIGCONT')
    const after = await atRest(a, b)
    const sent = after[1].outbound.frames - before[1].outbound.frames
    const came = after[0].inbound.frames - before[0].inbound.frames
    const dropped = after[0].drops.socket_buffer_full
    t.ok(
      came + dropped < sent + 200 && dropped > 0,
      `${sent} sent, ${came} written, ${dropped} counted as dropped`,
    )
    // What main itself sends, keepalives and probes, is dropped there, too.
    if (offload === 'off')
      t.ok(came + dropped >= sent && came + dropped <= sent + 200, `${came + dropped - sent} more`)
    // A run is 46 datagrams of 1,400 bytes at the most.
    else t.ok(came + dropped <= sent && came + dropped * 46 >= sent)
  })
}

/** `udptun-fast ping`, with real hosts. */
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { Program } from '../../../src/lab/program.js'
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
import { lose, pathOf, startEnds, swallow, untilPathMtu } from '../../support/hosts/path.js'
import { WgQuick } from '../../support/hosts/wg-quick.js'
import { KeyFolder, keyFlags, WireGuardGo } from '../../support/hosts/wireguard-go.js'

// Most of what is here is waiting.
t.jobs = 2

const ping = (host: Host, ...args: string[]) => run(host, process.execPath, [PROGRAM, 'ping', ...args])

interface Summary {
  readonly by: string
  readonly sent: number
  readonly answered: number
  readonly loss: number
  readonly rtt_ms: { min: number; avg: number; max: number; mdev: number } | null
  readonly path_mtu_bytes: { to: number | null; back: number | null }
}

/** What it printed: a line of JSON for each ping, and then the summary. */
function read({ stdout }: Finished) {
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  return { pings: lines.slice(0, -1), summary: lines.at(-1) as Summary }
}

/** Two plain tunnels that have found their path MTUs. */
async function plainPair(pair: Pair, ...flags: string[]): Promise<[RunningTunnel, RunningTunnel]> {
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...flags)
  const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...flags)
  await until('both know their paths', async () => (await knows(a)) && (await knows(b)), 15_000)
  return [a, b]
}

async function knows(tunnel: RunningTunnel, device = 'tap0'): Promise<boolean> {
  const [{ path_mtu, keepalives }] = (await tunnel.status(device)).peers
  return path_mtu?.how === 'acknowledged' && path_mtu.state === 'complete' && keepalives === true
}

t.test('a plain peer: round trips, loss, and the path MTU each way', { buffered: true }, async (t) => {
  using pair = twoHosts()
  // The kernel's own datapath carries the frames, and keepalives go through the sockets.
  const [a] = await plainPair(pair, '--datapath', 'auto')
  const all = await ping(pair.a, '-c', '5', '-i', '0.1')
  t.equal(all.code, 0, all.stderr)
  const { pings, summary } = read(all)
  t.equal(pings.length, 5)
  for (const it of pings) {
    t.match(it, { peer: '192.0.2.2', answer: 'answered', packet_bytes: 58, path_mtu_back_bytes: 1500 })
    t.ok(it.rtt_ms > 0 && it.rtt_ms < 1_000, `${it.rtt_ms} ms`)
  }
  t.match(summary, { by: 'keepalive', sent: 5, answered: 5, loss: 0 })
  t.same(summary.path_mtu_bytes, { to: 1500, back: 1500 })
  const { min = 0, avg = 0, max = 0 } = summary.rtt_ms ?? {}
  t.ok(min > 0 && min <= avg && avg <= max)
  t.comment(`round trip ${avg.toFixed(3)} ms`)
  const [peer] = (await a.status()).peers
  t.ok(peer.rtt_ms !== null && peer.rtt_ms > 0 && peer.rtt_ms < 1_000, `status: ${peer.rtt_ms} ms`)

  t.equal((await ping(pair.a, '192.0.2.2:5149', '-c', '1')).code, 0, 'by its endpoint')
  const words = await ok(pair.a, process.execPath, PROGRAM, 'complete', '--', 'ping', '')
  t.match(words.split('\n'), ['192.0.2.2\ta peer', ':4'], 'a shell completes the names of peers')
  const unknown = await ping(pair.a, '192.0.2.3', '-c', '1')
  t.equal(unknown.code, 1)
  t.equal(unknown.stderr, 'udptun-fast: tap0 has no peer "192.0.2.3"; the nearest is "192.0.2.2"\n')
  for (const [wrong, says] of [
    [['-c', '0'], /write a number of pings/],
    [['-i', '0.001'], /seconds, from 0\.01 to 3600/],
    [['-s', '70000'], /a number of bytes up to 65535/],
    [['-s', '40', '-c', '1'], /its size may be 58 to 65535/],
    [['-d', 'tap7'], /no tunnel runs on tap7 here/],
  ] as const) {
    const { code, stderr } = await ping(pair.a, ...wrong)
    t.equal(code, wrong[0] === '-d' ? 1 : 2, wrong.join(' '))
    t.match(stderr, says)
  }
})

t.test('a size above the path MTU is not answered, and changes nothing', { buffered: true }, async (t) => {
  using path = pathOf(1500, 1500)
  // Towards b only, and nobody is told.
  await swallow(path.routers[0], 1300)
  const { a, b } = await startEnds(path)
  await untilPathMtu(a, 1300, 'acknowledged', 15_000)
  await untilPathMtu(b, 1500, 'acknowledged', 15_000)
  const fits = read(await ping(path.a, '-c', '3', '-i', '0.1', '-s', '1300'))
  t.match(fits.summary, { answered: 3, path_mtu_bytes: { to: 1300, back: 1500 } })
  t.equal(fits.pings[0].packet_bytes, 1300)
  const large = await ping(path.a, '-c', '3', '-i', '0.1', '-W', '0.5', '-s', '1301')
  t.equal(large.code, 1)
  t.same(
    read(large).pings.map(({ answer }) => answer),
    ['none', 'none', 'none'],
  )
  const back = read(await ping(path.b, '-c', '2', '-i', '0.1', '-s', '1500'))
  t.match(back.summary, { answered: 2, path_mtu_bytes: { to: 1500, back: 1300 } })
  const tooLong = await ping(path.a, '-c', '1', '-s', '1501')
  t.equal(tooLong.code, 1)
  t.match(read(tooLong).pings[0], { answer: 'unsent', reason: 'too_long' })
  for (const [end, bytes] of [
    [a, 1300],
    [b, 1500],
  ] as const) {
    const [{ path_mtu, state }] = (await end.status()).peers
    t.same([path_mtu?.bytes, path_mtu?.how, state], [bytes, 'acknowledged', 'up'])
  }
})

t.test('a private peer, with loss on the way', { buffered: true }, async (t) => {
  using path = pathOf(1500, 1500)
  using keys = new KeyFolder()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const { underlay } = path
  const a = await startTunnel(path.a, '10.9.0.1', underlay.b, ...keyFlags(ka, kb))
  const b = await startTunnel(path.b, '10.9.0.2', underlay.a, ...keyFlags(kb, ka))
  await until('both know their paths', async () => (await knows(a)) && (await knows(b)), 15_000)
  t.match(read(await ping(path.a, '-c', '3', '-i', '0.1')).summary, { answered: 3, loss: 0 })
  await lose(path.routers[0], 30)
  const lossy = await ping(path.a, '-c', '60', '-i', '0.02', '-W', '0.3')
  const { summary } = read(lossy)
  t.equal(lossy.code, 0)
  t.equal(summary.sent, 60)
  t.ok(summary.loss > 0.2 && summary.loss < 0.8, `${summary.loss} lost`)
})

t.test('a WireGuard peer is asked by ICMP inside the tunnel', { buffered: true }, async (t) => {
  using pair = twoHosts()
  using keys = new KeyFolder()
  const [own, theirs] = [keys.make('a'), keys.make('b')]
  const key = ['listen-port', '51820', 'private-key', theirs.file]
  await using go = await WireGuardGo.start(
    pair.b,
    '10.9.0.2/24',
    ...[...key, 'peer', own.publicKey, 'allowed-ips', '10.9.0.1/32,fd00:9::1/128'],
  )
  const file = keys.write(
    'wg0.conf',
    [
      '[Interface]',
      `PrivateKey = ${(await ok(pair.a, 'cat', own.file)).trim()}`,
      'Address = 10.9.0.1/24, fd00:9::1/64',
      'ListenPort = 5149',
      '[Peer]',
      `PublicKey = ${theirs.publicKey}`,
      `Endpoint = ${pair.underlay.b}:51820`,
      'AllowedIPs = 10.9.0.2/32, fd00:9::2/128',
    ].join('\n'),
  )
  await ok(pair.b, 'ip', 'addr', 'add', 'fd00:9::2/64', 'dev', go.device, 'nodad')
  const tunnel = await startTunnel(pair.a, '--wireguard', file, '--dev', 'tun0')
  const all = await ping(pair.a, '-c', '3', '-i', '0.2')
  t.equal(all.code, 0, all.stderr)
  const { summary, pings } = read(all)
  t.match(summary, { by: 'icmp', to: '10.9.0.2', sent: 3 })
  t.ok(summary.answered >= 2, `${summary.answered} answered`)
  t.equal(summary.path_mtu_bytes.back, null)
  t.equal(pings[0].packet_bytes, 84 + 60)
  t.ok((await go.show('transfer')).length > 0)
  t.equal((await tunnel.status('tun0')).peers[0].rtt_ms, null, 'there was no renewal of the keys yet')
  t.equal((await ping(pair.a, '10.9.0.2', '-c', '1', '-s', '1400')).code, 0, 'by its overlay address')
  const overIpv6 = read(await ping(pair.a, 'fd00:9::2', '-c', '2', '-i', '0.2'))
  t.match(overIpv6.summary, { by: 'icmp', to: 'fd00:9::2', answered: 2 })
  t.equal((await ping(pair.a, 'fd00:9::2', '-c', '1', '-s', '1600')).code, 1)
  const long = await ping(pair.a, '-c', '1', '-s', '1600')
  t.equal(long.code, 1)
  t.match(read(long).pings[0], { answer: 'unsent', reason: 'over_mtu' })
})

t.test('a device of udptun-fast-wg is asked in the same way', { buffered: true }, async (t) => {
  using pair = twoHosts()
  await using a = new WgQuick(pair.a)
  await using b = new WgQuick(pair.b)
  for (const [own, other, number] of [
    [a, b, 1],
    [b, a, 2],
  ] as const)
    own.write(
      [`Address = 10.9.0.${number}/24`, 'ListenPort = 5149'],
      '[Peer]',
      `PublicKey = ${other.own.publicKey}`,
      `AllowedIPs = 10.9.0.${3 - number}/32`,
      `Endpoint = 192.0.2.${3 - number}:5149`,
    )
  await a.quick('up')
  await b.quick('up')
  await untilPing(pair.a, '10.9.0.2')
  // Both are udptun-fast, so they answer keepalives.
  await until(
    'keepalives are answered',
    async () => {
      const { summary } = read(await ping(pair.a, '10.9.0.2', '-d', a.device, '-c', '1'))
      return summary.by === 'keepalive' && summary.answered === 1
    },
    15_000,
  )
  t.pass('and they are what is sent')
  await a.quick('down')
  await b.quick('down')
})

t.test('a peer that is down is not reached: exit code 1', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const [, b] = await plainPair(pair)
  await b.stop()
  const down = await ping(pair.a, '-c', '2', '-i', '0.1', '-W', '0.5')
  t.equal(down.code, 1)
  t.match(read(down).summary, { sent: 2, answered: 0, loss: 1, rtt_ms: null })
})

t.test('on a terminal it is short, and Ctrl-C prints the summary', { buffered: true }, async (t) => {
  using pair = twoHosts()
  await plainPair(pair)
  const command = `${process.execPath} ${PROGRAM} ping -i 0.2`
  const [env, ...rest] = [...PLAIN, 'script', '-qefc', `exec ${command}`, '/dev/null']
  const seen = new Program(pair.a, env, rest, { env: { ...process.env, NO_COLOR: '1' } })
  await until('three are answered', () => (seen.stdout.match(/answered/g) ?? []).length >= 3, 20_000)
  seen.child.stdin?.write('\x03')
  const { stdout, code } = await seen.ended
  t.equal(code, 0)
  const lines = stdout.trimEnd().split(/\r?\n/)
  t.match(lines[0], /^192\.0\.2\.2 192\.0\.2\.2:5149 through tap0, packets of 58 bytes$/)
  t.match(lines[1], /^ {4}1 {2}answered {2}[\d.]+ ms$/)
  const text = lines.join('\n')
  t.match(text, /^\d+ sent, \d+ answered, 0 % lost$/m)
  t.match(text, /^round trip min [\d.]+ {2}avg [\d.]+ {2}max [\d.]+ {2}mdev [\d.]+ {2}ms$/m)
  t.match(text, /^path MTU 1500 to it, 1500 back$/m)
})

t.test('SIGTERM ends it in a pipe, too, with the summary', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const [a] = await plainPair(pair)
  const [env, ...rest] = [...PLAIN, process.execPath, PROGRAM, 'ping', '-i', '0.1']
  const endless = new Program(pair.a, env, rest)
  await until('two are answered', () => (endless.stdout.match(/answered/g) ?? []).length >= 2, 20_000)
  endless.child.kill('SIGTERM')
  const finished = await endless.ended
  t.equal(finished.code, 0)
  t.ok(read(finished).summary.answered >= 2)

  const cut = new Program(pair.a, env, rest)
  await until('two are answered', () => (cut.stdout.match(/answered/g) ?? []).length >= 2, 20_000)
  await a.stop()
  const after = await cut.ended
  t.equal(after.code, 1)
  t.match(after.stderr, /^udptun-fast: no tunnel runs on tap0 here/)
  t.ok(read(after).summary.answered >= 2, 'the summary is there when the tunnel ends, too')
})

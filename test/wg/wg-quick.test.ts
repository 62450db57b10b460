/** The real wg-quick(8) starts udptun-fast-wg in the place of the kernel's WireGuard. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ok, pings, run, twoHosts, until, untilPing } from '../support/hosts/lab.js'
import { get, getFrom } from '../support/hosts/scrape.js'
import { WG_PROGRAM, WgQuick } from '../support/hosts/wg-quick.js'

const PORT = 51_820

const peer = (of: WgQuick, endpoint: string, allowed: string) => [
  '[Peer]',
  `PublicKey = ${of.own.publicKey}`,
  `Endpoint = ${endpoint}`,
  `AllowedIPs = ${allowed}`,
]

t.test('up, save and down, at both ends', async (t) => {
  using pair = twoHosts()
  await using a = new WgQuick(pair.a)
  await using b = new WgQuick(pair.b)
  const port = `ListenPort = ${PORT}`
  a.write(
    ['Address = 10.9.0.1/24, fd00:9::1/64', port],
    ...peer(b, `${pair.underlay.b}:${PORT}`, '10.9.0.2/32, fd00:9::2/128, 10.77.0.0/24'),
  )
  b.write(
    ['Address = 10.9.0.2/24, fd00:9::2/64, 10.77.0.1/32', port],
    ...peer(a, `${pair.underlay.a}:${PORT}`, '10.9.0.1/32, fd00:9::1/128'),
  )
  for (const end of [a, b]) t.match((await end.quick('up')).stderr, /Falling back to slow userspace/)
  for (const to of ['10.9.0.2', 'fd00:9::2', '10.77.0.1']) await untilPing(pair.a, to, 20_000)
  t.match(await ok(pair.a, 'wg', 'show', a.device), /latest handshake/)
  const pid = (await a.pid()) ?? 0
  const [, , , , group, session] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ')
  t.same([Number(group), Number(session)], [pid, pid], 'in a session of its own')
  t.equal(a.said.split('\n').filter((line) => / is up: /.test(line)).length, 1)
  const again = await a.run('wg-quick', 'up', a.path)
  t.match([again.code, again.stderr], [1, /already exists/])

  t.comment('what wg sets at run time is saved, and nothing that the kernel has added')
  await ok(pair.a, 'wg', 'set', a.device, 'listen-port', '7000', 'fwmark', '0x7')
  await untilPing(pair.a, '10.9.0.2', 20_000)
  const before = readFileSync(a.path, 'utf8')
  await a.quick('save')
  const saved = readFileSync(a.path, 'utf8')
  t.match(saved, /^Address = 10\.9\.0\.1\/24\nAddress = fd00:9::1\/64\nListenPort = 7000\nFwMark = 0x7\n/m)
  t.notMatch(saved, /fe80/)
  const linesOf = (text: string, key: string) => text.match(new RegExp(`^${key} = .*$`, 'gm'))
  for (const key of ['PrivateKey', 'PublicKey']) t.same(linesOf(saved, key), linesOf(before, key))

  t.comment('the MTU by hand is a ceiling')
  const mtu = async (device = a.device) =>
    Number(/ mtu (\d+) /.exec(await ok(pair.a, 'ip', '-o', 'link', 'show', device))?.[1])
  t.equal(await mtu(), 1420)
  await ok(pair.a, 'ip', 'link', 'set', a.device, 'mtu', '1400')
  for (const [underlay, overlay] of [
    [1400, 1340],
    [1500, 1400],
  ]) {
    for (const end of [pair.a, pair.b]) await ok(end, 'ip', 'link', 'set', 'eth0', 'mtu', `${underlay}`)
    await until(`${overlay} over ${underlay}`, async () => (await mtu()) === overlay, 20_000)
  }
  t.ok(await pings(pair.a, '10.9.0.2', '-s', '1372', '-M', 'do'))

  t.comment('down: the device is deleted, and that is no error')
  await a.quick('down')
  await a.ended()
  t.match(a.said, new RegExp(`somebody has deleted ${a.device}, so this ends"`))
  t.notMatch(a.said, /"level":[56]0/)
  t.notOk(existsSync(a.socket))
  t.notMatch(await ok(pair.a, 'ip', 'route'), new RegExp(a.device))
  await a.quick('up')
  await untilPing(pair.a, '10.9.0.2', 20_000)
  rmSync(b.socket)
  await b.ended()
  t.match(b.said, /somebody has removed the socket/)
  t.equal((await run(pair.b, 'ip', ['link', 'show', b.device])).code, 1)
})

t.test('everything goes through the tunnel, and wireguard-go is at the other end', async (t) => {
  using pair = twoHosts()
  await using a = new WgQuick(pair.a)
  await using b = new WgQuick(pair.b, 'wireguard-go')
  a.write(['Address = 10.9.0.1/32'], ...peer(b, `${pair.underlay.b}:${PORT}`, '0.0.0.0/0, ::/0'))
  b.write(
    ['Address = 10.9.0.2/32', 'Address = 203.0.113.7/32', `ListenPort = ${PORT}`],
    ...peer(a, `${pair.underlay.a}:1`, '10.9.0.1/32'),
  )
  await b.run('wg-quick', 'up', b.path)
  await a.quick('up')
  t.match(await ok(pair.a, 'wg', 'show', a.device, 'fwmark'), /^0x/)
  await untilPing(pair.a, '203.0.113.7', 20_000)
  t.match(await ok(pair.a, 'ip', 'route', 'get', '198.18.0.1'), new RegExp(`dev ${a.device}`))
  t.match(await ok(pair.a, 'ip', 'rule'), /not from all fwmark/)
  t.ok(await pings(pair.a, '203.0.113.7', '-c', '3', '-i', '0.2', '-s', '1300'))
  t.notMatch(a.said, /"level":(40|50|60)/)
  await a.quick('down')
  await a.ended()
  t.notMatch(await ok(pair.a, 'ip', 'rule'), /fwmark/)
})

t.test('what cannot start says so to the caller, and leaves nothing behind', async (t) => {
  using pair = twoHosts()
  await using a = new WgQuick(pair.a)
  const wg = (...args: string[]) => a.run(process.execPath, WG_PROGRAM, ...args)
  const taken = await wg('eth0')
  t.same([taken.code, taken.stdout], [1, ''])
  t.match(taken.stderr, /^udptun-fast: there is a device eth0 already[^\n]*\n$/)
  const wrong = await wg('a b')
  t.same(wrong.code, 2)
  t.match(wrong.stderr, /is not a device name/)
  const unwritable = await run(pair.a, 'env', [
    'UDPTUN_LOG_FILE=/proc/x/y',
    process.execPath,
    WG_PROGRAM,
    a.device,
  ])
  t.same(unwritable.code, 1)
  t.match(unwritable.stderr, /the log \/proc\/x\/y cannot be written \(ENOENT\)/)

  t.comment('whoever waits is interrupted, or killed')
  for (const signal of ['INT', 'KILL']) {
    // As soon as there is a process in the background, long before its device.
    const command = `"$@" & until pgrep -P $!; do :; done; kill -${signal} $!; wait $!`
    const stopped = await a.run('sh', '-c', command, 'sh', process.execPath, WG_PROGRAM, a.device)
    t.not(stopped.code, 0, signal)
    await a.ended()
    t.equal((await run(pair.a, 'ip', ['link', 'show', a.device])).code, 1)
    t.notOk(existsSync(a.socket))
  }

  t.comment('a socket that is taken: without it the device would be of no use')
  await wg(a.device)
  const second = await run(pair.b, process.execPath, [WG_PROGRAM, '--log-file', a.log, a.device])
  t.same(second.code, 1)
  t.match(second.stderr, /another tunnel or program answers at/)
  t.equal((await run(pair.b, 'ip', ['link', 'show', a.device])).code, 1)
  t.equal((await ok(pair.a, 'wg', 'show', a.device, 'private-key')).trim(), '(none)')
})

t.test('metrics, by a variable that wg-quick leaves as it is, or by a flag', async (t) => {
  using pair = twoHosts()
  await using a = new WgQuick(pair.a)
  a.write(['Address = 10.9.0.1/24'], '[Peer]', `PublicKey = ${a.folder.make('b').publicKey}`)
  const socket = join(a.folder.path, 'metrics.sock')
  const up = await a.run('env', `UDPTUN_METRICS=${socket}`, 'wg-quick', 'up', a.path)
  t.equal(up.code, 0, up.stderr)
  t.match(await getFrom(socket, '/healthz'), { status: 200, body: 'healthy\n' })
  const { body } = await getFrom(socket, '/metrics')
  t.match(body, `udptun_info{device="${a.device}",mode="tun",`)
  t.match(body, /^udptun_peers 1$/m)
  await a.quick('down')
  await a.ended()
  t.notOk(existsSync(socket), 'the socket is gone with the device')

  const byFlag = await a.run(process.execPath, WG_PROGRAM, '--metrics', '9149', a.device)
  t.equal(byFlag.code, 0, byFlag.stderr)
  t.match(await get(pair.a, 'http://127.0.0.1:9149/healthz'), { status: 200, body: 'healthy\n' })
  await ok(pair.a, 'ip', 'link', 'delete', a.device)
  await a.ended()

  const wrong = await a.run(process.execPath, WG_PROGRAM, '--metrics', 'here', a.device)
  t.match([wrong.code, wrong.stderr], [2, /^udptun-fast: --metrics: "here" is not a place for metrics/])
})

t.test('without a file the log goes to the system log', async (t) => {
  using pair = twoHosts()
  await using a = new WgQuick(pair.a)
  const server = a.folder.write(
    'log.py',
    `import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint("ready",flush=True)\nwhile True:\n  text=s.recv(65536).decode()\n  print(text,flush=True)\n  if " is up" in text: break`,
  )
  // In a mount namespace of its own, /dev has nothing but what the program needs, and a system log.
  const script = [
    'mount -t tmpfs none "$1"; cp -a /dev/null /dev/zero /dev/urandom /dev/random /dev/net "$1"',
    'mount --bind "$1" /dev; : > "$3/said"; python3 "$2" /dev/log > "$3/said" & p=$!',
    'until grep -q ready "$3/said"; do sleep 0.05; done; env -u UDPTUN_LOG_FILE "$4" "$5" "$6" && wait $p',
  ].join('\n')
  const dev = t.testdir({})
  const finished = await a.run(
    ...['unshare', '-m', 'sh', '-c', script, 'sh', dev, server, a.folder.path],
    ...[process.execPath, WG_PROGRAM, a.device],
  )
  t.same([finished.code, finished.stdout, finished.stderr], [0, '', ''])
  t.match(readFileSync(`${a.folder.path}/said`, 'utf8'), /<30>.* udptun-fast-wg: .* is up: /)

  t.comment('without a system log, a sentence says that nobody reads it')
  await ok(pair.a, 'ip', 'link', 'delete', a.device)
  await a.ended()
  const hidden =
    'mount -t tmpfs none "$1"; cp -a /dev/null /dev/zero /dev/urandom /dev/random /dev/net "$1"; mount --bind "$1" /dev; shift; exec env -u UDPTUN_LOG_FILE "$@"'
  const alone = await a.run(
    ...['unshare', '-m', 'sh', '-c', hidden, 'sh', dev, process.execPath, WG_PROGRAM, a.device],
  )
  t.same(alone.code, 0)
  t.match(alone.stderr, /there is no system log here, so nobody reads the log of/)
})

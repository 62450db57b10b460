/** `udptun-fast mtu`, and what status says of paths. */
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { ok, PROGRAM, run, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { filterIcmp, pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'

const mtu = (host: Parameters<typeof ok>[0], ...args: string[]) =>
  run(host, process.execPath, [PROGRAM, 'mtu', ...args])

t.test('mtu <remote> shows each probe, as JSON when piped, without any tunnel', async (t) => {
  using path = pathOf(9000, 1500, 1400, 1500)
  const { code, stdout } = await mtu(path.a, path.underlay.b)
  t.equal(code, 0)
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(lines, [
    { size_bytes: 9000, answer: 'too_big', from: '198.18.0.2', mtu_bytes: 1500 },
    { size_bytes: 1500, answer: 'too_big', from: '198.18.1.2', mtu_bytes: 1400 },
    { size_bytes: 1400, answer: 'arrived', from: path.underlay.b, mtu_bytes: null },
    {
      remote: path.underlay.b,
      path_mtu_bytes: 1400,
      basis: 'reached',
      overlay_mtu_bytes: { tap: 1358, tun: 1372 },
    },
  ])
  t.equal(lines.length, 4)
  t.equal(new Set(lines.slice(0, 3).map(({ port }) => port)).size, 3, 'a port for each')
  await untilPing(path.a, path.underlay.b6)
  const over6 = await mtu(path.a, path.underlay.b6)
  t.match(JSON.parse(over6.stdout.trim().split('\n').at(-1) ?? ''), {
    path_mtu_bytes: 1400,
    basis: 'reached',
  })
})

t.test('on a terminal it is lines to read', async (t) => {
  using path = pathOf(1500, 1400)
  const command = `${process.execPath} ${PROGRAM} mtu ${path.underlay.b}`
  const { stdout } = await run(path.a, 'env', ['-u', 'NO_COLOR', 'script', '-qec', command, '/dev/null'])
  const plain = stripVTControlCharacters(stdout).replaceAll('\r', '')
  t.not(plain.length, stdout.replaceAll('\r', '').length, 'in colours')
  t.match(plain, / 1500 {2}too big {2}198\.18\.0\.2 says that 1400 would pass {2}\d+\.\d ms\n/)
  t.match(plain, / 1400 {2}arrived {2}198\.18\.1\.2 answers {2}\d+\.\d ms\n/)
  t.match(plain, /path MTU 1400: a tunnel's device gets 1358 as tap, 1372 as tun\n$/)
})

t.test('nobody answers: it says so, and how it knows', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  await filterIcmp(path.routers[1], 'a')
  const told = await mtu(path.a, path.underlay.b)
  t.match(JSON.parse(told.stdout.trim().split('\n').at(-1) ?? ''), { path_mtu_bytes: 1400, basis: 'told' })
  await filterIcmp(path.routers[0], 'a')
  const silent = await mtu(path.a, path.underlay.b)
  t.match(JSON.parse(silent.stdout.trim().split('\n').at(-1) ?? ''), {
    path_mtu_bytes: 1500,
    basis: 'silent',
  })
  t.ok(silent.tookMs < 5_000)
})

t.test("the kernel's path MTU cache, poisoned, is tried and not believed", async (t) => {
  using path = pathOf(1500, 1500)
  await ok(path.a, 'ip', 'route', 'add', `${path.underlay.b}/32`, 'via', '198.18.0.2', 'mtu', '1000')
  const { stdout } = await mtu(path.a, path.underlay.b)
  t.match(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), { path_mtu_bytes: 1500, basis: 'reached' })
  t.match(stdout, /"size_bytes":1000/)
})

t.test('what is wrong is said in a sentence', async (t) => {
  using pair = twoHosts()
  for (const [args, code, sentence] of [
    [[], 2, /^udptun-fast: say whose path: udptun-fast mtu <remote>, or --refresh for the running tunnel\n$/],
    [['--refresh'], 1, /^udptun-fast: no tunnel runs here; start one with/],
    [['192.0.2.2', '--refresh'], 2, /^udptun-fast: "192\.0\.2\.2" and --refresh do not go together/],
    [['192.0.2.2', '--dev', 'tap0'], 2, /^udptun-fast: --dev goes only with --refresh/],
    [['203.0.113.1'], 1, /^udptun-fast: there is no route to 203\.0\.113\.1/],
    [['1.2.3'], 2, /^udptun-fast: remote: "1\.2\.3" is not a remote/],
  ] as const) {
    const ended = await mtu(pair.a, ...args)
    t.equal(ended.code, code, args.join(' '))
    t.match(ended.stderr, sentence)
  }
})

t.test('status says what the path carries, how it was found, when, and what is next', async (t) => {
  using path = pathOf(1500, 1400)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1400)
  const { path_mtu, mtu_bytes } = (await ends.a.status()).peers[0]
  t.match(path_mtu, { bytes: 1400, how: 'acknowledged', state: 'complete' })
  t.equal(mtu_bytes, 1358)
  t.ok((path_mtu?.found_s ?? 99) < 5 && (path_mtu?.next_s ?? 0) > 400)
  const command = `${process.execPath} ${PROGRAM} status`
  const { stdout } = await run(path.a, 'env', ['-u', 'NO_COLOR', 'script', '-qec', command, '/dev/null'])
  const plain = stripVTControlCharacters(stdout)
  t.match(plain, /path MTU 1400, acknowledged, found \d s ago; looked for again in \d+ min/)
  const refreshed = await mtu(path.a, '--refresh')
  t.match(JSON.parse(refreshed.stdout), {
    device: 'tap0',
    mtu_bytes: 1358,
    peers: [{ name: path.underlay.b, path_mtu: { bytes: 1400, how: 'acknowledged' } }],
  })
})

t.test('--mtu safe and a pinned one are what they say; --vlan leaves room for a tag', async (t) => {
  using path = pathOf(1500, 1400)
  for (const [flags, mtuBytes] of [
    [['--mtu', 'safe'], 534],
    [['--mtu', '1300'], 1300],
    [['--mtu', 'auto', '--vlan'], 1354],
  ] as const) {
    const a = await startTunnel(path.a, '10.9.0.1', path.underlay.b, ...flags)
    await until('the path is known', async () => (await a.status()).peers[0].path_mtu?.bytes === 1400)
    t.equal((await a.status()).mtu_bytes, mtuBytes, flags.join(' '))
    t.equal(a.log.filter(({ level, msg }) => Number(level) >= 40 && /MTU/.test(String(msg))).length, 0)
    await a.stop()
  }
})

/** Routes that a tunnel in mode tun does not make, or cannot make: they are said, with the commands to make them. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  IN_VAIN,
  ok,
  type Pair,
  PROGRAM,
  pings,
  type RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

const PORT = 51_820

/** Host `b` with 192.168.77.1 and 192.168.78.1 behind it, and what makes files for both. */
async function meeting(keys: KeyFolder, pair: Pair) {
  const [a, b] = ['a', 'b'].map((name) => keys.make(name))
  const file = (name: string, own: { file: string }, lines: string[], peer: string[]) =>
    keys.write(
      `${name}.conf`,
      [
        '[Interface]',
        `PrivateKey = ${readFileSync(own.file, 'utf8').trim()}`,
        ...lines,
        '[Peer]',
        ...peer,
      ].join('\n'),
    )
  pair.b.configure('lo', ['192.168.77.1/32', '192.168.78.1/32'])
  const theirs = file(
    'b',
    b,
    ['Address = 10.66.0.1/24', `ListenPort = ${PORT}`],
    [`PublicKey = ${a.publicKey}`, 'AllowedIPs = 10.66.0.2/32'],
  )
  const ours = (address: string, allowed: string) =>
    file(
      'a',
      a,
      [`Address = ${address}`],
      [`PublicKey = ${b.publicKey}`, `Endpoint = ${pair.underlay.b}:${PORT}`, `AllowedIPs = ${allowed}`],
    )
  return { ours, far: await startTunnel(pair.b, '--wireguard', theirs) }
}

const warnings = ({ log }: RunningTunnel) =>
  log.filter(({ level }) => level === 40 || level === 'warn').map(({ msg }) => String(msg))

const commandsIn = (sentence: string) => sentence.match(/ip route add \S+ dev [^\s;]+/g) ?? []

const reloads = ({ log }: RunningTunnel) => log.filter(({ msg }) => /^reloaded/.test(String(msg))).length

t.test('each route is made, also after a reload, and one that cannot be made is a warning', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { a } = pair
  const { ours, far } = await meeting(keys, pair)
  const routes = async () => (await ok(a, 'ip', 'route', 'show', 'dev', 'tun0')).trim().split(/ *\n */)
  await ok(a, 'ip', 'route', 'add', '192.168.78.0/24', 'dev', 'lo')
  const path = ours('10.66.0.2/32', '10.66.0.0/24, 192.168.77.0/24')
  const near = await startTunnel(a, '--wireguard', path)
  t.same(await routes(), ['10.66.0.0/24 scope link', '192.168.77.0/24 scope link'])
  for (const address of ['10.66.0.1', '192.168.77.1']) await untilPing(a, address)
  t.same([...warnings(near), ...warnings(far)], [], 'nothing is missing')

  t.comment('a reload adds a network to which there is another route, and takes one away')
  ours('10.66.0.2/32', '10.66.0.0/24, 192.168.78.0/24')
  near.child.kill('SIGHUP')
  await until('it is read again', () => reloads(near) === 1, 20_000)
  t.same(await routes(), ['10.66.0.0/24 scope link'])
  await until('it is said', () => warnings(near).length === 1, 20_000)
  t.same(commandsIn(warnings(near)[0]), [], 'that would be refused again')
  t.match(warnings(near)[0], /another route is in the way, .*; remove .* then: udptun-fast reload tun0$/)
  const [show] = warnings(near)[0].match(/ip route show [^\s;]+/) ?? ['false']
  t.equal((await ok(a, 'sh', '-c', show)).trim(), '192.168.78.0/24 dev lo scope link')
  const missing = async () => (await near.status('tun0')).missing_routes
  t.same(await missing(), ['192.168.78.0/24'])
  t.match(await run(a, process.execPath, [PROGRAM, 'status', '--check']), {
    code: 1,
    stderr: 'udptun-fast: tun0: no route leads to tun0 for 192.168.78.0/24\n',
  })
  const { code, stdout } = await run(a, process.execPath, [PROGRAM, 'doctor'])
  t.equal(code, 1)
  t.match(stdout, /"id":\s*"route\.missing"/)
  await ok(a, 'ip', 'route', 'del', '192.168.78.0/24')
  near.child.kill('SIGHUP')
  await until('it is read again', () => reloads(near) === 2, 20_000)
  await untilPing(a, '192.168.78.1')
  t.equal(warnings(near).length, 1, 'and nothing is missing now')
  t.same(await missing(), [])
  await near.stop()
  await far.stop()
})

t.test('with --table off no route is made, and nothing is said', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { ours, far } = await meeting(keys, pair)
  const before = await ok(pair.a, 'ip', 'route')
  const path = ours('10.66.0.2/32', '10.66.0.0/24, 0.0.0.0/0')
  const near = await startTunnel(pair.a, '--wireguard', path, '--table', 'off')
  t.same(warnings(near), [])
  t.notOk(await pings(pair.a, '10.66.0.1', ...IN_VAIN))
  t.equal(await ok(pair.a, 'ip', 'route'), before)
  t.notMatch(await ok(pair.a, 'ip', 'rule'), /suppress/)
  await near.stop()
  await far.stop()
})

t.test('a default route that cannot be made says so', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { ours, far } = await meeting(keys, pair)
  await ok(pair.a, 'ip', 'route', 'add', 'unreachable', 'default', 'table', '77')
  const path = ours('10.66.0.2/24', '0.0.0.0/0')
  const near = await startTunnel(pair.a, '--wireguard', path, '--fwmark', '77')
  t.match(warnings(near), [
    /^nothing is tunnelled by 0\.0\.0\.0\/0, .*by the old default route, unencrypted.*there is another route/,
  ])
  t.same(commandsIn(warnings(near)[0]), [])
  t.notMatch(await ok(pair.a, 'ip', 'rule'), /lookup 77/)
  await near.stop()
  await far.stop()
})

t.test('where IPv6 is off, IPv4 goes through all the same, and a warning names the rest', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { a } = pair
  const { ours, far } = await meeting(keys, pair)
  await ok(a, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1')
  const near = await startTunnel(a, '--wireguard', ours('10.66.0.2/24', '0.0.0.0/0, ::/0'))
  await untilPing(a, '192.168.77.1', 20_000)
  t.match(warnings(near), [/^nothing is tunnelled by ::\/0, .* \(refused: ::\/0: RTM_NEWROUTE: /])
  t.notMatch(await ok(a, 'ip', '-6', 'rule'), /suppress/)
  t.equal((await near.status('tun0')).faults.count, 0)
  await near.stop()
  await far.stop()
})

t.test('a device that was there before has no routes more afterwards', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { a } = pair
  const { ours, far } = await meeting(keys, pair)
  await ok(a, 'ip', 'tuntap', 'add', 'dev', 'tun0', 'mode', 'tun')
  // Without an address left, the kernel would remove all routes of the device.
  await ok(a, 'ip', 'addr', 'add', '10.65.0.1/32', 'dev', 'tun0')
  await ok(a, 'ip', 'link', 'set', 'tun0', 'up')
  await ok(a, 'ip', 'route', 'add', '10.66.0.0/24', 'dev', 'tun0')
  const routes = async () => (await ok(a, 'ip', 'route', 'show', 'dev', 'tun0')).replaceAll(' linkdown', '')
  const before = await routes()
  const path = ours('10.66.0.2/32', '10.66.0.0/24, 192.168.77.0/24')
  const first = await startTunnel(a, '--wireguard', path)
  t.match(await routes(), /192\.168\.77\.0/)
  await first.stop()
  t.equal(await routes(), before, 'after SIGTERM')
  const second = await startTunnel(a, '--wireguard', path)
  second.child.kill('SIGKILL')
  await second.ended
  t.match(await routes(), /192\.168\.77\.0/)
  const third = await startTunnel(a, '10.9.0.1', pair.underlay.b, '--dev', 'tap7')
  t.equal(await routes(), before, 'after the next start')
  await third.stop()
  await far.stop()
})

t.test('a file without an Address, and a peer that is allowed nothing', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const key = readFileSync(keys.make('a').file, 'utf8').trim()
  const path = keys.write(
    'bare.conf',
    `[Interface]\nPrivateKey = ${key}\n[Peer]\nPublicKey = ${keys.make('b').publicKey}`,
    0o644,
  )
  const tunnels = [
    await startTunnel(pair.a, '--wireguard', path),
    await startTunnel(pair.a, '--wireguard', path, '--dev', 'tun1'),
  ]
  for (const [index, tunnel] of tunnels.entries()) {
    const { local, peers } = await tunnel.status(`tun${index}`)
    t.same(local, [])
    t.same(peers[0].overlay, [])
    t.match(warnings(tunnel), [/\(mode 644\)/])
    await tunnel.stop()
  }
})

t.test('the prefixes of an ordinary file in mode tun, in a table of their own', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const path = keys.write(
    'tunnel.yaml',
    `local: [10.9.0.1]\nmode: tun\ntable: 77\npeers:\n  - {endpoint: ${pair.underlay.b}, addresses: [10.9.0.2], prefixes: [10.9.4.0/24, 10.9.5.0/24]}`,
  )
  await ok(pair.a, 'ip', 'route', 'add', '10.9.5.0/24', 'dev', 'lo', 'table', '77')
  const near = await startTunnel(pair.a, '--config', path)
  const table = await ok(pair.a, 'ip', 'route', 'show', 'table', '77')
  t.match(table, /^10\.9\.0\.2 dev tun0 .*\n10\.9\.4\.0\/24 dev tun0 .*\n10\.9\.5\.0\/24 dev lo .*\n$/)
  t.match(
    warnings(near).filter((it) => /table/.test(it)),
    [/^table 77 has no routes by tun0 to 10\.9\.5\.0\/24 \(there is another/],
  )
  await near.stop()
  const after = await ok(pair.a, 'ip', 'route', 'show', 'table', '77')
  t.equal(after, '10.9.5.0/24 dev lo scope link \n')
})

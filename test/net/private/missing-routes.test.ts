/** The routes that a tunnel in mode tun does not make: they are said, with the commands to make them. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  ok,
  type Pair,
  pings,
  type RunningTunnel,
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

t.test('each missing route is a command that makes the network reachable, also after a reload', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { ours, far } = await meeting(keys, pair)
  t.same(warnings(far), [], 'nothing is missing where a local prefix covers it')

  const path = ours('10.66.0.2/32', '10.66.0.0/24, 192.168.77.0/24')
  const near = await startTunnel(pair.a, '--wireguard', path)
  await near.said(/no route leads to tun0/)
  const [sentence, ...others] = warnings(near)
  t.same(others, [])
  t.same(commandsIn(sentence), [
    'ip route add 10.66.0.0/24 dev tun0',
    'ip route add 192.168.77.0/24 dev tun0',
  ])
  const { listen } = await near.status('tun0')
  t.not(listen.split(':').at(-1), '5149', 'without a ListenPort the port is any')
  for (const address of ['10.66.0.1', '192.168.77.1']) t.notOk(await pings(pair.a, address), address)
  await ok(pair.a, 'sh', '-ec', commandsIn(sentence).join('\n'))
  for (const address of ['10.66.0.1', '192.168.77.1']) await untilPing(pair.a, address)

  t.comment('a reload that adds a prefix')
  ours('10.66.0.2/32', '10.66.0.0/24, 192.168.77.0/24, 192.168.78.0/24')
  near.child.kill('SIGHUP')
  await until('it is said', () => warnings(near).length === 2)
  const [, again] = warnings(near)
  t.same(commandsIn(again), ['ip route add 192.168.78.0/24 dev tun0'])
  t.notOk(await pings(pair.a, '192.168.78.1'))
  await ok(pair.a, 'sh', '-ec', commandsIn(again).join('\n'))
  await untilPing(pair.a, '192.168.78.1')
  near.child.kill('SIGHUP')
  await until(
    'it is read again',
    () => near.log.filter(({ msg }) => /^reloaded/.test(String(msg))).length === 2,
  )
  t.equal(warnings(near).length, 2, 'and nothing is missing now')
  await near.stop()
  await far.stop()
})

t.test('a full tunnel that is none says so', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { ours, far } = await meeting(keys, pair)
  const near = await startTunnel(pair.a, '--wireguard', ours('10.66.0.2/24', '0.0.0.0/0, ::/0'))
  await near.said(/nothing is tunnelled by 0\.0\.0\.0\/0, ::\/0, .*by the old default route, unencrypted/)
  t.equal(warnings(near).length, 1)
  t.same(commandsIn(warnings(near)[0]), [])
  await near.stop()
  t.comment('two halves of everything, around the endpoint')
  const both = await startTunnel(pair.a, '--wireguard', ours('10.66.0.2/24', '0.0.0.0/1, 128.0.0.0/1'))
  await both.said(/nothing is tunnelled by 128\.0\.0\.0\/1, .*endpoint/)
  t.same(commandsIn(warnings(both)[0]), ['ip route add 0.0.0.0/1 dev tun0'])
  await both.stop()
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

t.test('the prefixes of an ordinary file in mode tun', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const path = keys.write(
    'tunnel.yaml',
    `local: [10.9.0.1]\nmode: tun\npeers:\n  - {endpoint: ${pair.underlay.b}, addresses: [10.9.0.2], prefixes: [10.9.4.0/24]}`,
  )
  const near = await startTunnel(pair.a, '--config', path)
  await near.said(/no route leads/)
  t.same(warnings(near).flatMap(commandsIn), ['ip route add 10.9.4.0/24 dev tun0'])
  await near.stop()
})

/** Real hosts with rules of access: the first one says what the other two may send to it. */
import t from 'tap'
import { IN_VAIN, ok, pings, run, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { PROGRAM } from '../../support/program.js'

const NAMES = ['server', 'alice', 'bob']

/** Starts three hosts that know each other. @returns what gives the first one other rules */
async function start(network: Network, keys: KeyFolder, mode: 'tap' | 'tun', rules: readonly string[]) {
  const pairs = NAMES.map((name) => keys.make(name))
  const peer = (index: number) =>
    `  - {name: ${NAMES[index]}, endpoint: ${network.underlay(index)}, public_key: "${pairs[index].publicKey}", addresses: [${network.overlay(index)}]${index === 2 ? ', groups: [admins]' : ''}}`
  const write = (index: number, ...lines: readonly string[]) =>
    keys.write(
      `${NAMES[index]}.yaml`,
      [
        `mode: ${mode}`,
        `local: [${network.overlay(index)}]`,
        `private_key_file: ${pairs[index].file}`,
        ...lines,
        'peers:',
        ...[0, 1, 2].filter((it) => it !== index).map(peer),
      ].join('\n'),
    )
  const tunnels = await Promise.all(
    [0, 1, 2].map((index) =>
      startTunnel(network.hosts[index], '--config', write(index, ...(index === 0 ? rules : []))),
    ),
  )
  await untilPing(network.hosts[1], network.overlay(2))
  const change = async (...lines: readonly string[]) => {
    write(0, ...lines)
    return JSON.parse(await ok(network.hosts[0], process.execPath, PROGRAM, 'reload', '--dev', `${mode}0`))
  }
  const denied = async () => (await tunnels[0].status(`${mode}0`)).drops.access_denied
  return { tunnels, change, denied }
}

t.test('mode tun: who may send, and what', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const [server, alice, bob] = network.hosts
  const { tunnels, change, denied } = await start(network, keys, 'tun', [
    'allow:',
    '  - {from: alice, protocol: tcp, ports: 8080}',
    '  - {from: group:admins, protocol: icmp}',
  ])
  const here = network.overlay(0)
  for (const port of [8080, 8081])
    server.spawn('socat', [`TCP-LISTEN:${port},fork,reuseaddr`, 'SYSTEM:echo welcome'], { stdio: 'ignore' })
  const asks = async (host: typeof alice, port: number) => {
    const { stdout } = await run(host, 'socat', ['-T5', '-', `TCP:${here}:${port},connect-timeout=1`])
    return stdout === 'welcome\n'
  }
  await until('alice is served', () => asks(alice, 8080))
  await untilPing(bob, here)
  const before = await denied()
  t.notOk(await asks(alice, 8081), 'another port')
  t.notOk(await asks(bob, 8080), 'another peer')
  t.notOk(await pings(alice, here, ...IN_VAIN), 'another protocol')
  await until('all are counted', async () => (await denied()) >= before + 3)
  t.ok(await pings(server, network.overlay(1)), 'an answer comes')
  t.ok(await pings(server, network.overlay(2), '-s', '4000'), 'in fragments, too')

  const pinging = ok(bob, 'ping', '-q', '-c', '100', '-i', '0.01', here)
  await change(
    'allow:',
    '  - {from: alice, to: 10.9.0.1/32, protocol: tcp, ports: [8000-8079, 8081]}',
    '  - {from: [bob, carol]}',
  )
  t.match(await pinging, / 100 received/, 'what is allowed before and after goes on')
  t.ok(await asks(alice, 8081))
  t.notOk(await asks(alice, 8080))
  t.ok(await asks(bob, 8080))
  t.match(await tunnels[0].said(/allow names carol/), { level: 40 })
  await change()
  t.ok(await pings(alice, here), 'without rules, all may')
  await Promise.all(tunnels.map((it) => it.stop()))
})

t.test('mode tap: who may send at all', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const [, alice, bob] = network.hosts
  const { tunnels, denied } = await start(network, keys, 'tap', ['allow: [{from: alice}]'])
  await untilPing(alice, network.overlay(0))
  t.notOk(await pings(bob, network.overlay(0), ...IN_VAIN))
  await until('it is counted', async () => (await denied()) > 0)
  await Promise.all(tunnels.map((it) => it.stop()))
})

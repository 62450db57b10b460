/** Three real hosts: two members that cannot reach each other, and an introducer that relays what is sealed between them. */
import t from 'tap'
import { ok, pings, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

/** A hub that relays, and members that know only the hub. */
export async function start(
  network: Network,
  keys: KeyFolder,
  mode: 'tap' | 'tun',
  more: readonly string[] = [],
) {
  const pairs = network.hosts.map((_, index) => keys.make(`h${index}`))
  const others = network.hosts.map((_, index) => index).slice(1)
  const file = (index: number, ...lines: readonly string[]) =>
    keys.write(
      `h${index}.yaml`,
      [
        `mode: ${mode}`,
        `local: [${network.overlay(index)}]`,
        `private_key_file: ${pairs[index].file}`,
        ...lines,
      ].join('\n'),
    )
  const hubFile = file(
    0,
    'introduce: true',
    ...more,
    'peers:',
    ...others.map(
      (index) =>
        `  - {name: m${index}, public_key: "${pairs[index].publicKey}", addresses: [${network.overlay(index)}]}`,
    ),
  )
  const peer = `  - {name: hub, endpoint: ${network.underlay(0)}, public_key: "${pairs[0].publicKey}", addresses: [${network.overlay(0)}], introducer: true}`
  const hub = await startTunnel(network.hosts[0], '--config', hubFile)
  const members = await Promise.all(
    others.map((index) => startTunnel(network.hosts[index], '--config', file(index, 'peers:', peer))),
  )
  const introduced = async (index: number) =>
    (await members[index].status(`${mode}0`)).peers.filter(({ introduced_by }) => introduced_by === 'hub')
  return { hub, members, introduced }
}

/** Two hosts reach each other no more, or again. */
export async function block(network: Network, a: number, b: number, on = true) {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ])
    await ok(
      network.hosts[from],
      'ip',
      'route',
      on ? 'add' : 'del',
      'blackhole',
      `${network.underlay(to)}/32`,
    )
}

for (const mode of ['tun', 'tap'] as const)
  t.test(`two members that cannot reach each other are relayed: ${mode}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const device = `${mode}0`
    await block(network, 1, 2)
    const { hub, members, introduced } = await start(network, keys, mode)
    await until('both know each other', async () => {
      const all = await Promise.all([introduced(0), introduced(1)])
      return all.every((peers) => peers.length === 1)
    })
    const startedMs = performance.now()
    await untilPing(network.hosts[1], network.overlay(2))
    const ms = performance.now() - startedMs
    t.comment(`relayed ${Math.round(ms)} ms after both know each other`)
    t.ok(ms < 3_000, `${ms} ms`)
    const before = (await hub.status(device)).inbound.frames
    t.match(
      await ok(network.hosts[1], 'ping', '-c', '50', '-i', '0.02', network.overlay(2)),
      / 50 received/,
      'nothing is lost',
    )
    const status = await hub.status(device)
    t.ok(status.inbound.frames - before < 20, 'the hub opens nothing of it')
    t.ok(status.relay.datagrams >= 100, `the hub relayed ${status.relay.datagrams} datagrams`)
    for (const index of [0, 1]) {
      const [peer] = await introduced(index)
      t.equal(peer.relayed?.by, 'hub')
      t.match(peer.relayed?.why, /no direct path/)
    }
    t.ok(await pings(network.hosts[2], network.overlay(1)))
    await Promise.all([hub, ...members].map((it) => it.stop()))
  })

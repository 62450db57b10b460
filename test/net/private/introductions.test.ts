/** Four real hosts on one Ethernet: three of them know only the hub, and speak directly. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ok, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

for (const mode of ['tun', 'tap'] as const)
  t.test(`members of a hub find each other, and the hub carries nothing: ${mode}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(4)
    const device = `${mode}0`
    const pairs = network.hosts.map((_, index) => keys.make(`h${index}`))
    const overlay = (index: number) => network.overlay(index)
    const hubFile = keys.write(
      'hub.yaml',
      [
        `mode: ${mode}`,
        `local: [${overlay(0)}]`,
        `private_key_file: ${pairs[0].file}`,
        'introduce: true',
        'peers:',
        ...[1, 2, 3].map(
          (index) =>
            `  - {name: m${index}, public_key: "${pairs[index].publicKey}", addresses: [${overlay(index)}]}`,
        ),
      ].join('\n'),
    )
    const hub = await startTunnel(network.hosts[0], '--config', hubFile)
    const members = await Promise.all(
      [1, 2, 3].map(async (index) => {
        const file = keys.write(
          `m${index}.yaml`,
          [
            `mode: ${mode}`,
            `local: [${overlay(index)}]`,
            `private_key_file: ${pairs[index].file}`,
            'peers:',
            `  - {name: hub, endpoint: ${network.underlay(0)}, public_key: "${pairs[0].publicKey}", addresses: [${overlay(0)}], introducer: true}`,
          ].join('\n'),
        )
        return startTunnel(network.hosts[index], '--config', file)
      }),
    )
    const introduced = async (index: number) =>
      (await members[index].status(device)).peers.filter(({ introduced_by }) => introduced_by === 'hub')
    await until('all know all', async () => {
      const all = await Promise.all(members.map((_, index) => introduced(index)))
      return all.every((peers) => peers.length === 2)
    })
    const startedMs = performance.now()
    for (const from of [1, 2, 3])
      for (const to of [1, 2, 3]) if (from !== to) await untilPing(network.hosts[from], overlay(to))
    const ms = performance.now() - startedMs
    t.comment(`all six pings were answered ${Math.round(ms)} ms after all knew all`)
    t.ok(ms < 2_000, `${ms} ms`)
    // ARP in mode tap goes to all, the hub too; what is known goes where it belongs.
    await sleep(1_500)
    const before = (await hub.status(device)).inbound.frames
    for (const to of [2, 3])
      t.match(
        await ok(network.hosts[1], 'ping', '-c', '20', '-i', '0.02', overlay(to)),
        / 20 received/,
        `m1 reaches m${to}`,
      )
    const { inbound, drops, peers } = await hub.status(device)
    t.ok(inbound.frames - before < 20, `${inbound.frames - before} frames came to the hub meanwhile`)
    t.equal(drops.control_malformed + drops.introduction_unasked + drops.introduction_refused, 0)
    t.ok(peers.every(({ introduced_by }) => introduced_by === null))
    for (const peer of await introduced(0)) t.ok(peer.inbound.frames >= 20, `${peer.name} was heard directly`)
    await Promise.all([hub, ...members].map((it) => it.stop()))
  })

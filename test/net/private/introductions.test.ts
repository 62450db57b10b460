/** Four real hosts on one Ethernet: three of them know only the hub, and speak directly. */
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ok, untilPing } from '../../support/hosts/lab.js'
import { part, startMembers } from '../../support/hosts/members.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

for (const mode of ['tun', 'tap'] as const)
  t.test(`members of a hub find each other, and the hub carries nothing: ${mode}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(4)
    const device = `${mode}0`
    const { hub, members, introduced } = await startMembers(network, keys, { mode })
    const overlay = (index: number) => network.overlay(index)
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

t.test('until two members meet, and when their way is lost, a hub with a prefix passes it on', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const [hubHost, a] = network.hosts
  hubHost.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
  const block = () => part(network, 1, 2)
  await block()
  const { hub, members, introduced } = await startMembers(network, keys, {
    prefix: '10.9.0.0/24',
    hub: ['relay_limit: 0'],
  })
  const direct = async () => (await introduced(0))[0].inbound.frames
  await untilPing(a, network.overlay(2))
  t.equal(await direct(), 0, 'by the hub')
  const pinging = ok(a, 'ping', '-q', '-c', '600', '-i', '0.01', network.overlay(2))
  await sleep(500)
  await part(network, 1, 2, false)
  const received = Number(/ (\d+) received/.exec(await pinging)?.[1])
  t.comment(`${600 - received} of 600 pings were lost at the change`)
  t.ok(600 - received <= 2, `${received} pings were answered`)
  t.ok((await direct()) > 50, 'directly now')
  await block()
  const lostMs = performance.now()
  await untilPing(a, network.overlay(2), 40_000)
  t.comment(`by the hub again after ${Math.round(performance.now() - lostMs)} ms`)
  await Promise.all([hub, ...members].map((it) => it.stop()))
})

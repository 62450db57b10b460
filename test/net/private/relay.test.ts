/** Three real hosts: two members that cannot reach each other, and an introducer that relays what is sealed between them. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ok, run, until, untilPing } from '../../support/hosts/lab.js'
import { part, startMembers } from '../../support/hosts/members.js'
import { Network } from '../../support/hosts/network.js'
import { pathOf } from '../../support/hosts/path.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

for (const mode of ['tun', 'tap'] as const)
  t.test(`two members that cannot reach each other are relayed: ${mode}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const device = `${mode}0`
    await part(network, 1, 2)
    const { hub, introduced, stop } = await startMembers(network, keys, { mode })
    const startedMs = performance.now()
    await until('both have a session', async () => {
      const all = [...(await introduced(0)), ...(await introduced(1))]
      return all.every(({ privacy }) => privacy?.handshake_s != null)
    })
    const ms = performance.now() - startedMs
    t.comment(`a session ${Math.round(ms)} ms after both know each other`)
    t.ok(ms < 2_500, `${ms} ms`)
    await untilPing(network.hosts[1], network.overlay(2))
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
      t.match(peer.relayed, { by: 'hub', why: /no direct path/ })
      t.equal(peer.endpoint, null, "the hub's endpoint is not its own")
    }
    await stop()
  })

for (const how of ['silently', 'by its routes'] as const)
  t.test(`a direct path is taken when there is one, and left when it is lost ${how}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const apart = (isApart: boolean) =>
      how === 'silently' ? network.cut(1, 2, isApart) : part(network, 1, 2, isApart)
    await apart(true)
    const { introduced, stop } = await startMembers(network, keys)
    const both = async () => [...(await introduced(0)), ...(await introduced(1))]
    await untilPing(network.hosts[1], network.overlay(2))
    t.same(
      (await both()).map(({ relayed }) => relayed?.by),
      ['hub', 'hub'],
    )
    const pinging = ok(network.hosts[1], 'ping', '-q', '-c', '1000', '-i', '0.02', network.overlay(2))
    const ended = pinging.then(() => true)
    await apart(false)
    const directMs = performance.now()
    await until(
      'both are direct',
      async () => (await both()).every(({ relayed }) => relayed === null),
      30_000,
    )
    t.comment(`direct ${Math.round(performance.now() - directMs)} ms after it was possible`)
    await sleep(1_000)
    await apart(true)
    const lostMs = performance.now()
    let sessions = true
    await until(
      'both are relayed again',
      async () => {
        const now = await both()
        if (now.some(({ privacy, state }) => privacy?.handshake_s == null || state === 'down'))
          sessions = false
        return now.every(({ relayed }) => relayed !== null)
      },
      20_000,
    )
    t.comment(`relayed ${Math.round(performance.now() - lostMs)} ms after the direct path was lost`)
    for (const { relayed } of await both())
      t.match(relayed?.why, how === 'silently' ? 'the direct path was lost' : 'there is no route to it')
    t.ok(sessions, 'there was a session all the time')
    t.ok(await ended)
    const received = Number(/ (\d+) received/.exec(await pinging)?.[1])
    t.comment(`${1000 - received} of 1000 pings were lost, at 50 in a second`)
    t.ok(1000 - received < 300, `${received} pings were answered`)
    await stop()
  })

t.test('the path MTU is found on a relayed path, also where only the second hop is narrow', async (t) => {
  using keys = new KeyFolder()
  using path = pathOf(1_500, 1_500, 1_300)
  const [hubHost] = path.routers
  const { a, b } = path.underlay
  const underlay = ['198.18.0.2', a, b]
  // The introducer is the router between them, and forwards nothing.
  await ok(hubHost, 'nft', 'add', 'table', 'inet', 'cut')
  await ok(hubHost, 'nft', 'add chain inet cut forward { type filter hook forward priority 0; policy drop; }')
  const { introduced, stop } = await startMembers(
    {
      hosts: [hubHost, path.a, path.b],
      underlay: (index) => underlay[index],
      overlay: (index) => `10.9.0.${index + 1}`,
    },
    keys,
  )
  await untilPing(path.a, '10.9.0.3')
  const found = async () => (await introduced(0))[0]
  await until('the path MTU is known', async () => (await found()).path_mtu?.bytes === 1_300, 30_000)
  const { path_mtu, carried_mtu_bytes, relayed } = await found()
  t.equal(path_mtu?.how, 'acknowledged')
  t.equal(relayed?.by, 'hub')
  t.equal(carried_mtu_bytes, 1_300 - 28 - 32 - 40, 'less IP, UDP, the header and the tag, and the relay')
  const size = (bytes: number) => ['-M', 'do', '-c', '3', '-i', '0.2', '-s', String(bytes - 28)]
  t.match(await ok(path.a, 'ping', ...size(1_200), '10.9.0.3'), / 3 received/)
  const { code } = await run(path.a, 'ping', [...size(1_201), '10.9.0.3'])
  t.not(code, 0, 'a byte more does not pass')
  await stop()
})

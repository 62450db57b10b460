/** Somebody who forges ICMP errors, as whoever knows both endpoints and ports can. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { fragmentationNeeded } from '../../support/hosts/forged-frame.js'
import { ok } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'

// Most of what is here is waiting.
t.jobs = 2

t.test('an error that quotes what was never sent counts for nothing', async (t) => {
  using path = pathOf(1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  const [router] = path.routers
  using wire = new PacketSocket(router, 'left')
  const { b } = path.underlay
  const before = (await ends.a.status()).outbound
  for (let i = 0; i < 100; i++) {
    wire.send(fragmentationNeeded(path, '203.0.113.9', 600))
    wire.send(fragmentationNeeded(path, b, 600, 33_434 + i))
  }
  await sleep(500)
  t.match((await ends.a.status()).peers[0].path_mtu, { bytes: 1500, how: 'acknowledged' })
  t.ok((await ends.a.status()).outbound.frames - before.frames < 50)
})

t.test(
  'an error that is right has an idle path looked at at once, and its MTU follows',

  async (t) => {
    using path = pathOf(1500, 1500)
    // Or the device's own router solicitations are frames that have the path confirmed.
    for (const host of [path.a, path.b])
      await ok(host, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
    const ends = await startEnds(path)
    await untilPathMtu(ends.a, 1500)
    await sleep(2_000)
    path.setMtu(1, 1400)
    await sleep(2_500)
    t.equal((await ends.a.status()).peers[0].path_mtu?.bytes, 1500, 'nothing has gone there')
    using wire = new PacketSocket(path.routers[0], 'left')
    const startedMs = performance.now()
    wire.send(fragmentationNeeded(path, path.underlay.b, 1400))
    await untilPathMtu(ends.a, 1400, 'acknowledged', 2_000)
    t.comment(`after ${Math.round(performance.now() - startedMs)} ms`)
    t.ok((await ends.a.status()).icmp.too_big > 0)
  },
)

/** Paths on which nobody says that something was too big: what the far end acknowledges must tell. */
import t from 'tap'
import { PROGRAM, RunningTunnel, startTunnel, untilPing } from '../../support/hosts/lab.js'
import {
  filterIcmp,
  lose,
  pathOf,
  settledAt,
  startEnds,
  swallow,
  untilPathMtu,
} from '../../support/hosts/path.js'

const CASES = [
  { name: 'no ICMP at all', links: [1500, 1400, 1500], mtu: 1400, ipv6: false, filter: 'both', loss: 0 },
  { name: 'no ICMP towards a', links: [1500, 1337, 1500], mtu: 1337, ipv6: false, filter: 'a', loss: 0 },
  { name: 'no ICMP, IPv6', links: [1500, 1280, 1500], mtu: 1280, ipv6: true, filter: 'both', loss: 0 },
  {
    name: 'no ICMP, jumbo frames',
    links: [9000, 1500, 9000],
    mtu: 1500,
    ipv6: false,
    filter: 'both',
    loss: 0,
  },
  { name: 'no ICMP, 5% lost', links: [1500, 1453, 1500], mtu: 1453, ipv6: false, filter: 'both', loss: 5 },
  {
    name: 'nothing narrow, no ICMP, 5% lost',
    links: [1500, 1500],
    mtu: 1500,
    ipv6: false,
    filter: 'both',
    loss: 5,
  },
] as const

for (const { name, links, mtu, ipv6, filter, loss } of CASES) {
  t.test(`${name}: ${links.join(', ')} is found to carry ${mtu} within 5 s`, async (t) => {
    using path = pathOf(...links)
    for (const router of path.routers) await filterIcmp(router, filter)
    if (loss > 0) await lose(path.routers[0], loss)
    const ends = await startEnds(path, { ipv6 })
    const both = [ends.a, ends.b]
    for (const end of both) await untilPathMtu(end, mtu, 'acknowledged', 8_000)
    const times = both.map((end) => settledAt(end, mtu - (ipv6 ? 62 : 42)))
    const upMs = Math.max(...times.map((it) => it.upMs))
    const setMs = Math.max(...times.map((it) => it.setMs))
    t.ok(setMs - upMs < 5_000, `${setMs - upMs} ms after both were up`)
  })
}

t.test('a path that is narrower one way: each end finds its own', async (t) => {
  using path = pathOf(1500, 1500)
  await swallow(path.routers[0], 1411)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1411)
  await untilPathMtu(ends.b, 1500)
  t.equal((await ends.a.status()).mtu_bytes, 1369)
  t.equal((await ends.b.status()).mtu_bytes, 1458)
})

t.test('without CAP_NET_RAW no ICMP is heard, which is said once, and the tunnel does without', async (t) => {
  using path = pathOf(1500, 1400)
  const { a, b } = path.underlay
  const command = ['setpriv', '--bounding-set', '-net_raw', process.execPath, PROGRAM] as const
  const near = new RunningTunnel(path.a, ['10.9.0.1', b], [], { command: [...command] })
  const far = await startTunnel(path.b, '10.9.0.2', a)
  await near.said(/ is up: /)
  await near.said(/ICMP errors are not heard \(socket: .*CAP_NET_RAW/)
  await untilPathMtu(near, 1400, 'acknowledged', 20_000)
  await untilPing(path.a, '10.9.0.2')
  t.equal(near.log.filter(({ msg }) => /are not heard/.test(String(msg))).length, 1)
  t.equal((await near.stop()).code, 0)
  await far.stop()
})

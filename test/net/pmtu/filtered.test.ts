/** Paths on which nobody says that something was too big: what the far end acknowledges must tell. */
import t from 'tap'
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

/** Paths whose routers and far ends say what they have to say. */
import t from 'tap'
import { run, startTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'
import { filterIcmp, pathOf, settledAt, startEnds, untilPathMtu } from '../../support/hosts/path.js'

const CASES = [
  { links: [1500, 1400, 1500], mtu: 1400, ipv6: false },
  { links: [9000, 1500], mtu: 1500, ipv6: false },
  { links: [9000, 1500, 1337, 1500], mtu: 1337, ipv6: false },
  { links: [1500, 1400, 1500], mtu: 1400, ipv6: true },
]

for (const { links, mtu, ipv6 } of CASES) {
  const over = ipv6 ? 'IPv6' : 'IPv4'
  t.test(`${links.join(', ')} over ${over}: ${mtu} at both ends within a second`, async (t) => {
    using path = pathOf(...links)
    const ends = await startEnds(path, { ipv6 })
    for (const end of [ends.a, ends.b]) {
      await untilPathMtu(end, mtu)
      const { upMs, setMs } = settledAt(end, mtu - (ipv6 ? 62 : 42))
      t.ok(setMs - upMs < 1_000, `${setMs - upMs} ms after it was up`)
    }
    const size = ['-M', 'do', '-c', '1', '-W', '1', '-s', `${mtu - (ipv6 ? 62 : 42) - 28}`]
    t.equal((await run(path.a, 'ping', [...size, '10.9.0.2'])).code, 0, 'a packet that long passes')
  })
}

t.test('an end that acknowledges nothing: ICMP alone finds it, within a second', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  const a = await startTunnel(path.a, '10.9.0.1', path.underlay.b)
  // Its answers to closed ports are few, and used up by what else goes to one that no tunnel listens at yet.
  await untilPathMtu(a, 1400, ['reached', 'told'])
  const { upMs, setMs } = settledAt(a, 1358)
  t.ok(setMs - upMs < 1_000, `${setMs - upMs} ms after it was up`)
})

t.test('a far end that answers no closed port: what a router says is taken', async (t) => {
  using path = pathOf(1500, 1400, 1500)
  await filterIcmp(path.routers[1], 'a')
  const a = await startTunnel(path.a, '10.9.0.1', path.underlay.b)
  await untilPathMtu(a, 1400, 'told')
  const { upMs, setMs } = settledAt(a, 1358)
  t.ok(setMs - upMs < 1_000, `${setMs - upMs} ms after it was up`)
})

t.test('socat at the far end sees no probe: all it gets is what the device gave', async (t) => {
  using pair = twoHosts()
  const far = 'TUN:10.9.0.2/24,tun-type=tap,iff-no-pi,iff-up,tun-name=tap0'
  const { b, underlay } = pair
  const a = await startTunnel(pair.a, '10.9.0.1', underlay.b)
  const socat = b.spawn('socat', [far, `UDP:${underlay.a}:5149,sourceport=5149`], { stdio: 'ignore' })
  await untilPathMtu(a, 1500, 'reached')
  await untilPing(pair.a, '10.9.0.2')
  t.equal((await run(pair.a, 'ping', ['-c', '1', '-W', '2', '-M', 'do', '-s', '1430', '10.9.0.2'])).code, 0)
  socat.kill()
})

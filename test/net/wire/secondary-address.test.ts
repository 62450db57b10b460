/** A host with two addresses on its underlay interface, whose peer speaks to the second one. */
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { addAddress, removeAddress } from '../../../src/linux/address.js'
import { getLink } from '../../../src/linux/interface.js'
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
import { transfer } from '../../support/hosts/transfer.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

// Most of what is here is waiting.
t.jobs = 2

const SECOND = { ipv4: '192.0.2.9', ipv6: '2001:db8::9' } as const
const LENGTH = { ipv4: 24, ipv6: 64 } as const
type Family = keyof typeof SECOND

/** IPv6 chooses the newest address of those that are alike: so what it has had is given to it again, as its first. */
function giveSecond({ b, underlay }: Pair, family: Family): void {
  b.configure('eth0', [`${SECOND[family]}/${LENGTH[family]}`])
  if (family === 'ipv4') return
  change(b, (netlink, index) => {
    removeAddress(netlink, index, underlay.b6, LENGTH.ipv6)
    addAddress(netlink, index, underlay.b6, LENGTH.ipv6)
  })
}

function change(host: Host, work: (...args: [Parameters<typeof getLink>[0], number]) => void): void {
  host.netlink((netlink) => work(netlink, getLink(netlink, 'eth0').index))
}

const takeSecond = ({ b }: Pair, family: Family) =>
  change(b, (netlink, index) => removeAddress(netlink, index, SECOND[family], LENGTH[family]))

/** Only what answers something that has left this host comes in. */
async function shut(host: Host): Promise<void> {
  await ok(host, 'nft', 'add', 'table', 'inet', 'wall')
  await ok(host, 'nft', 'add chain inet wall input { type filter hook input priority 0; }')
  const what = 'iifname eth0 udp dport 5149 ct state != { established, related } drop'
  await ok(host, 'nft', `add rule inet wall input ${what}`)
}

const peerOf = async (tunnel: RunningTunnel) => (await tunnel.status()).peers[0]

for (const family of ['ipv4', 'ipv6'] as const) {
  t.test(`a plain tunnel answers from the address that it is spoken to, ${family}`, async (t) => {
    using pair = twoHosts()
    giveSecond(pair, family)
    const near = family === 'ipv4' ? pair.underlay.a : pair.underlay.a6
    const [a, b] = await Promise.all([
      startTunnel(pair.a, '10.9.0.1', SECOND[family]),
      startTunnel(pair.b, '10.9.0.2', near),
    ])
    await untilPing(pair.a, '10.9.0.2')
    await untilPing(pair.b, '10.9.0.1')
    t.equal((await peerOf(b)).from, SECOND[family])
    t.equal((await peerOf(a)).from, null)
    await until('the path is known', async () => (await peerOf(a)).path_mtu?.how === 'acknowledged')
    const { foreign } = (await a.status()).drops
    await transfer({ listener: pair.a, address: '10.9.0.1', connector: pair.b, bytes: 4 << 20 })
    const [nearReport, farReport] = [await a.status(), await b.status()]
    t.equal(nearReport.drops.foreign, foreign)
    t.ok(farReport.super_frames.read > 20, `${farReport.super_frames.read} super-frames`)
    t.equal(farReport.offloads.udp_segment, true, 'which went out as runs')
    t.equal((await peerOf(b)).from, SECOND[family])

    takeSecond(pair, family)
    await until('b leaves the choice to the kernel', async () => (await peerOf(b)).from === null)
    const { drops } = await b.status()
    t.equal(drops.send_failed + drops.unreachable, 0, 'what was sent meanwhile has gone out')
    giveSecond(pair, family)
    await untilPing(pair.a, '10.9.0.2')
    t.equal((await peerOf(b)).from, SECOND[family])
  })
}

t.test('a private tunnel comes through a stateful firewall, and follows when the address goes', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  giveSecond(pair, 'ipv4')
  await shut(pair.a)
  const [keyA, keyB] = [keys.make('a'), keys.make('b')]
  const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(keyB, keyA))
  const a = await startTunnel(pair.a, '10.9.0.1', SECOND.ipv4, ...keyFlags(keyA, keyB))
  await untilPing(pair.a, '10.9.0.2')
  t.equal((await peerOf(a)).endpoint, `${SECOND.ipv4}:5149`)
  t.equal((await peerOf(b)).from, SECOND.ipv4)
  await transfer({ listener: pair.a, address: '10.9.0.1', connector: pair.b, bytes: 4 << 20 })
  t.equal((await b.status()).offloads.udp_segment, true)

  await ok(pair.a, 'nft', 'delete', 'table', 'inet', 'wall')
  takeSecond(pair, 'ipv4')
  await untilPing(pair.b, '10.9.0.1')
  t.ok(await pings(pair.a, '10.9.0.2'))
  t.equal((await peerOf(a)).endpoint, `${pair.underlay.b}:5149`)
  t.equal((await peerOf(b)).from, null)
})

t.test('what comes from another address of the peer is dropped, and the log says whose it is', async () => {
  using pair = twoHosts()
  giveSecond(pair, 'ipv4')
  // Bound to its first address, the far end cannot answer from the other one.
  const a = await startTunnel(pair.a, '10.9.0.1', `${pair.underlay.b}:5150`)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await a.said(
    /what comes from 192\.0\.2\.2:5149 is dropped as foreign: it is the host of 192\.0\.2\.2:5150, which is expected at 192\.0\.2\.2:5150; let it send from port 5150/,
    10_000,
  )
})

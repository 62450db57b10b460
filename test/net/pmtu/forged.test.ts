/** Somebody who forges ICMP errors, as whoever knows both endpoints and ports can. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { startFlow } from '../../support/hosts/flows.js'
import { forgedFrame } from '../../support/hosts/forged-frame.js'
import type { FrameFlood } from '../../support/hosts/frame-flooder.js'
import { ok } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { type Path, pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'

const FLOODER = fileURLToPath(new URL('../../support/hosts/frame-flooder.js', import.meta.url))
const ROUNDS = 5
const SECONDS = 2

/** "Fragmentation needed" from the router next to host a, about a datagram from there to `to`. */
function forged(path: Path, to: string, mtuBytes: number, port = 5149): Buffer {
  const source = { address: path.underlay.a, port: 5149 }
  const about = { source, destination: { address: to, port } }
  return forgedFrame(path, { header: [3, 4, mtuBytes], from: '198.18.0.2', about })
}

/** The middle one of an odd number of them. */
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >>> 1]

t.test('forged "fragmentation needed" at a running transfer: throughput and MTU stay', async (t) => {
  using path = pathOf(1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  const [router] = path.routers
  const lies = [552, 576, 1000, 1400].map((mtu) => forged(path, path.underlay.b, mtu).toString('base64'))
  const forging: FrameFlood = { device: 'left', frames: lies, perSecond: 200, seconds: SECONDS + 1 }

  const throughput = async (lie: boolean) => {
    const flooding = lie ? ok(router, process.execPath, FLOODER, JSON.stringify(forging)) : undefined
    const flow = await startFlow(path.a, path.b, '10.9.0.2', SECONDS)
    const { bytes, seconds, error, longestStallMs } = await flow.ended
    await flooding
    t.equal(error, null)
    t.ok(
      longestStallMs < 1_000,
      `${lie ? 'with' : 'without'} forgeries the longest stall is ${Math.round(longestStallMs)} ms`,
    )
    return (bytes * 8) / seconds / 1e9
  }
  const honest: number[] = []
  const lied: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    honest.push(await throughput(false))
    lied.push(await throughput(true))
  }
  const { icmp, peers, mtu_bytes } = await ends.a.status()
  t.ok(icmp.too_big > 500, `${icmp.too_big} forgeries were taken in`)
  t.equal(mtu_bytes, 1458)
  t.match(peers[0].path_mtu, { bytes: 1500, how: 'acknowledged' })
  t.equal(
    ends.a.log.filter(({ msg }) => /the MTU is/.test(String(msg))).length,
    0,
    'and it never was another',
  )
  // What else the machine does changes from one second to the next: each rate is held against the one before it.
  const ratios = lied.map((rate, round) => rate / honest[round])
  const text = (numbers: number[]) => numbers.map((number) => number.toFixed(2)).join(', ')
  t.comment(`Gbit/s without: ${text(honest)}; with forgeries: ${text(lied)}; ratios ${text(ratios)}`)
  t.ok(median(ratios) > 0.7, 'the throughput is what it is without, but for the noise')
})

t.test('an error that quotes what was never sent counts for nothing', async (t) => {
  using path = pathOf(1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  const [router] = path.routers
  using wire = new PacketSocket(router, 'left')
  const { b } = path.underlay
  const before = (await ends.a.status()).outbound
  for (let i = 0; i < 100; i++) {
    wire.send(forged(path, '203.0.113.9', 600))
    wire.send(forged(path, b, 600, 33_434 + i))
  }
  await sleep(500)
  t.match((await ends.a.status()).peers[0].path_mtu, { bytes: 1500, how: 'acknowledged' })
  t.ok((await ends.a.status()).outbound.frames - before.frames < 50)
})

t.test('an error that is right has an idle path looked at at once, and its MTU follows', async (t) => {
  using path = pathOf(1500, 1500)
  // Or the device's own router solicitations are frames that have the path confirmed.
  for (const host of [path.a, path.b]) await ok(host, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  await sleep(2_000)
  path.setMtu(1, 1400)
  await sleep(2_500)
  t.equal((await ends.a.status()).peers[0].path_mtu?.bytes, 1500, 'nothing has gone there')
  using wire = new PacketSocket(path.routers[0], 'left')
  const startedMs = performance.now()
  wire.send(forged(path, path.underlay.b, 1400))
  await untilPathMtu(ends.a, 1400, 'acknowledged', 2_000)
  t.comment(`after ${Math.round(performance.now() - startedMs)} ms`)
  t.ok((await ends.a.status()).icmp.too_big > 0)
})

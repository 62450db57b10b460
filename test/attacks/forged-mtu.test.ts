/** Somebody who forges ICMP errors at a running transfer, as whoever knows both endpoints and ports can. */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { startFlow } from '../support/hosts/flows.js'
import { fragmentationNeeded } from '../support/hosts/forged-frame.js'
import type { FrameFlood } from '../support/hosts/frame-flooder.js'
import { ok } from '../support/hosts/lab.js'
import { pathOf, startEnds, untilPathMtu } from '../support/hosts/path.js'

const FLOODER = fileURLToPath(new URL('../support/hosts/frame-flooder.js', import.meta.url))
const ROUNDS = 5
const SECONDS = 2
/** Of the throughput without forgeries. */
const LEAST = 0.7

t.test('forged "fragmentation needed" at a running transfer: throughput and MTU stay', async (t) => {
  using path = pathOf(1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  const [router] = path.routers
  const lies = [552, 576, 1000, 1400].map((mtu) =>
    fragmentationNeeded(path, path.underlay.b, mtu).toString('base64'),
  )
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
  // What else the machine does changes from one second to the next: each rate is held against the one before it.
  const ratios = () => lied.map((rate, round) => rate / honest[round])
  // If most rounds are good, the median is, whatever the others bring.
  const isDecided = () => ratios().filter((it) => it > LEAST).length > ROUNDS / 2
  while (lied.length < ROUNDS && !isDecided()) {
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
  const text = (numbers: readonly number[]) => numbers.map((number) => number.toFixed(2)).join(', ')
  t.comment(`Gbit/s without: ${text(honest)}; with forgeries: ${text(lied)}; ratios ${text(ratios())}`)
  t.ok(isDecided(), 'in most rounds the throughput is what it is without, but for the noise')
})

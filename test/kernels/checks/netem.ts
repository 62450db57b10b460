/** Bad networks: loss, delay, jitter, duplicates, damage and narrow links, by netem in a router between the hosts. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { accounted } from '../../support/hosts/accounts.js'
import { ok, untilPing } from '../../support/hosts/lab.js'
import { type Ends, filterIcmp, startEnds, untilPathMtu } from '../../support/hosts/path.js'
import { type Check, run } from '../check.js'
import { BadNetwork, packetsOf, tcpRate } from '../netem.js'
import { endWell } from '../tunnels.js'

const WITHIN_MS = 300_000

/** TCP beside the tunnel and through it, in turns, so long and so often. If it is not enough, as often again. */
const SECONDS = 8
const ROUNDS = 1

const LEAST_SHARE = 0.9

/** Of the tunnel's own, at most: keepalives, probes of the path MTU, and what asks for the way. */
const CONTROL_A_SECOND = 8

/** So low that the emulated processor does not bound it, and a queue that it empties in about a second. */
const LINK = 'rate 500kbit limit 40'

/** By what netem does. */
const CASES = {
  'loss 0.1 %': 'delay 10ms loss 0.1%',
  'loss 1 %': 'delay 40ms loss 1%',
  'loss 5 %': 'delay 20ms loss 5%',
  'delay 1 ms': 'delay 1ms',
  'delay 200 ms': 'delay 200ms',
  'jitter that reorders': 'delay 20ms 10ms 25%',
  'duplicates 5 %': 'delay 10ms duplicate 5%',
  'damage 1 %': 'delay 10ms corrupt 1%',
  'a queue of 15 packets': 'delay 20ms limit 15',
} as const

let network: BadNetwork
let ends: Ends

/** What passes a host while `work` is done: frames and datagrams of the tunnel, and what the kernel took for damaged. */
async function counted(work: () => Promise<void>) {
  const look = async () => {
    const [a, b] = [await ends.a.status(), await ends.b.status()]
    const [pa, pb] = [packetsOf(network.path.a), packetsOf(network.path.b)]
    return [a.outbound.frames, pa.sent, pb.received, pb.damaged, accounted(b), performance.now()]
  }
  const before = await look()
  await work()
  await sleep(1_500)
  const after = await look()
  const [frames, sent, received, damaged, known, ms] = after.map((it, index) => it - before[index])
  return { frames, sent, received, damaged, known, most: 20 + (CONTROL_A_SECOND * ms) / 1_000 }
}

function bad(settings: string): Check {
  return async () => {
    const { path } = network
    await network.set(`${LINK} ${settings}`)
    const sums = { beside: 0, through: 0 }
    let account = ''
    for (let round = 0; round < 2 * ROUNDS; round++) {
      if (round === ROUNDS && sums.through >= LEAST_SHARE * sums.beside) break
      sums.beside += await tcpRate(path, path.underlay.b, SECONDS)
      const { frames, sent, received, damaged, known, most } = await counted(async () => {
        sums.through += await tcpRate(path, '10.9.0.2', SECONDS)
      })
      account = `${frames} frames in ${sent} datagrams; ${received} came, ${known} of them carried or counted, ${damaged} damaged`
      assert.ok(sent <= frames + most, `not more datagrams than frames: ${account}`)
      // Damage to an Ethernet header is counted nowhere.
      const isDamaged = settings.includes('corrupt') ? received / 1_000 : 0
      assert.ok(received - known - damaged <= most + isDamaged, `nothing is dropped uncounted: ${account}`)
    }
    const share = sums.through / sums.beside
    const { path_mtu } = (await ends.a.status()).peers[0]
    assert.equal(path_mtu?.bytes, 1500)
    const text = `${share.toFixed(2)} of TCP beside it; ${account}`
    assert.ok(share >= LEAST_SHARE, text)
    return text
  }
}

function narrow(settings: string, mtuBytes: number, isFiltered: boolean): Check {
  return async () => {
    using bad = await BadNetwork.make()
    bad.path.setMtu(1, mtuBytes)
    if (isFiltered) await filterIcmp(bad.path.routers[0], 'both')
    await bad.set(settings)
    const both = await startEnds(bad.path)
    const startedMs = performance.now()
    const how = isFiltered ? ('acknowledged' as const) : (['acknowledged', 'told', 'reached'] as const)
    for (const end of [both.a, both.b]) await untilPathMtu(end, mtuBytes, how, WITHIN_MS)
    const tookS = (performance.now() - startedMs) / 1_000
    for (const end of [both.a, both.b]) await endWell(end)
    return `${mtuBytes} found within ${tookS.toFixed(1)} s`
  }
}

await run({
  'there is netem': async () => {
    network = await BadNetwork.make()
    ends = await startEnds(network.path)
    for (const end of [ends.a, ends.b])
      await untilPathMtu(end, 1500, ['acknowledged', 'told', 'reached'], WITHIN_MS)
    await untilPing(network.path.a, '10.9.0.2')
    const bare = await tcpRate(network.path, network.path.underlay.b, 4)
    const tunnel = await tcpRate(network.path, '10.9.0.2', 6)
    await network.set('delay 1ms')
    await ok(network.path.routers[0], 'tc', 'qdisc', 'show', 'dev', 'right')
    return `without it: TCP ${bare.toFixed(1)} Mbit/s beside the tunnel, ${tunnel.toFixed(1)} Mbit/s through it`
  },
  ...Object.fromEntries(Object.entries(CASES).map(([title, settings]) => [title, bad(settings)])),
  'path MTU of 1,400, loss 5 %, jitter, ICMP': narrow('delay 20ms 10ms loss 5%', 1400, false),
  'path MTU of 1,400, loss 5 %, jitter, ICMP filtered': narrow('delay 20ms 10ms loss 5%', 1400, true),
})

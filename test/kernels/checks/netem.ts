/** Bad networks: delay, jitter, duplicates, damage and narrow links, by netem in a router between the hosts. */
import { filterIcmp, startEnds, untilPathMtu } from '../../support/hosts/path.js'
import { bad, thereIsNetem } from '../bad-network.js'
import { type Check, run } from '../check.js'
import { BadNetwork } from '../netem.js'
import { endWell } from '../tunnels.js'

const WITHIN_MS = 300_000

const TURNS = { least: 1, most: 4 }

/** By what netem does. */
const CASES = {
  'delay 1 ms': 'delay 1ms',
  'delay 200 ms': 'delay 200ms',
  'jitter that reorders': 'delay 20ms 10ms 25%',
  'duplicates 5 %': 'delay 10ms duplicate 5%',
  'damage 1 %': 'delay 10ms corrupt 1%',
  'a queue of 15 packets': 'delay 20ms limit 15',
} as const

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
  'there is netem': thereIsNetem,
  ...Object.fromEntries(Object.entries(CASES).map(([title, settings]) => [title, bad(settings, TURNS)])),
  'path MTU of 1,400, loss 5 %, jitter, ICMP': narrow('delay 20ms 10ms loss 5%', 1400, false),
  'path MTU of 1,400, loss 5 %, jitter, ICMP filtered': narrow('delay 20ms 10ms loss 5%', 1400, true),
})

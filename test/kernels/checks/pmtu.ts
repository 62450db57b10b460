/** The path MTU: with large frames, by ICMP errors, and where they are filtered. */
import assert from 'node:assert/strict'
import { untilPing } from '../../support/hosts/lab.js'
import { filterIcmp, pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'
import { type Check, run } from '../check.js'
import { echoSizes } from '../echoes.js'
import { endWell, startBoth } from '../tunnels.js'

const WITHIN_MS = 300_000

function narrow(isFiltered: boolean): Check {
  return async () => {
    using path = pathOf(1500, 1400, 1500)
    if (isFiltered) await filterIcmp(path.routers[0], 'both')
    const ends = await startEnds(path)
    const startedMs = performance.now()
    for (const end of [ends.a, ends.b])
      await untilPathMtu(
        end,
        1400,
        isFiltered ? 'acknowledged' : ['acknowledged', 'told', 'reached'],
        WITHIN_MS,
      )
    const foundMs = performance.now() - startedMs
    await untilPing(path.a, '10.9.0.2')
    const { mtu_bytes } = await ends.a.status()
    assert.equal(mtu_bytes, 1358)
    const sizes = await echoSizes(path.a, '10.9.0.2', mtu_bytes, 1320, 1340)
    for (const end of [ends.a, ends.b]) await endWell(end)
    return `1,400 found within ${(foundMs / 1_000).toFixed(1)} s; ${sizes}`
  }
}

await run({
  'underlay of 9,000 bytes': async () => {
    const { pair, a, b } = await startBoth({ mtuBytes: 9000 })
    await untilPathMtu(a, 9000, undefined, WITHIN_MS)
    const { mtu_bytes } = await a.status()
    assert.equal(mtu_bytes, 8958)
    const sizes = await echoSizes(pair.a, '10.9.0.2', mtu_bytes, 8920, 9000)
    for (const end of [a, b]) await endWell(end)
    pair[Symbol.dispose]()
    return sizes
  },
  'a narrow link, ICMP': narrow(false),
  'a narrow link, ICMP filtered': narrow(true),
})

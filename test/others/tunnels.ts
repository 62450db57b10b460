/** A tunnel in the clear and a private one, between two network namespaces. */

import { type Check, run } from '../kernels/check.js'
import { type BothOptions, endWell, startBoth, tcpWhole } from '../kernels/tunnels.js'
import { dropped } from '../support/hosts/accounts.js'

const BYTES = 256 * 1024

function check(options: BothOptions): Check {
  return async () => {
    const both = await startBoth(options)
    const rates = [await tcpWhole(both.pair, BYTES), await tcpWhole(both.pair, BYTES, 'fd00:9::2')]
    const drops = JSON.stringify(dropped(await both.a.status()))
    for (const tunnel of [both.a, both.b]) await endWell(tunnel)
    both.pair[Symbol.dispose]()
    const mbits = rates.map((it) => it.toFixed(1)).join(' and ')
    return `TCP both ways whole, ${mbits} Mbit/s (IPv4, IPv6); drops ${drops}; nothing is left after SIGTERM`
  }
}

await run({
  'plain tap': check({ mode: 'tap' }),
  'private tun': check({ mode: 'tun', isPrivate: true }),
})

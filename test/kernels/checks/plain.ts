/** Frames and packets go both ways, in the clear and private, and nothing of the tunnel is left afterwards. */
import assert from 'node:assert/strict'
import { dropped } from '../../support/hosts/accounts.js'
import { untilPing } from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { type Check, run } from '../check.js'
import { echoSizes } from '../echoes.js'
import { type Both, endWell, startBoth, tcpWhole } from '../tunnels.js'

const BYTES = 256 * 1024

function checksOf(mode: 'tap' | 'tun', isPrivate: boolean): Record<string, Check> {
  const what = `${isPrivate ? 'private' : 'plain'} ${mode}`
  let both: Both
  return {
    [`${what}: TCP both ways`]: async () => {
      both = await startBoth({ mode, isPrivate })
      const rates = [await tcpWhole(both.pair, BYTES), await tcpWhole(both.pair, BYTES, 'fd00:9::2')]
      const drops = JSON.stringify(dropped(await both.a.status()))
      return `whole, ${rates.map((it) => it.toFixed(1)).join(' and ')} Mbit/s (IPv4, IPv6); drops ${drops}`
    },
    [`${what}: ICMP sizes`]: async () => {
      const { mtu_bytes } = await both.a.status()
      return echoSizes(both.pair.a, '10.9.0.2', mtu_bytes, 1300, 1500)
    },
    [`${what}: SIGKILL and a new start`]: async () => {
      await both.a.stop('SIGKILL')
      const left = leftIn(both.pair.a)
      assert.ok(left.length === 1 && left[0].startsWith('/'), `only a socket is left: ${left}`)
      both = { ...both, a: await both.again() }
      await untilPing(both.pair.a, '10.9.0.2')
      return 'the device went with the process'
    },
    [`${what}: SIGTERM`]: async () => {
      const times = [await endWell(both.a), await endWell(both.b)]
      both.pair[Symbol.dispose]()
      return `nothing is left; ended within ${times.map(Math.round).join(' and ')} ms`
    },
  }
}

await run({ ...checksOf('tap', false), ...checksOf('tun', false), ...checksOf('tap', true) })

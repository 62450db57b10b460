/** IPsec inside the tunnel, as docs/ipsec.md says. */
import assert from 'node:assert/strict'
import { ok } from '../../support/hosts/lab.js'
import { run } from '../check.js'
import { echoSizes } from '../echoes.js'
import { espUnchanged } from '../esp.js'
import { isUndo, PageReader } from '../page.js'
import { type Both, endWell, startBoth } from '../tunnels.js'

let both: Both
let page: PageReader

await run({
  'the page, with AES-CBC and HMAC-SHA-256 by hand': async () => {
    both = await startBoth()
    page = new PageReader('ipsec', 'Keys by hand', { a: { host: both.pair.a }, b: { host: both.pair.b } })
    await page.read(isUndo)
    const states = await ok(both.pair.a, 'ip', '-s', 'xfrm', 'state')
    assert.match(states, /auth-trunc hmac\(sha256\)/)
    return 'pings are answered'
  },
  'ESP passes unchanged, uncut and unjoined': () => espUnchanged(both),
  'ICMP sizes': async () => {
    const said = await echoSizes(both.pair.a, '10.9.0.2', Number.POSITIVE_INFINITY, 1300, 1370)
    const drops = (await both.a.status()).drops
    assert.equal(drops.malformed + drops.oversize, 0)
    return said
  },
  'all of it is undone': async () => {
    await page.read()
    for (const host of [both.pair.a, both.pair.b])
      assert.equal(await ok(host, 'sh', '-c', 'ip xfrm state; ip xfrm policy'), '')
    for (const end of [both.a, both.b]) await endWell(end)
    return 'no state and no policy is left'
  },
})

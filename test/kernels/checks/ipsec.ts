/** IPsec inside the tunnel, as docs/ipsec.md says. */
import assert from 'node:assert/strict'
import { ok } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { run } from '../check.js'
import { echoSizes } from '../echoes.js'
import { PageReader } from '../page.js'
import { type Both, endWell, startBoth, tcpWhole } from '../tunnels.js'

const BYTES = 512 * 1024

const ETHERTYPE_IPV4 = 0x0800
const IPPROTO_ESP = 50

let both: Both
let page: PageReader

/** All ESP that has passed a device, in order, as hexadecimal digits: what the host has sent, and what came to it. */
function espOf(socket: PacketSocket): { sent: string[]; came: string[] } {
  const all = { sent: [] as string[], came: [] as string[] }
  for (let it = socket.receive(); it !== undefined; it = socket.receive()) {
    const isEsp = it.bytes.readUInt16BE(12) === ETHERTYPE_IPV4 && it.bytes[14 + 9] === IPPROTO_ESP
    if (isEsp) all[it.outgoing ? 'sent' : 'came'].push(it.bytes.toString('hex'))
  }
  return all
}

await run({
  'the page, with AES-CBC and HMAC-SHA-256 by hand': async () => {
    both = await startBoth()
    page = new PageReader('ipsec', { a: both.pair.a, b: both.pair.b })
    await page.read((step) => step.kind === 'see')
    const states = await ok(both.pair.a, 'ip', '-s', 'xfrm', 'state')
    assert.match(states, /auth-trunc hmac\(sha256\)/)
    return 'pings are answered'
  },
  'ESP passes unchanged, uncut and unjoined': async () => {
    const sockets = [both.pair.a, both.pair.b].map((host) => new PacketSocket(host, 'tap0'))
    const rate = await tcpWhole(both.pair, BYTES)
    const [a, b] = sockets.map(espOf)
    for (const socket of sockets) socket[Symbol.dispose]()
    assert.ok(
      a.sent.length > BYTES / 1458 && b.sent.length > BYTES / 1458,
      `${a.sent.length}, ${b.sent.length}`,
    )
    assert.deepEqual(b.came, a.sent)
    assert.deepEqual(a.came, b.sent)
    return `TCP both ways whole, ${rate.toFixed(1)} Mbit/s; ${a.sent.length} and ${b.sent.length} ESP packets, each the same at both ends, in order`
  },
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

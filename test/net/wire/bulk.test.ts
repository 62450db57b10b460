import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { startWarmTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'
import { transfer } from '../../support/hosts/transfer.js'

/** Each way, over IPv4 and as much again over IPv6, in each of the four kinds of tunnel. */
const BYTES = 24 * 1024 * 1024

/** Segments that this host's TCP found damaged: it hides them by having them sent again. */
function damagedSegments(host: Host): number {
  const snmp = host.run(() => readFileSync('/proc/thread-self/net/snmp', 'utf8'))
  const [names, values] = snmp.match(/^Tcp: .*$/gm)?.map((line) => line.split(' ')) ?? []
  return Number(values[names.indexOf('InCsumErrors')])
}

for (const mode of ['tap', 'tun']) {
  for (const underlay of ['IPv4', 'IPv6']) {
    t.test(`TCP both ways at once arrives whole: ${mode} over ${underlay}`, async (t) => {
      using pair = twoHosts()
      const { a, b, a6, b6 } = pair.underlay
      const [toA, toB] = underlay === 'IPv4' ? [a, b] : [a6, b6]
      const near = await startWarmTunnel(pair.a, '10.9.0.1', 'fd00:9::1', toB, '--mode', mode)
      const far = await startWarmTunnel(pair.b, '10.9.0.2', 'fd00:9::2', toA, '--mode', mode)
      await untilPing(pair.a, '10.9.0.2')
      const ends = { listener: pair.b, connector: pair.a, bytes: BYTES }
      const transfers = await Promise.all([
        transfer({ ...ends, address: '10.9.0.2', port: 7004 }),
        transfer({ ...ends, address: 'fd00:9::2', port: 7006 }),
      ])
      for (const { listener, connector, tookMs } of transfers) {
        t.same(listener.received, connector.sent)
        t.same(connector.received, listener.sent)
        t.equal(listener.received.bytes, BYTES)
        t.equal(connector.received.bytes, BYTES)
        t.comment(`${BYTES} bytes each way in ${Math.round(tookMs)} ms`)
      }
      t.equal(damagedSegments(pair.a) + damagedSegments(pair.b), 0)
      for (const tunnel of [near, far]) {
        const { outbound, inbound } = await tunnel.status(`${mode}0`)
        t.ok(outbound.bytes > 2 * BYTES && inbound.bytes > 2 * BYTES, 'all of it went through the tunnel')
      }
    })
  }
}

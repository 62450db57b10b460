/** Offloads are found by what the kernel has, and stepped down from where the underlay refuses them. */
import assert from 'node:assert/strict'
import { ok } from '../../support/hosts/lab.js'
import { isLinux, run } from '../check.js'
import { type Both, startBoth, tcpWhole } from '../tunnels.js'

const BYTES = 1024 * 1024

let both: Both

const said = (pattern: RegExp) => both.a.log.map(({ msg }) => String(msg)).filter((msg) => pattern.test(msg))

await run({
  'found by what the kernel has': async () => {
    both = await startBoth()
    await tcpWhole(both.pair, BYTES)
    const { offloads } = await both.a.status()
    // TUN_F_USO4 came with Linux 6.2, the others are older than 5.10.
    const all = { device_tso: true, device_uso: isLinux(6, 2), udp_segment: true, udp_gro: true }
    assert.deepEqual(offloads, all)
    const refusals = said(/the kernel refuses/)
    assert.equal(refusals.length, isLinux(6, 2) ? 0 : 1, JSON.stringify(refusals))
    return `${JSON.stringify(offloads)}${refusals.length > 0 ? `; said once: ${refusals[0]}` : ''}`
  },
  'an underlay without checksum offload': async () => {
    for (const host of [both.pair.a, both.pair.b])
      await ok(host, 'ethtool', '-K', 'eth0', 'tx', 'off', 'gro', 'off')
    const rate = await tcpWhole(both.pair, BYTES)
    const { peers } = await both.a.status()
    assert.equal(peers[0].state, 'up')
    const news = said(/segment/i)
    return `TCP whole, ${rate.toFixed(1)} Mbit/s; ${news.length > 0 ? `said: ${news.join('; ')}` : 'nothing had to be given up'}`
  },
})

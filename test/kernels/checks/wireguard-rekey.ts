/** New keys, often, during a transfer with the kernel's own WireGuard. This end begins. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { RunningTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { run } from '../check.js'
import { KernelWg, WG_PORT, wgFile } from '../kernel-wg.js'
import { tcpWhole } from '../tunnels.js'

const WITHIN_MS = 300_000

const SHORT_TIMES = fileURLToPath(new URL('../../support/hosts/short-times.js', import.meta.url))

const keys = new KeyFolder()
process.once('exit', () => keys[Symbol.dispose]())
const pair = twoHosts()
const [own, theirs] = [keys.make('a'), keys.make('b')]

/** How often the other end had a handshake while `work` was done. */
async function handshakesDuring<T>(wg: KernelWg, work: Promise<T>): Promise<{ count: number; result: T }> {
  const seen = new Set<number>()
  const timer = setInterval(async () => seen.add((await wg.peer()).handshakeS), 1_000)
  try {
    return { result: await work, count: seen.size - 1 }
  } finally {
    clearInterval(timer)
  }
}

await run({
  'keys of 2 s, during a transfer': async () => {
    const wg = await KernelWg.start(
      pair.b,
      '10.9.0.2/24',
      theirs,
      'peer',
      own.publicKey,
      'allowed-ips',
      '10.9.0.1/32',
    )
    const times = JSON.stringify({ rekeyAfterMs: 2_000, rekeyTimeoutMs: 1_000 })
    const command = [process.execPath, SHORT_TIMES, times] as const
    const peer = {
      publicKey: theirs.publicKey,
      allowedIps: '10.9.0.2/32',
      endpoint: `${pair.underlay.b}:${WG_PORT}`,
    }
    const args = [wgFile(keys, 'wg0', readFileSync(own.file, 'latin1').trim(), '10.9.0.1/24', [peer])]
    const tunnel = new RunningTunnel(pair.a, args, [], { command: [...command] })
    await tunnel.said(/ is up: /, WITHIN_MS)
    await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
    const { count, result } = await handshakesDuring(wg, tcpWhole(pair, 2 * 1024 * 1024))
    assert.ok(count >= 2, `${count} new keys`)
    const { code } = await tunnel.stop()
    assert.equal(code, 0)
    return `${count} times new keys, TCP both ways whole, ${result.toFixed(1)} Mbit/s`
  },
})

/** New keys with the kernel's own WireGuard: often, during a transfer; and in the kernel's own time. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  RunningTunnel,
  run as runProgram,
  startTunnel,
  twoHosts,
  untilPing,
} from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { run } from '../check.js'
import { KernelWg, WG_PORT, wgFile } from '../kernel-wg.js'
import { endWell, tcpWhole } from '../tunnels.js'

const WITHIN_MS = 300_000

const SHORT_TIMES = fileURLToPath(new URL('../../support/hosts/short-times.js', import.meta.url))

/** After so long the kernel makes new keys if it began (REKEY_AFTER_TIME). Pings for a little longer. */
const REKEY_S = 120
const PINGS_A_SECOND = 5

const keys = new KeyFolder()
process.once('exit', () => keys[Symbol.dispose]())
const pair = twoHosts()
const [own, theirs] = [keys.make('a'), keys.make('b')]

const file = (endpoint?: string) =>
  wgFile(keys, 'wg0', readFileSync(own.file, 'latin1').trim(), '10.9.0.1/24', [
    {
      publicKey: theirs.publicKey,
      allowedIps: '10.9.0.2/32',
      ...(endpoint === undefined ? {} : { endpoint }),
    },
  ])

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

let wg: KernelWg

await run({
  'keys of 2 s, during a transfer': async () => {
    wg = await KernelWg.start(
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
    const args = [file(`${pair.underlay.b}:${WG_PORT}`)]
    const tunnel = new RunningTunnel(pair.a, args, [], { command: [...command] })
    await tunnel.said(/ is up: /, WITHIN_MS)
    await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
    const { count, result } = await handshakesDuring(wg, tcpWhole(pair, 4 * 1024 * 1024))
    assert.ok(count >= 2, `${count} new keys`)
    const { code } = await tunnel.stop()
    assert.equal(code, 0)
    return `${count} times new keys, TCP both ways whole, ${result.toFixed(1)} Mbit/s`
  },
  'the kernel began, and makes new keys after 120 s': async () => {
    const tunnel = await startTunnel(pair.a, '--wireguard', file())
    await wg.set('peer', own.publicKey, 'endpoint', `${pair.underlay.a}:5149`)
    await untilPing(pair.b, '10.9.0.1', WITHIN_MS)
    const count = String((REKEY_S + 15) * PINGS_A_SECOND)
    const pinging = runProgram(
      pair.b,
      'ping',
      ['-q', '-c', count, '-i', `${1 / PINGS_A_SECOND}`, '10.9.0.1'],
      (REKEY_S + 60) * 1_000,
    )
    const made = await handshakesDuring(wg, pinging)
    assert.match(made.result.stdout, / 0% packet loss/)
    assert.ok(made.count >= 1, 'there are new keys')
    await endWell(tunnel)
    return `${count} pings, none lost`
  },
})

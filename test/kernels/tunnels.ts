import assert from 'node:assert/strict'
import type { RunningTunnel } from '../support/hosts/lab.js'
import { type Pair, startTunnel, twoHosts, untilPing } from '../support/hosts/lab.js'
import { leftIn } from '../support/hosts/leftovers.js'
import { transfer } from '../support/hosts/transfer.js'
import { KeyFolder, keyFlags } from '../support/hosts/wireguard-go.js'

/** An emulated processor takes long. */
const WITHIN_MS = 300_000

export interface Both {
  readonly pair: Pair
  readonly a: RunningTunnel
  readonly b: RunningTunnel
  /** Starts the tunnel in `a` anew. */
  readonly again: () => Promise<RunningTunnel>
}

export interface BothOptions {
  readonly mode?: 'tap' | 'tun'
  readonly isPrivate?: boolean
  readonly mtuBytes?: number
  readonly flags?: readonly string[]
}

/** Two hosts with a tunnel between them, which has answered pings over IPv4 and IPv6. It is there until the check ends. */
export async function startBoth(options: BothOptions = {}): Promise<Both> {
  const { mode = 'tap', isPrivate = false, mtuBytes = 1500, flags = [] } = options
  const pair = twoHosts(mtuBytes)
  const keys = new KeyFolder()
  process.once('exit', () => keys[Symbol.dispose]())
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const all = ['--mode', mode, '--dev', 'tap0', ...flags]
  const start = (which: 'a' | 'b') => {
    const [number, far] = which === 'a' ? [1, pair.underlay.b] : [2, pair.underlay.a]
    const own = isPrivate
      ? keyFlags(...((which === 'a' ? [ka, kb] : [kb, ka]) as [typeof ka, typeof kb]))
      : []
    return startTunnel(pair[which], `10.9.0.${number}`, `fd00:9::${number}`, far, ...all, ...own)
  }
  const [a, b] = [await start('a'), await start('b')]
  await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
  await untilPing(pair.b, 'fd00:9::1', WITHIN_MS)
  return { pair, a, b, again: () => start('a') }
}

/** TCP with `bytes` both ways at once, whole. Returns its rate, in Mbit/s, of both directions together. */
export async function tcpWhole(pair: Pair, bytes: number, address = '10.9.0.2'): Promise<number> {
  const ends = { listener: pair.b, address, connector: pair.a, bytes, withinMs: WITHIN_MS }
  const { listener, connector, tookMs } = await transfer(ends)
  assert.deepEqual(listener.received, connector.sent)
  assert.deepEqual(connector.received, listener.sent)
  return (2 * bytes * 8) / tookMs / 1_000
}

/** Sends SIGTERM: it ends with 0, says nothing, and leaves nothing. Returns the time in ms. */
export async function endWell(tunnel: RunningTunnel): Promise<number> {
  const { code, stderr, tookMs } = await tunnel.stop()
  assert.deepEqual({ code, stderr, left: leftIn(tunnel.host) }, { code: 0, stderr: '', left: [] })
  return tookMs
}

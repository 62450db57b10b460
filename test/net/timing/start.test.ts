import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { PROGRAM, RunningTunnel, startWarmTunnel, twoHosts } from '../../support/hosts/lab.js'

const LIMIT_MS = 1_000

t.test('a ping that waits is answered within 1 s of the second start', async (t) => {
  const kinds = [
    { what: 'IPv4 in a tap', target: '10.9.0.2', mode: 'tap', outer: ['a', 'b'] },
    { what: 'IPv6 in a tap over IPv6', target: 'fd00:9::2', mode: 'tap', outer: ['a6', 'b6'] },
    { what: 'IPv4 in a tun', target: '10.9.0.2', mode: 'tun', outer: ['a', 'b'] },
  ] as const
  const waiting = []
  for (const { what, target, mode, outer } of kinds) {
    const pair = twoHosts()
    t.teardown(() => pair[Symbol.dispose]())
    const [toA, toB] = outer.map((end) => pair.underlay[end])
    await startWarmTunnel(pair.a, '10.9.0.1', 'fd00:9::1', toB, '--mode', mode)
    waiting.push({ what, pair, target, args: ['10.9.0.2', 'fd00:9::2', toA, '--mode', mode] })
  }
  for (const { what, pair, target, args } of waiting) {
    let bestMs = Number.POSITIVE_INFINITY
    // What else the machine does only adds to it, so the best of a few starts counts.
    for (let tries = 0; tries < 3 && bestMs >= LIMIT_MS; tries++) {
      const pinging = pair.a.spawn('ping', ['-n', '-D', '-i', '0.05', target])
      // Long enough for the first host's kernel to have asked in vain, and to ask rarely.
      await sleep(3_500)
      const startedMs = Date.now()
      // What else the machine does is not what is measured: real time comes first.
      const launch = { command: ['chrt', '--fifo', '1', process.execPath, PROGRAM] as [string, ...string[]] }
      const second = new RunningTunnel(pair.b, args, [], launch)
      const tookMs = Math.round((await firstAnswerMs(pinging)) - startedMs)
      t.comment(`${what}: answered after ${tookMs} ms`)
      bestMs = Math.min(bestMs, tookMs)
      pinging.kill()
      await second.stop()
    }
    t.ok(bestMs > 0 && bestMs < LIMIT_MS, `${what}: answered after ${bestMs} ms`)
  }
})

/** When a `ping -D` saw its first answer, in `Date.now()` terms. */
async function firstAnswerMs({ stdout }: ChildProcess): Promise<number> {
  if (stdout === null) throw new Error('no standard output')
  for await (const line of createInterface(stdout)) {
    const answer = /^\[([\d.]+)\] \d+ bytes from/.exec(line)
    if (answer !== null) return Number(answer[1]) * 1000
  }
  throw new Error('no answer')
}

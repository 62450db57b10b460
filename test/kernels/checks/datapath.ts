/** The kernel's own datapath where the kernel has tcx (Linux 6.6), and a clear word where it has not. */
import assert from 'node:assert/strict'
import { PROGRAM, run as runProgram, twoHosts, until } from '../../support/hosts/lab.js'
import { Absent, isLinux, run } from '../check.js'
import { echoSizes } from '../echoes.js'
import { type Both, endWell, startBoth, tcpWhole } from '../tunnels.js'

const HAS_TCX = isLinux(6, 6)

const BYTES = 4 * 1024 * 1024

const carriers = async ({ a, b }: Both) =>
  (await Promise.all([a.status(), b.status()])).map(({ peers }) => peers[0].datapath)

function carried(mode: 'tap' | 'tun') {
  return async () => {
    const both = await startBoth({ mode, flags: ['--datapath', HAS_TCX ? 'kernel' : 'auto'] })
    if (!HAS_TCX) {
      await tcpWhole(both.pair, BYTES / 16)
      const [{ by, reason }] = await carriers(both)
      assert.equal(by, 'workers')
      for (const end of [both.a, both.b]) await endWell(end)
      return new Absent(`no tcx before Linux 6.6; with auto, the workers carry (reason: ${reason})`)
    }
    await until(
      'both are carried',
      async () => (await carriers(both)).every(({ by }) => by === 'kernel'),
      60_000,
    )
    const before = (await both.a.status()).workers.tap.syscalls
    const rate = await tcpWhole(both.pair, BYTES)
    const { workers, mtu_bytes } = await both.a.status()
    const calls = workers.tap.syscalls - before
    assert.ok(calls < 200, `the tap worker made ${calls} system calls`)
    const sizes = await echoSizes(both.pair.a, '10.9.0.2', mtu_bytes, 1400, 1460)
    for (const end of [both.a, both.b]) await endWell(end)
    return `TCP whole, ${rate.toFixed(0)} Mbit/s, ${calls} system calls of the tap worker; ${sizes}`
  }
}

await run({
  'mode tap': carried('tap'),
  'mode tun': carried('tun'),
  'what --datapath kernel says': async () => {
    if (HAS_TCX) return new Absent('the kernel has tcx')
    using pair = twoHosts()
    const { code, stderr } = await runProgram(pair.a, process.execPath, [
      ...[PROGRAM, 'start', '--datapath', 'kernel', '10.9.0.1', pair.underlay.b],
    ])
    assert.equal(code, 1)
    assert.match(stderr, /^udptun-fast: .*needs Linux 6\.6[^\n]*\n$/)
    return stderr.trim()
  },
})

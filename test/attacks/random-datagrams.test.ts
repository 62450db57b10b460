/** A million datagrams as fast as they go, half of them from the peer: all are accounted for, and the tunnel goes on. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { getLink } from '../../src/linux/interface.js'
import type { DeviceMode } from '../../src/wire/mode.js'
import { accounted, dropped } from '../support/hosts/accounts.js'
import type { Flood, FloodReport } from '../support/hosts/flooder.js'
import {
  ok,
  type Pair,
  pings,
  type RunningTunnel,
  startWarmTunnel,
  twoHosts,
  untilPing,
} from '../support/hosts/lab.js'
import { transfer } from '../support/hosts/transfer.js'

const PORT = 5149

/** The memory that a process has in use. */
function rssMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1024
}

async function flood({ b, underlay }: Pair, datagrams: number, seed: number): Promise<FloodReport> {
  const flooder = fileURLToPath(new URL('../support/hosts/flooder.js', import.meta.url))
  const peer = { address: underlay.b, port: PORT }
  const order: Flood = {
    to: { address: underlay.a, port: PORT },
    from: [peer, { address: underlay.b, port: PORT + 1 }, peer, { address: '192.0.2.77', port: PORT }],
    datagrams,
    maxBytes: 1472,
    seed,
  }
  return JSON.parse(await ok(b, process.execPath, flooder, JSON.stringify(order)))
}

/** What has been sent to a host, as far as its cable took it, and what its tunnel has made of that. */
async function balance(pair: Pair, a: RunningTunnel, b: RunningTunnel, device: string) {
  const { rxDropped } = pair.a.netlink((netlink) => getLink(netlink, 'eth0')).statistics
  const [report, other] = [await a.status(device), await b.status(device)]
  return { accounted: accounted(report), byPeer: other.outbound.frames, lost: rxDropped, report }
}

async function survives(t: Test, mode: DeviceMode): Promise<void> {
  using pair = twoHosts()
  const device = `${mode}0`
  const a = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mode', mode)
  const b = await startWarmTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--mode', mode)
  await untilPing(pair.a, '10.9.0.2')
  await flood(pair, 200_000, 1)
  await sleep(500)

  const before = await balance(pair, a, b, device)
  const rssBefore = rssMiB(a.pid)
  const { sent, tookMs } = await flood(pair, 1_000_000, 2)
  await sleep(500)
  const rssAfter = rssMiB(a.pid)
  const after = await balance(pair, a, b, device)

  t.comment(
    `${sent} datagrams in ${Math.round(tookMs)} ms; RSS ${rssBefore.toFixed(1)} -> ${rssAfter.toFixed(1)} MiB; ` +
      `written ${after.report.inbound.frames}, dropped ${JSON.stringify(dropped(after.report))}, lost on the cable ${after.lost}`,
  )
  t.equal(sent, 1_000_000)
  t.ok(rssAfter - rssBefore < 10, `its memory has grown by ${(rssAfter - rssBefore).toFixed(1)} MiB`)
  t.equal(
    after.accounted - before.accounted,
    sent + (after.byPeer - before.byPeer) - (after.lost - before.lost),
    'every datagram has been written or is counted as dropped',
  )
  const { foreign, socket_buffer_full } = after.report.drops
  t.ok(foreign > 100_000, 'strangers were among them')
  t.ok(after.report.inbound.frames > 10_000, "and the peer's own")
  t.ok(socket_buffer_full < after.accounted, 'not everything was lost before it was seen')

  t.equal(a.child.exitCode, null, 'the tunnel is up')
  t.equal(a.stderr, '')
  t.ok(await pings(pair.a, '10.9.0.2'))
  t.ok(await pings(pair.b, '10.9.0.1'))
  const { listener, connector } = await transfer({
    listener: pair.b,
    address: '10.9.0.2',
    connector: pair.a,
    bytes: 8 * 1024 * 1024,
  })
  t.same(listener.received, connector.sent, 'traffic flows')
  t.same(connector.received, listener.sent, 'both ways')
  t.equal((await a.stop()).code, 0)
}

for (const mode of ['tap', 'tun'] as const)
  t.test(`a flood of a million random datagrams, half of them from the peer, ${mode}`, (t) =>
    survives(t, mode),
  )

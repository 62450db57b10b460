import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ok, type RunningTunnel, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { workersSleep } from '../../support/hosts/threads.js'

/** How often each worker of a tunnel has woken. */
async function wakeUps(tunnel: RunningTunnel): Promise<{ tap: number; udp: number }> {
  const { workers } = await tunnel.status()
  return { tap: workers.tap.wake_ups, udp: workers.udp.wake_ups }
}

t.test(
  'while little comes one worker serves device and network; under load both work; then one again',
  async (t) => {
    using pair = twoHosts()
    const args = ['--datapath', 'workers', '--warm-up', 'off']
    const a = await startTunnel(pair.a, ...args, '10.9.0.1', pair.underlay.b)
    const b = await startTunnel(pair.b, ...args, '10.9.0.2', pair.underlay.a)
    await untilPing(pair.a, '10.9.0.2')

    /** Pings, and how often each worker has woken meanwhile. The first pings may still find both awake. */
    const pinged = async (tunnel: RunningTunnel) => {
      await sleep(100)
      await ok(pair.a, 'ping', '-q', '-c', '3', '-i', '0.05', '10.9.0.2')
      const before = await wakeUps(tunnel)
      await ok(pair.a, 'ping', '-q', '-c', '50', '-i', '0.01', '10.9.0.2')
      const after = await wakeUps(tunnel)
      return { tap: after.tap - before.tap, udp: after.udp - before.udp }
    }
    const quiet = async (when: string) => {
      for (const [name, tunnel] of [
        ['a', a],
        ['b', b],
      ] as const) {
        const { tap, udp } = await pinged(tunnel)
        t.ok(
          tap < 15 && udp >= 45,
          `${when}: ${name}'s tap worker has woken ${tap} times, the udp worker ${udp} times`,
        )
      }
    }
    await quiet('at first')

    pair.b.spawn('iperf3', ['-s', '-1'])
    await until(
      'somebody listens',
      async () => (await ok(pair.b, 'ss', '-Hltn', 'sport', '=', '5201')) !== '',
    )
    const before = await wakeUps(a)
    const sent = await ok(pair.a, 'iperf3', '-c', '10.9.0.2', '-n', '64M', '--json')
    const { tap } = await wakeUps(a)
    t.ok(JSON.parse(sent).end.sum_received.bytes >= 60 << 20, 'all has come')
    t.ok(tap > before.tap, `under load: a's tap worker has woken ${tap - before.tap} times`)
    await until('they sleep', () => workersSleep(a.pid) && workersSleep(b.pid))
    await quiet('after it')

    // The device goes while the udp worker reads it.
    await ok(pair.a, 'ip', 'link', 'delete', 'tap0')
    t.match(await a.ended, { code: 1, stderr: /the device has been deleted/ }, 'the tunnel says so, and ends')
  },
)

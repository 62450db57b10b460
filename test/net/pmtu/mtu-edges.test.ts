/** The underlay's interface is given widths at which something ends: no tunnel does. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { type RunningTunnel, startTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

/** The least of IPv4; narrower than a probe in a private tunnel, and wider; of a byte; the least of IPv6; jumbo. */
const WIDTHS = [68, 85, 96, 100, 127, 128, 255, 576, 1280, 9000, 65_521, 65_535]

const KINDS = [
  { device: 'tap0', mode: 'tap', sealed: true, underlay: 'IPv4' },
  { device: 'tun0', mode: 'tun', sealed: true, underlay: 'IPv4' },
  { device: 'tap1', mode: 'tap', sealed: false, underlay: 'IPv4' },
  { device: 'tap2', mode: 'tap', sealed: true, underlay: 'IPv6' },
] as const

const pair = twoHosts()
const keys = new KeyFolder()
t.teardown(() => {
  pair[Symbol.dispose]()
  keys[Symbol.dispose]()
})
const { a, b, a6, b6 } = pair.underlay
const ends = [
  { host: pair.a, own: 1, to: { IPv4: b, IPv6: `[${b6}]` }, address6: `${a6}/64`, key: keys.make('a') },
  { host: pair.b, own: 2, to: { IPv4: a, IPv6: `[${a6}]` }, address6: `${b6}/64`, key: keys.make('b') },
] as const

/** Both ends of each kind of tunnel. */
function startAll(): Promise<{ tunnel: RunningTunnel; device: string }[]> {
  return Promise.all(
    KINDS.flatMap(({ device, mode, sealed, underlay }, index) =>
      ends.map(async ({ host, own, to, key }, end) => {
        const port = 6_000 + index
        const flags = sealed ? keyFlags(key, ends[1 - end].key) : []
        const address = `10.${index}.0.${own}`
        const where = ['--dev', device, '--mode', mode, '--listen', String(port)]
        const tunnel = await startTunnel(host, address, `${to[underlay]}:${port}`, ...where, ...flags)
        return { tunnel, device }
      }),
    ),
  )
}

function setWidth(mtuBytes: number): void {
  for (const { host } of ends) host.configure('eth0', [], { mtuBytes })
  // Below 1280 the kernel has deleted them.
  if (mtuBytes >= 1280) for (const { host, address6 } of ends) addAgain(host, address6)
}

function addAgain(host: Host, address: string): void {
  try {
    host.configure('eth0', [address])
  } catch {
    // It has it.
  }
}

const pingAll = () => Promise.all(KINDS.map((_, index) => untilPing(pair.a, `10.${index}.0.2`, 20_000)))

t.test('whatever width the interface is given, every tunnel goes on', async (t) => {
  const tunnels = await startAll()
  await pingAll()
  for (const mtuBytes of WIDTHS) {
    setWidth(mtuBytes)
    await sleep(2_500)
    const ended = tunnels.filter(({ tunnel }) => tunnel.child.exitCode !== null)
    t.same(
      ended.map(({ device, tunnel }) => `${device}: ${tunnel.stderr}`),
      [],
      `${mtuBytes} bytes`,
    )
  }
  setWidth(1500)
  await pingAll()
  for (const { tunnel, device } of tunnels) {
    const { count, places } = (await tunnel.status(device)).faults
    t.same({ count, places }, { count: 0, places: {} })
    await tunnel.stop()
  }
})

t.test('and one that is started on a narrow one waits until it is wide', async (t) => {
  setWidth(85)
  const tunnels = await startAll().catch((error: Error) => t.fail(error.message))
  if (!Array.isArray(tunnels)) return
  for (const { tunnel, device } of tunnels)
    if (device === 'tap0') await tunnel.said(/takes packets of 85 bytes, and a handshake is one of 176/)
  setWidth(1500)
  await pingAll()
  for (const { tunnel } of tunnels) t.equal((await tunnel.stop()).code, 0)
})

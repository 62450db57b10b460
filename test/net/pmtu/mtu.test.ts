import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { getLink } from '../../../src/linux/interface.js'
import { pings, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'

const ICMP_ECHO_BYTES = 28

/** The device's MTU is the egress interface's less these. */
const KINDS = [
  { mode: 'tap', underlay: 'IPv4', overheadBytes: 42, device: 'tap4', network: '10.4.0', port: 6004 },
  { mode: 'tap', underlay: 'IPv6', overheadBytes: 62, device: 'tap6', network: '10.6.0', port: 6006 },
  { mode: 'tun', underlay: 'IPv4', overheadBytes: 28, device: 'tun4', network: '10.14.0', port: 6014 },
  { mode: 'tun', underlay: 'IPv6', overheadBytes: 48, device: 'tun6', network: '10.16.0', port: 6016 },
] as const

const pair = twoHosts(1500)
t.teardown(() => pair[Symbol.dispose]())

function startKind(kind: (typeof KINDS)[number], host: Host, own: number, to: string, to6: string) {
  const { mode, underlay, device, network, port } = kind
  const remote = underlay === 'IPv4' ? `${to}:${port}` : `[${to6}]:${port}`
  const flags = ['--listen', `${port}`, '--mode', mode, '--dev', device]
  return startTunnel(host, `${network}.${own}`, remote, ...flags)
}

const { a, b, a6, b6 } = pair.underlay
for (const kind of KINDS) {
  await startKind(kind, pair.a, 1, b, b6)
  await startKind(kind, pair.b, 2, a, a6)
}

const mtuOf = (host: Host, device: string) => host.netlink((netlink) => getLink(netlink, device).mtuBytes)

async function expectMtu(host: Host, device: string, mtuBytes: number): Promise<void> {
  await until(`${device} has ${mtuBytes}`, () => mtuOf(host, device) === mtuBytes, 3_000)
}

function setUnderlayMtu(mtuBytes: number): void {
  for (const host of [pair.a, pair.b]) host.configure('eth0', [], { mtuBytes })
}

for (const underlayBytes of [1500, 9000, 1400]) {
  t.test(
    `the MTU is the overhead less than an underlay of ${underlayBytes}, and packets that long pass`,
    async (t) => {
      setUnderlayMtu(underlayBytes)
      for (const { mode, underlay, overheadBytes, device, network } of KINDS) {
        const mtuBytes = underlayBytes - overheadBytes
        for (const host of [pair.a, pair.b]) await expectMtu(host, device, mtuBytes)
        await untilPing(pair.a, `${network}.2`)
        const size = ['-M', 'do', '-s', `${mtuBytes - ICMP_ECHO_BYTES}`]
        t.ok(await pings(pair.a, `${network}.2`, ...size), `${mode} over ${underlay}: ${mtuBytes} bytes`)
      }
    },
  )
}

t.test('an underlay too small for any device is survived', async () => {
  setUnderlayMtu(80)
  for (const host of [pair.a, pair.b]) await expectMtu(host, 'tap4', 68)
  setUnderlayMtu(1500)
  for (const host of [pair.a, pair.b]) await expectMtu(host, 'tap4', 1458)
  await untilPing(pair.a, '10.4.0.2')
})

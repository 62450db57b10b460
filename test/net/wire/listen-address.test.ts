/** The address that a tunnel listens on goes, comes back, or is another one, as after a reconnect by PPPoE. */
import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { connect, type Host } from '../../../src/lab/host.js'
import { addAddress, removeAddress } from '../../../src/linux/address.js'
import { getLink } from '../../../src/linux/interface.js'
import {
  ok,
  type RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { transfer } from '../../support/hosts/transfer.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

// Most of what is here is waiting.
t.jobs = 3

const WARN = 40

function change(host: Host, what: typeof addAddress, address: string, length: number): void {
  host.netlink((netlink) => what(netlink, getLink(netlink, 'eth0').index, address, length))
}

const files = ({ pid }: RunningTunnel) => readdirSync(`/proc/${pid}/fd`).length

/** Waits until this end knows its peer to be at an endpoint. */
const follows = (tunnel: RunningTunnel, endpoint: string) =>
  until(`${tunnel.host.name} follows to ${endpoint}`, async () => {
    return (await tunnel.status()).peers[0].endpoint === endpoint
  })

/** Bulk from b to a, in runs both ways. */
async function carries(t: Test, a: RunningTunnel, b: RunningTunnel): Promise<void> {
  const before = (await a.status()).super_frames
  await transfer({ listener: a.host, address: '10.9.0.1', connector: b.host, bytes: 4 << 20 })
  const { super_frames: now, offloads } = await a.status()
  t.ok(now.read > before.read + 20, 'super-frames leave')
  t.ok(now.written > before.written + 20, 'and arrive')
  t.match(offloads, { udp_segment: true, udp_gro: true })
}

const warnings = ({ log }: RunningTunnel) =>
  log.filter(({ level, msg }) => level === WARN && /nothing is sent or received/.test(String(msg))).length

for (const family of ['ipv4', 'ipv6'] as const) {
  t.test(`a plain tunnel waits while its address is gone, ${family}`, async (t) => {
    using pair = twoHosts()
    const { underlay } = pair
    const v6 = family === 'ipv6'
    const [own, other, length] = v6 ? [underlay.a6, underlay.b6, 64] : [underlay.a, underlay.b, 24]
    const listen = v6 ? `[${own}]:5149` : `${own}:5149`
    const [a, b] = await Promise.all([
      startTunnel(pair.a, '10.9.0.1', other, '--listen', listen),
      startTunnel(pair.b, '10.9.0.2', own),
    ])
    await untilPing(pair.a, '10.9.0.2')
    const open = files(a)
    for (let times = 1; times <= 2; times++) {
      change(pair.a, removeAddress, own, length)
      await until('it says so', () => warnings(a) === times)
      t.match(await a.status(), { listen, listen_trouble: `${own} is not an address of this host` })
      const { unreachable } = (await a.status()).drops
      pair.a.spawn('ping', ['-c', '3', '-i', '0.1', '10.9.0.2'], { stdio: 'ignore' })
      await until('what is sent is counted', async () => (await a.status()).drops.unreachable > unreachable)
      change(pair.a, addAddress, own, length)
      await untilPing(pair.a, '10.9.0.2', 20_000)
      t.match(await a.status(), { listen, listen_trouble: null })
    }
    await carries(t, a, b)
    await until('no file is left open', () => files(a) <= open)
  })
}

t.test(
  'a private tunnel follows an interface that comes late, and is made anew with other addresses',
  async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const [keyA, keyB] = [keys.make('a'), keys.make('b')]
    const a = await startTunnel(
      pair.a,
      '10.9.0.1',
      '198.18.0.9',
      '--listen',
      'wan0:7000',
      ...keyFlags(keyA, keyB),
    )
    const b = await startTunnel(pair.b, '10.9.0.2', '198.18.0.1:7000', ...keyFlags(keyB, keyA))
    t.match(await a.status(), { listen: 'wan0:7000', listen_trouble: 'there is no interface wan0' })
    const plug = (address: string) =>
      connect(
        { host: pair.a, device: 'wan0', addresses: [`${address}/24`] },
        { host: pair.b, device: 'wan0', addresses: ['198.18.0.9/24'] },
      )
    plug('198.18.0.1')
    await untilPing(pair.b, '10.9.0.1', 20_000)
    t.match(await a.status(), { listen: '198.18.0.1:7000', listen_trouble: null })
    for (const address of ['198.18.0.2', '198.18.0.3']) {
      await ok(pair.a, 'ip', 'link', 'del', 'wan0')
      await until('it waits', async () => (await a.status()).listen_trouble === 'there is no interface wan0')
      plug(address)
      await follows(b, `${address}:7000`)
      await untilPing(pair.b, '10.9.0.1')
    }
    await carries(t, a, b)
    t.equal(warnings(a), 3)
    t.equal(a.log.filter(({ msg }) => /^wan0 has 198\.18\.0\.\d: listening on/.test(String(msg))).length, 3)
  },
)

t.test(
  'two tunnels wait for the same port of two interfaces; a port that is taken ends the start',
  async (t) => {
    using pair = twoHosts()
    const start = (device: string, number: number) =>
      startTunnel(
        pair.a,
        `10.${number}.0.1`,
        pair.underlay.b,
        '--dev',
        device,
        '--listen',
        `wan${number}:5149`,
      )
    await start('tap1', 1)
    await start('tap2', 2)
    const c = await startTunnel(pair.a, '10.3.0.1', pair.underlay.b, '--dev', 'tap3', '--listen', 'eth0:5149')
    t.equal((await c.status('tap3')).listen, `${pair.underlay.a}:5149`)
    await t.rejects(
      startTunnel(pair.a, '10.4.0.1', pair.underlay.b, '--dev', 'tap4', '--listen', 'eth0:5149'),
      /UDP port 5149 is taken; stop the program that has it/,
    )
  },
)

t.test('a host without free ports for the flows of VXLAN', async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'sh', '-c', 'echo 50000 50003 > /proc/sys/net/ipv4/ip_local_port_range')
  await t.rejects(
    startTunnel(pair.a, '--encap', 'vxlan', '--vni', '5', '10.4.0.1', pair.underlay.b),
    /no UDP port of this address is free; close some of its sockets, or widen net\.ipv4\.ip_local_port_range/,
  )
  t.equal((await run(pair.a, 'ip', ['link', 'show', 'tap0'])).code, 1, 'nothing is left behind')
})

/** The kernel's own datapath among more than two hosts: whatever the switch decides is in effect there, too. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ask } from '../../../src/command/client.js'
import { connect, Host } from '../../../src/lab/host.js'
import { BPF_TCX_INGRESS } from '../../../src/linux/bpf.js'
import { getLink, setLink } from '../../../src/linux/interface.js'
import { attachedTo } from '../../support/hosts/attached.js'
import { carriedWithin } from '../../support/hosts/carried.js'
import {
  ONE_OF_FIVE,
  ok,
  pings,
  type RunningTunnel,
  startTunnel,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { bridge, Network, OVERLAY_MTU_BYTES } from '../../support/hosts/network.js'

const KERNEL = ['--datapath', 'kernel']

const carried = carriedWithin(15_000)

t.test('three hosts, and one behind a bridge that moves from end to end', async (t) => {
  using network = new Network(3)
  const tunnels = await network.mesh(...KERNEL)
  const [a, b, c] = network.hosts
  await carried(...tunnels)
  for (const [index, host] of network.hosts.entries())
    for (const other of [0, 1, 2].filter((it) => it !== index))
      t.ok(await pings(host, network.overlay(other), ...ONE_OF_FIVE), `${host.name} to ${other}`)

  using roaming = new Host('roaming')
  for (const [host, device] of [
    [b, 'at-b'],
    [c, 'at-c'],
  ] as const) {
    connect(
      { host, device: 'guest', addresses: [] },
      { host: roaming, device, addresses: [] },
      OVERLAY_MTU_BYTES,
    )
    bridge(host, 'tap0', 'guest')
    const mac = Uint8Array.of(0x02, 0x77, 0, 0, 0, 9)
    roaming.netlink((netlink) => setLink(netlink, getLink(netlink, device).index, { mac, up: false }))
  }
  const goTo = (device: string, from: string) => {
    roaming.netlink((netlink) => setLink(netlink, getLink(netlink, from).index, { up: false }))
    roaming.configure(device, ['10.9.0.60/24'])
  }
  goTo('at-b', 'at-c')
  await untilPing(roaming, network.overlay(0))
  await carried(...tunnels)
  t.ok(await pings(a, '10.9.0.60', '-c', '5', '-i', '0.05'))
  goTo('at-c', 'at-b')
  // Its first frame shows where it is now.
  await untilPing(roaming, network.overlay(0), 2_000)
  t.ok(await pings(a, '10.9.0.60', '-c', '5', '-i', '0.05'), 'and is known there by all')

  const { entries } = (await a.run(() => ask('tap0', { command: 'fdb' }))) as {
    entries: readonly { mac: string; peer: string | null }[]
  }
  t.equal(entries.find(({ mac }) => mac === '02:77:00:00:00:09')?.peer, network.underlay(2))
  for (const tunnel of tunnels) {
    const { drops } = await tunnel.status()
    t.equal(drops.malformed + drops.device_refused + drops.checksum + drops.runt, 0)
  }
})

t.test(
  'peers by two interfaces of the underlay; one of them is removed, and nothing goes there any more',
  async (t) => {
    using a = new Host('a')
    using b = new Host('b')
    using c = new Host('c')
    const cable = (host: Host, device: string, net: number) =>
      connect(
        { host: a, device, addresses: [`192.0.${net}.1/24`] },
        { host, device: 'eth0', addresses: [`192.0.${net}.2/24`] },
      )
    cable(b, 'eth0', 2)
    cable(c, 'eth1', 3)
    const folder = mkdtempSync(join(tmpdir(), 'datapath-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const config = join(folder, 'a.yaml')
    const write = (...peers: readonly string[]) =>
      writeFileSync(
        config,
        JSON.stringify({ local: ['10.9.0.1'], peers: peers.map((endpoint) => ({ endpoint })) }),
      )
    write('192.0.2.2', '192.0.3.2')
    const near = await startTunnel(a, ...KERNEL, '--config', config)
    const others = [
      await startTunnel(b, ...KERNEL, '10.9.0.2', '192.0.2.1'),
      await startTunnel(c, ...KERNEL, '10.9.0.3', '192.0.3.1'),
    ]
    for (const address of ['10.9.0.2', '10.9.0.3']) await untilPing(a, address)
    await carried(near, ...others)
    const syscalls = async () => (await near.status()).workers.tap.syscalls
    const before = await syscalls()
    for (const address of ['10.9.0.2', '10.9.0.3'])
      await ok(a, 'ping', '-q', '-c', '50', '-i', '0.002', address)
    t.ok((await syscalls()) - before < 60, 'both go by the kernel')

    write('192.0.2.2')
    await a.run(() => ask('tap0', { command: 'reload' }))
    t.notOk(await pings(a, '10.9.0.3', '-W', '0.3'), 'the removed peer gets nothing')
    await until('no program runs there', () => attachedTo(a, 'eth1', BPF_TCX_INGRESS) === 0)
    t.equal(attachedTo(a, 'eth0', BPF_TCX_INGRESS), 1)
    t.ok(await pings(a, '10.9.0.2', ...ONE_OF_FIVE))
    write('192.0.2.2', '192.0.3.2')
    await a.run(() => ask('tap0', { command: 'reload' }))
    await untilPing(a, '10.9.0.3')
    await carried(near, ...others)

    // The way to the peer is another one now: by the other interface.
    connect(
      { host: a, device: 'eth2', addresses: ['192.0.4.1/24'] },
      { host: b, device: 'eth1', addresses: ['192.0.4.2/24'] },
    )
    await ok(a, 'ip', 'route', 'add', '192.0.2.2/32', 'via', '192.0.4.2', 'src', '192.0.2.1')
    await ok(b, 'ip', 'route', 'add', '192.0.2.1/32', 'via', '192.0.4.1', 'src', '192.0.2.2')
    const startedMs = performance.now()
    await ok(a, 'ip', 'link', 'set', 'eth0', 'down')
    await untilPing(a, '10.9.0.2', 5_000)
    t.ok(performance.now() - startedMs < 2_000, 'frames take it within two seconds')
    await carried(near, ...others)
    t.ok(await pings(a, '10.9.0.2', ...ONE_OF_FIVE))
    for (const tunnel of [near, ...others]) t.equal((await tunnel.stop()).code, 0)
  },
)

t.test('rules of the switch hold: pinned MACs and addresses', async (t) => {
  using network = new Network(3)
  const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03']
  const folder = mkdtempSync(join(tmpdir(), 'datapath-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const tunnels: RunningTunnel[] = []
  for (const [index, host] of network.hosts.entries()) {
    const config = join(folder, `${index}.yaml`)
    const peers = [0, 1, 2]
      .filter((it) => it !== index)
      .map((it) => ({ endpoint: network.underlay(it), macs: [macs[it]], addresses: [network.overlay(it)] }))
    writeFileSync(config, JSON.stringify({ local: [network.overlay(index)], mac: macs[index], peers }))
    tunnels.push(await startTunnel(host, ...KERNEL, '--config', config))
  }
  const [a, b, c] = network.hosts
  await untilPing(a, network.overlay(1))
  await untilPing(c, network.overlay(0))
  await carried(...tunnels)
  t.ok(await pings(a, network.overlay(1), ...ONE_OF_FIVE))
  // Host c takes b's MAC. Host a lets nothing in from there.
  const mac = Uint8Array.of(0x02, 0, 0, 0, 0, 2)
  c.netlink((netlink) => setLink(netlink, getLink(netlink, 'tap0').index, { mac }))
  const before = (await tunnels[0].status()).drops.not_allowed
  await ok(c, 'ip', 'neigh', 'replace', network.overlay(0), 'lladdr', macs[0], 'dev', 'tap0')
  t.notOk(await pings(c, network.overlay(0), '-W', '0.3'))
  await until('it is counted', async () => (await tunnels[0].status()).drops.not_allowed > before)
  t.ok(await pings(b, network.overlay(0), ...ONE_OF_FIVE), 'and b is where it was')
})

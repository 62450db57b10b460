/**
 * What the kernel's own datapath has unwrapped is passed on to another device: whole, and with every checksum right. A
 * super-frame keeps its tunnel mark, and the device that it goes to must cut it all the same.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect, Host } from '../../../src/lab/host.js'
import { VXLAN_HEADER_BYTES } from '../../../src/wire/vxlan.js'
import {
  ok,
  type Pair,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { bridge, OVERLAY_MTU_BYTES } from '../../support/hosts/network.js'
import { transfer } from '../../support/hosts/transfer.js'
import { VXLAN, vxlanDevice } from '../../support/hosts/vxlan-device.js'

const BYTES = 10_000_000
const VXLAN_BYTES = 50

const carrier = async (tunnel: RunningTunnel) => (await tunnel.status()).peers[0].datapath.by

async function carriedPair({ a, b, underlay }: Pair): Promise<void> {
  const tunnels = [
    await startTunnel(a, '--datapath', 'kernel', '10.9.0.1', 'fd00:9::1', underlay.b),
    await startTunnel(b, '--datapath', 'kernel', '--peer', underlay.a),
  ]
  for (const tunnel of tunnels)
    await until('the kernel carries', async () => (await carrier(tunnel)) === 'kernel', 10_000)
}

/** The same, with a device of the kernel in place of the first tunnel. */
async function carriedDevice({ a, b, underlay }: Pair): Promise<void> {
  const ends = { vni: 42, remote: underlay.b, local: underlay.a }
  await vxlanDevice(a, ends, '10.9.0.1/24', 'fd00:9::1/64')
  const tunnel = await startTunnel(b, ...VXLAN, '--datapath', 'kernel', '--peer', underlay.a)
  await until('the kernel carries', async () => (await carrier(tunnel)) === 'kernel', 10_000)
}

/** Bulk both ways at once, over IPv4 and IPv6, and all bytes are right. */
async function exchange(a: Host, c: Host): Promise<void> {
  for (const address of ['10.9.0.3', 'fd00:9::3']) {
    await untilPing(a, address, 10_000)
    const { listener, connector } = await transfer({ listener: c, address, connector: a, bytes: BYTES })
    t.same(listener.received, connector.sent, `${address}: what was sent has come`)
    t.same(connector.received, listener.sent, `${address}: and back`)
  }
}

/** Captures on a device while `work` runs, and asks tshark, which is no part of this project, about every checksum. */
async function wrongSums(
  host: Host,
  device: string,
  work: () => Promise<void>,
): Promise<{ wrong: string[]; packets: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'udptun-fast-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'onward.pcap')
  const dump = host.spawn('tcpdump', ['-i', device, '-Q', 'in', '-w', file, '-B', '65536', 'tcp'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await new Promise((resolve) => dump.stderr?.once('data', resolve))
  await work()
  dump.kill('SIGINT')
  await new Promise((resolve) => dump.once('exit', resolve))
  const check = ['ip', 'tcp'].flatMap((layer) => ['-o', `${layer}.check_checksum:TRUE`])
  const fields = ['ip.checksum.status', 'tcp.checksum.status', 'tcp.checksum'].flatMap((it) => ['-e', it])
  const table = await ok(host, 'tshark', '-r', file, ...check, '-T', 'fields', ...fields)
  const lines = table.trimEnd().split('\n')
  // The kernel writes a checksum of zero as all ones, which is the same number (RFC 1071). tshark calls it wrong.
  const isRight = (line: string) => /^(1|Good)?\t((1|Good)\t|.*\t0xffff$)/.test(line)
  return { wrong: lines.filter((line) => !isRight(line)), packets: lines.length }
}

for (const [from, carried, mtuBytes] of [
  ['a tunnel', carriedPair, OVERLAY_MTU_BYTES],
  ['a VXLAN device', carriedDevice, OVERLAY_MTU_BYTES - VXLAN_HEADER_BYTES],
] as const)
  t.test(`from ${from} onward over a bridge to a device without any offload`, async (t) => {
    using pair = twoHosts()
    using guest = new Host('guest')
    await carried(pair)
    connect(
      { host: pair.b, device: 'guest', addresses: [] },
      { host: guest, device: 'eth0', addresses: ['10.9.0.3/24', 'fd00:9::3/64'] },
      mtuBytes,
    )
    const off = ['tx', 'sg', 'tso', 'gso', 'gro'].flatMap((offload) => [offload, 'off'])
    await ok(pair.b, 'ethtool', '-K', 'guest', ...off)
    await ok(guest, 'ethtool', '-K', 'eth0', ...off)
    bridge(pair.b, 'tap0', 'guest')
    const { wrong, packets } = await wrongSums(guest, 'eth0', () => exchange(pair.a, guest))
    t.same(wrong.slice(0, 3), [], `${wrong.length} of ${packets} packets`)
    t.ok(packets > (2 * BYTES) / mtuBytes, `${packets} packets of a frame each`)
  })

t.test('onward over a bridge into VXLAN', async (t) => {
  using pair = twoHosts()
  using guest = new Host('guest')
  await carriedPair(pair)
  connect(
    { host: pair.b, device: 'eth1', addresses: ['198.51.100.2/24'] },
    { host: guest, device: 'eth1', addresses: ['198.51.100.3/24'] },
    OVERLAY_MTU_BYTES + VXLAN_BYTES,
  )
  for (const [host, to] of [
    [pair.b, '198.51.100.3'],
    [guest, '198.51.100.2'],
  ] as const) {
    await ok(
      host,
      'ip',
      'link',
      'add',
      'vx0',
      'type',
      'vxlan',
      'id',
      '7',
      'dstport',
      '4789',
      'remote',
      to,
      'dev',
      'eth1',
    )
    await ok(host, 'ip', 'link', 'set', 'vx0', 'mtu', String(OVERLAY_MTU_BYTES), 'up')
  }
  // So that every checksum is filled in before it comes to the other end of the cable.
  for (const host of [pair.b, guest])
    await ok(host, 'ethtool', '-K', 'eth1', 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off')
  guest.configure('vx0', ['10.9.0.3/24', 'fd00:9::3/64'])
  bridge(pair.b, 'tap0', 'vx0')
  await ok(guest, 'ethtool', '-K', 'vx0', 'gro', 'off')
  const { wrong } = await wrongSums(guest, 'vx0', () => exchange(pair.a, guest))
  t.same(wrong.slice(0, 3), [], 'every checksum is right')
})

import type { Test } from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { ok, pings, type RunningTunnel, startTunnel, until, untilPing } from './lab.js'
import type { Path } from './path.js'

export const VXLAN = ['--encap', 'vxlan', '--vni', '42'] as const

export interface VxlanEnds {
  readonly vni: number
  readonly remote?: string
  readonly local?: string
  /** Whether it sends UDP checksums over IPv4. */
  readonly sums?: boolean
}

/** A VXLAN device of the kernel, with a static way to one host, or with none. */
export async function vxlanDevice(
  host: Host,
  { vni, remote, local, sums = true }: VxlanEnds,
  ...addresses: readonly string[]
): Promise<void> {
  const to = remote === undefined ? ['nolearning'] : ['remote', remote]
  const from = local === undefined ? [] : ['local', local]
  await ok(
    host,
    'ip',
    'link',
    'add',
    `vx${vni}`,
    'type',
    'vxlan',
    'id',
    `${vni}`,
    ...to,
    ...from,
    'dstport',
    '4789',
    ...(sums ? [] : ['noudpcsum']),
  )
  host.configure(`vx${vni}`, addresses)
}

/** The interface fills checksums in and cuts itself, as a plain network card. */
export async function withoutOffloads(host: Host): Promise<void> {
  await ok(
    host,
    'ethtool',
    '-K',
    'eth0',
    'tx',
    'off',
    'tx-udp_tnl-segmentation',
    'off',
    'tx-udp_tnl-csum-segmentation',
    'off',
  )
}

/** A device of the kernel at the end of a path of two links, the second of 1,400 bytes, and a tunnel that reaches it. */
export async function onNarrowPath(
  { a, b, underlay }: Path,
  ...flags: readonly string[]
): Promise<RunningTunnel> {
  await vxlanDevice(b, { vni: 42, remote: underlay.a, local: underlay.b }, '10.9.0.2/24')
  b.configure('vx42', [], { mtuBytes: 1350 })
  const tunnel = await startTunnel(a, '10.9.0.1', underlay.b, ...flags)
  await untilPing(a, '10.9.0.2')
  return tunnel
}

/** The tunnel's MTU is that of the narrow link, and follows it when it becomes narrower. */
export async function followsNarrowPath(t: Test, path: Path, tunnel: RunningTunnel): Promise<void> {
  await until('the device fits the path', async () => (await tunnel.status()).mtu_bytes === 1350)
  t.ok(await pings(path.a, '10.9.0.2', '-M', 'do', '-s', '1322'), 'the longest frame passes')
  path.setMtu(1, 1300)
  await until('it follows', async () => {
    await pings(path.a, '10.9.0.2', '-s', '1300', '-W', '1')
    return (await tunnel.status()).mtu_bytes === 1250
  })
}

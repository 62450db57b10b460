import type { Host } from '../../../src/lab/host.js'
import { ok } from './lab.js'

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

import { VXLAN_PORT } from '../wire/vxlan.js'
import { DEFAULT_PORT, formatEndpoint, type Remote } from './addresses.js'
import type { Conflict, SettingPath } from './conflicts.js'
import type { Settings } from './schema.js'

/** What is given, with the port of VXLAN if the settings name none. */
export function withVxlanPort(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return given.encap === 'vxlan' && (given.listen ?? undefined) === undefined
    ? { ...given, listen: VXLAN_PORT }
    : { ...given }
}

/**
 * All ends of a VXLAN network use one port, to which each sends and at which each listens. So it is also the port of
 * an endpoint that has none.
 */
export function withCommonPort(
  endpoint: Remote | undefined,
  { encap, listen }: Pick<Settings, 'encap' | 'listen'>,
): Remote | undefined {
  return encap === 'vxlan' && endpoint?.port === DEFAULT_PORT ? { ...endpoint, port: listen.port } : endpoint
}

export function conflictOfVxlan(
  { encap, vni, private_key_file, mode, relay, listen, peers }: Settings,
  pathOf: (index: number) => SettingPath,
): Conflict | undefined {
  if (encap === 'auto')
    return vni === undefined ? undefined : [['vni'], 'is for encap vxlan; give that, too, or leave it out']
  if (private_key_file !== undefined)
    return [['encap'], 'vxlan does not go with keys, because VXLAN seals nothing; leave one of them out']
  if (vni === undefined)
    return [['encap'], 'vxlan needs the number of the network; give a vni (--vni), such as 42']
  if (mode === 'tun')
    return [['encap'], 'vxlan carries Ethernet frames, and mode tun has none; leave one of them out']
  if (relay)
    return [
      ['relay'],
      'makes no sense with encap vxlan, because each end of such a network sends to all others itself; leave it out',
    ]
  if (listen.port === 0)
    return [['listen'], `needs a port with encap vxlan, the one of all ends, such as ${VXLAN_PORT}`]
  for (const [index, { endpoint }] of peers.entries()) {
    if (endpoint === undefined || endpoint.port === listen.port) continue
    const text = formatEndpoint({ address: endpoint.host, port: endpoint.port })
    return [
      pathOf(index),
      `"${text}" has another port than listen has (${listen.port}), and all ends of a VXLAN network use one; leave one of them out`,
    ]
  }
  return undefined
}

/** What the workers must know of VXLAN; undefined if the settings want none. */
export function vxlanOf({ encap, vni, listen }: Settings): { vni: number; port: number } | undefined {
  return encap === 'vxlan' && vni !== undefined ? { vni, port: listen.port } : undefined
}

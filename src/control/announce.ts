import { formatEndpoint, formatPrefix } from '../config/addresses.js'
import { vxlanOf } from '../config/vxlan.js'
import { numeric, reservedAs } from './mesh/networks.js'
import type { Parts, PartsOptions } from './parts.js'

/** This warning is logged once. */
const PLAIN =
  'this tunnel is not private: anybody on the way can read what it carries, and add frames to it; udptun-fast keygen makes keys'

type Announced = Pick<Parts, 'device' | 'listening' | 'peers' | 'roster'>

/** The first line of the log: the tunnel is up. */
export function announce(
  { settings, log }: Pick<PartsOptions, 'settings' | 'log'>,
  parts: Announced,
  deviceName: string,
): void {
  const { device, listening, roster } = parts
  const addresses = settings.local.map(formatPrefix)
  const fields = {
    device: deviceName,
    mode: settings.mode,
    local: addresses,
    mtu_bytes: device.mtuBytes,
    listen: listening.text,
    ...fieldsOf(parts),
  }
  const vni = vxlanOf(settings)?.vni
  const way = vni === undefined ? 'UDP' : `VXLAN (VNI ${vni})`
  log.info(
    fields,
    `${fields.device} is up: ${addresses.join(', ') || 'no address'}, MTU ${fields.mtu_bytes}, to ${textOf(roster)} over ${way}, listening on ${fields.listen}`,
  )
}

/** How the sentence names the peers. */
function textOf({ all: [first, ...others] }: Announced['roster']): string {
  if (first === undefined) return 'no peer yet'
  if (others.length > 0) return `${others.length + 1} peers`
  if (first.endpoint !== undefined) return formatEndpoint(first.endpoint)
  return first.hasName ? `${first.host}, which is not found yet,` : `${first.name}, which has not come yet,`
}

/** The same, as fields of the log. */
function fieldsOf({ peers, roster }: Announced): Record<string, unknown> {
  const [first, ...others] = roster.all
  if (others.length === 0 && first?.endpoint !== undefined)
    return { remote: formatEndpoint(first.endpoint), underlay: first.underlay?.interface }
  return { peers: peers.status().map(({ name, endpoint }) => ({ name, endpoint })) }
}

/** The lines after that: what this tunnel is without, and what will hardly work. */
export function announceLacks(
  { settings, platform, log }: Pick<PartsOptions, 'settings' | 'platform' | 'log'>,
  { privateSide, roster }: Pick<Parts, 'privateSide' | 'roster'>,
): void {
  if (privateSide === undefined) log.warn(PLAIN)
  for (const local of settings.local) {
    const reserved = reservedAs(numeric(local))
    if (reserved !== undefined)
      log.warn(
        `${formatPrefix(local)} is the ${reserved} of its network, which no host can have; give this host another address`,
      )
  }
  const { deaf } = platform.network.icmp
  if (deaf !== undefined)
    log.info(
      `ICMP errors are not heard (${deaf}), so only probes find what the paths carry; give CAP_NET_RAW to hear them`,
    )
  for (const { name, endpoint, underlay } of roster.all) {
    if (endpoint === undefined || underlay?.interface !== undefined) continue
    log.warn(
      { peer: name },
      `there is no route to ${endpoint.address} yet; carrying on, and looking again every second`,
    )
  }
}

import type { Encap } from '../../encap/encap.js'
import type { RosterPeer } from '../peer/roster.js'
import { familyOf } from '../peer/underlay.js'
import type { Platform } from '../platform.js'
import type { Tables } from '../tables.js'
import type { KernelWay } from './kernel-path.js'

export interface WayContext {
  readonly encap: Encap
  readonly platform: Pick<Platform, 'socket'>
  readonly tables: Pick<Tables, 'limits'>
}

/** The way to a peer; undefined if there is none that the kernel's datapath can take. */
export function wayTo(
  { encap, platform, tables }: WayContext,
  { row, endpoint, underlay, source }: RosterPeer,
): KernelWay | undefined {
  if (endpoint === undefined || source === undefined) return undefined
  if (underlay?.interface === undefined || underlay.index === undefined) return undefined
  const family = familyOf(endpoint.address)
  if (familyOf(source) !== family) return undefined
  if (encap.vni !== undefined && family !== 'ipv4') return undefined
  const whole = tables.limits.whole(row)
  const longestFrameBytes = Math.min(whole, encap.wholeFrameBytes(underlay.mtuBytes, family))
  if (longestFrameBytes <= 0 || platform.socket.local.port === 0) return undefined
  return {
    interface: underlay.interface,
    ifindex: underlay.index,
    gateway: underlay.gateway,
    source,
    destination: endpoint.address,
    destinationPort: endpoint.port,
    longestFrameBytes,
  }
}

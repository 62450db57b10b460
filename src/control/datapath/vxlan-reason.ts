import type { Entry } from './entry.js'
import type { KernelWay } from './kernel-path.js'
import type { WorkerReason } from './reason.js'

/** Why the workers carry a peer of a VXLAN network. @param path what is in the way of all peers */
export function vxlanReason(
  { peer, way, hindrance, watch }: Entry,
  there: KernelWay | undefined,
  path: WorkerReason | undefined,
): WorkerReason | undefined {
  if (there === undefined) return peer.endpoint?.address.includes(':') ? 'checksum' : 'no_way'
  if (hindrance !== undefined) return hindrance
  if (way === undefined) return 'underlay'
  return path ?? (watch?.refused ? 'forbidden' : undefined)
}

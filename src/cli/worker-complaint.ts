import { WORKER_REASONS, type WorkerReason } from '../control/datapath/reason.js'
import type { PeerStatus } from '../control/status.js'

/** What the settings or the kind of the underlay decide. Nobody is to mend that. */
const DECIDED: ReadonlySet<WorkerReason> = new Set([
  'setting',
  'private',
  'netns',
  'relay',
  'mss_clamp',
  'checksum',
  'underlay',
])

/** What the workers do not get through either, so that a peer may be down for it. */
const STOPS_ALL: ReadonlySet<WorkerReason> = new Set(['device_down', 'forbidden', 'no_way'])

/** Whether the kernel could carry a peer, or does. */
export function mayBeKernel({ datapath: { reason } }: Pick<PeerStatus, 'datapath'>): boolean {
  return reason === null || !DECIDED.has(reason)
}

/** Why the workers carry a peer, if that is worth a complaint; undefined if not. */
export function workerComplaint(peer: Pick<PeerStatus, 'datapath' | 'state'>): string | undefined {
  const { reason } = peer.datapath
  if (reason === null || !mayBeKernel(peer)) return undefined
  // The frames of a peer that is down would not arrive by the kernel either.
  if (peer.state === 'down' && !STOPS_ALL.has(reason)) return undefined
  return `the workers carry its frames, because ${WORKER_REASONS[reason]}`
}

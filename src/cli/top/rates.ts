import type { DropReason, PeerTraffic, StatusReport } from '../../control/status.js'

/** What went one way in a second. */
export interface WayRate {
  readonly frames: number
  readonly bits: number
}

export interface PeerRates {
  readonly outbound: WayRate
  readonly inbound: WayRate
  /** Frames dropped a second, both ways. */
  readonly dropped: number
}

export interface WorkerRates {
  readonly syscalls: number
  readonly wake_ups: number
  readonly doorbells: number
  readonly ring_full: number
}

/** All of it a second, and the mean since the report before. */
export interface Rates {
  readonly outbound: WayRate
  readonly inbound: WayRate
  readonly drops: Readonly<Record<DropReason, number>>
  /** Of all reasons together. */
  readonly dropped: number
  readonly workers: { readonly tap: WorkerRates; readonly udp: WorkerRates }
  /** By name. A peer that is new has none yet. */
  readonly peers: ReadonlyMap<string, PeerRates>
}

/**
 * The rates between two reports; undefined if the tunnel has been started again between them. A count that has become
 * less was set back, such as that of a peer that was removed and added again: its rate is zero, and never negative.
 */
export function ratesBetween(before: StatusReport, now: StatusReport): Rates | undefined {
  const seconds = now.uptime_s - before.uptime_s
  if (now.pid !== before.pid || seconds <= 0) return undefined
  const per = (after: number, earlier: number) => Math.max(0, after - earlier) / seconds
  const way = (after: Amount, earlier: Amount): WayRate => ({
    frames: per(after.frames, earlier.frames),
    bits: per(after.bytes, earlier.bytes) * 8,
  })
  const worker = (name: 'tap' | 'udp'): WorkerRates => {
    const [after, earlier] = [now.workers[name], before.workers[name]]
    return {
      syscalls: per(after.syscalls, earlier.syscalls),
      wake_ups: per(after.wake_ups, earlier.wake_ups),
      doorbells: per(after.doorbells, earlier.doorbells),
      ring_full: per(after.ring_full, earlier.ring_full),
    }
  }
  const reasons = Object.keys(now.drops) as DropReason[]
  const drops = Object.fromEntries(
    reasons.map((reason) => [reason, per(now.drops[reason], before.drops[reason] ?? 0)]),
  ) as Record<DropReason, number>
  const earlierPeers = new Map(before.peers.map((peer) => [peer.name, peer]))
  const peers = now.peers.flatMap((peer): [string, PeerRates][] => {
    const earlier = earlierPeers.get(peer.name)
    if (earlier === undefined) return []
    const rates = {
      outbound: way(peer.outbound, earlier.outbound),
      inbound: way(peer.inbound, earlier.inbound),
      dropped:
        per(peer.outbound.dropped, earlier.outbound.dropped) +
        per(peer.inbound.dropped, earlier.inbound.dropped),
    }
    return [[peer.name, rates]]
  })
  return {
    outbound: way(now.outbound, before.outbound),
    inbound: way(now.inbound, before.inbound),
    drops,
    dropped: reasons.reduce((sum, reason) => sum + drops[reason], 0),
    workers: { tap: worker('tap'), udp: worker('udp') },
    peers: new Map(peers),
  }
}

type Amount = Pick<PeerTraffic, 'frames' | 'bytes'>

import type { Load } from './loads/load.js'
import type { Peer } from './peers/peer.js'
import type { UnderlaySpec } from './underlay.js'

/** What is measured, how often, and for how long. */
export interface Plan {
  readonly rounds: number
  /** Length of each throughput measurement. */
  readonly seconds: number
  readonly underlays: readonly UnderlaySpec[]
  readonly peers: readonly Peer[]
  readonly loads: readonly Load[]
}

/** One tunnel that is started once. All loads run on it, one after the other. */
export interface Step {
  /** Counts from 1. */
  readonly round: number
  readonly underlay: UnderlaySpec
  readonly peer: Peer
  readonly estimateSeconds: number
}

/** Time to make the hosts, to warm up, and to remove everything. */
const LAB_SECONDS = 0.4

/**
 * All steps in their order. Every peer has its turn within a round, so that a drift of the machine affects all.
 * The first peer changes from round to round, because the state that one leaves (heat, caches) affects the
 * next.
 */
export function steps({ rounds, seconds, underlays, peers, loads }: Plan): Step[] {
  const loadSeconds = loads.reduce((sum, load) => sum + load.estimateSeconds(seconds), 0)
  return Array.from({ length: rounds }, (_, index) => index + 1).flatMap((round) =>
    underlays.flatMap((underlay) =>
      rotate(peers, round - 1).map((peer) => ({
        round,
        underlay,
        peer,
        estimateSeconds: LAB_SECONDS + peer.startSeconds + (peer.settleSeconds ?? 0) + loadSeconds,
      })),
    ),
  )
}

function rotate<T>(list: readonly T[], by: number): T[] {
  const first = by % list.length
  return [...list.slice(first), ...list.slice(0, first)]
}

/** The estimated time of the remaining steps, corrected by the real time of the finished steps. */
export function remainingSeconds(all: readonly Step[], done: number, elapsedSeconds: number): number {
  const sum = (part: readonly Step[]) => part.reduce((total, step) => total + step.estimateSeconds, 0)
  const pace = done === 0 ? 1 : elapsedSeconds / sum(all.slice(0, done))
  return sum(all.slice(done)) * pace
}

import { type PeerCounts, sumPeerCounters } from '../../memory/peer-counters.js'
import type { PeerTraffic } from '../status.js'

/** How a peer was heard. The counts are not from zero on. */
export interface Ways {
  /** Frames for it, those that were dropped, too. */
  readonly tried: number
  /** Messages of any kind that have come from it directly. */
  readonly heard: number
  /** Those that an introducer relayed. */
  readonly relayed: number
}

/**
 * What has been carried to and from one peer: the sums of all blocks of counters. The counters of its row go on from
 * where they were when the row belonged to another peer.
 */
export class Traffic {
  readonly #row: number
  readonly #blocks: readonly Float64Array[]
  /** The counters when this peer took the row. */
  readonly #base: PeerCounts
  /** How many frames had gone to it at the last call of {@link hasSent}. */
  #sentFrames: number

  constructor(row: number, blocks: readonly Float64Array[]) {
    this.#row = row
    this.#blocks = blocks
    this.#base = this.#counts
    this.#sentFrames = this.#base.sentFrames
  }

  get #counts(): PeerCounts {
    return sumPeerCounters(this.#row, ...this.#blocks)
  }

  /** How many frames have gone to it, and how many messages of any kind have come; not from zero on. */
  get totals(): { readonly sentFrames: number; readonly receivedFrames: number } {
    const { sentFrames, receivedFrames, receivedKeepalives } = this.#counts
    return { sentFrames, receivedFrames: receivedFrames + receivedKeepalives }
  }

  get ways(): Ways {
    const { receivedFrames, receivedKeepalives, receivedRelayed, sentFrames, droppedOutbound } = this.#counts
    return {
      tried: sentFrames + droppedOutbound,
      heard: receivedFrames + receivedKeepalives - receivedRelayed,
      relayed: receivedRelayed,
    }
  }

  /** Whether frames have gone to it since the last call. */
  hasSent(): boolean {
    const before = this.#sentFrames
    this.#sentFrames = this.#counts.sentFrames
    return this.#sentFrames !== before
  }

  /** As `status` shows it: since this peer took the row. */
  status(): { readonly outbound: PeerTraffic; readonly inbound: PeerTraffic } {
    const counts = this.#counts
    const since = (name: keyof PeerCounts) => counts[name] - this.#base[name]
    return {
      outbound: {
        frames: since('sentFrames'),
        bytes: since('sentBytes'),
        dropped: since('droppedOutbound'),
      },
      inbound: {
        frames: since('receivedFrames'),
        bytes: since('receivedBytes'),
        dropped: since('droppedInbound'),
      },
    }
  }
}

import { type PeerCounts, sumPeerCounters } from '../../memory/peer-counters.js'
import type { PeerTraffic } from '../status.js'

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

  /** The same of those messages that came directly, not by an introducer. */
  get heardDirectly(): number {
    const { receivedFrames, receivedKeepalives, receivedRelayed } = this.#counts
    return receivedFrames + receivedKeepalives - receivedRelayed
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

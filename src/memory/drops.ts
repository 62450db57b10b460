import { P, PEER_STRIDE } from './peer-counters.js'

/**
 * Counts dropped frames in a worker's own blocks (counters.ts, peer-counters.ts). Every drop is counted once
 * by its reason, the index of a counter `C.drop…`. If it is known whose frames they were, it is also counted
 * for that peer.
 */
export class Drops {
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array

  constructor(counters: Float64Array, peerCounters: Float64Array) {
    this.#counters = counters
    this.#peerCounters = peerCounters
  }

  /** Frames to the peer in this row. */
  outbound(reason: number, row: number, frames: number): void {
    this.#counters[reason] += frames
    this.#peerCounters[row * PEER_STRIDE + P.droppedOutbound] += frames
  }

  /** Frames from the peer in this row. */
  inbound(reason: number, row: number, frames: number): void {
    this.#counters[reason] += frames
    this.#peerCounters[row * PEER_STRIDE + P.droppedInbound] += frames
  }

  /** Frames of nobody in particular: to or from no peer, or from a sender that has not proved who it is. */
  ofNobody(reason: number, frames: number): void {
    this.#counters[reason] += frames
  }
}

import { C } from '../../memory/counters.js'
import type { PeerTable } from '../../memory/peer-table.js'
import type { Scratch } from '../scratch.js'
import { type PathPolicy, WHOLE } from './path-policy.js'
import { Sender, type SenderOptions } from './sender.js'

/**
 * Passes frames from peers on to other peers, on a hub. The frames are sent from where they were received,
 * unchanged. The relay never waits: it drops what the socket does not accept now, as a switch does at a
 * congested port. It does not fragment either, because only the outbound ring's consumer may change the socket
 * (path-policy.ts).
 */
export class Relay {
  readonly #sender: Sender
  readonly #peers: PeerTable
  readonly #pathPolicy: PathPolicy
  readonly #counters: Float64Array

  constructor(
    options: SenderOptions & { readonly peers: PeerTable },
    scratch: Scratch,
    counters: Float64Array,
  ) {
    this.#sender = new Sender(options, scratch, counters)
    this.#peers = options.peers
    this.#pathPolicy = options.pathPolicy
    this.#counters = counters
  }

  /** Adds a frame for another peer. It must stay in place until {@link flush}. */
  toPeer(frame: number, bytes: number, peer: number): void {
    if (!this.#peers.inUse(peer)) {
      this.#sender.dropFor(peer, 1)
      return
    }
    if (!this.#passes(peer, bytes)) return
    if (!this.#sender.fits(bytes)) this.flush()
    this.#sender.opens(false, this.#pathPolicy.takesRuns(peer))
    this.#sender.addFrame(frame, bytes, peer, this.#peers.address(peer))
    if (this.#sender.batch.full) this.flush()
  }

  /** Adds a frame for all peers except the one it came from. */
  toOthers(frame: number, bytes: number, from: number): void {
    if (this.#sender.seals) {
      for (let peer = 0; peer < this.#peers.rowsInUse; peer++)
        if (peer !== from && this.#peers.inUse(peer)) this.toPeer(frame, bytes, peer)
      return
    }
    const { batch } = this.#sender
    if (batch.room < this.#peers.countInUse) this.flush()
    this.#sender.opens(false, false)
    const first = batch.count
    batch.close()
    for (let peer = 0; peer < this.#peers.rowsInUse; peer++) {
      if (peer === from || !this.#peers.inUse(peer) || !this.#passes(peer, bytes)) continue
      const name = this.#peers.address(peer)
      if (batch.count === first) batch.addFrame(frame, bytes, peer, name)
      else batch.repeat(first, first + 1, peer, name)
    }
    if (batch.full) this.flush()
  }

  /** Sends the frames that were added. */
  flush(): void {
    this.#sender.flushOrDrop()
  }

  #passes(peer: number, bytes: number): boolean {
    if (this.#pathPolicy.judge(peer, bytes) === WHOLE) return true
    this.#counters[C.dropOverPath]++
    this.#sender.countFor(peer, 1)
    return false
  }
}

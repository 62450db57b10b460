import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import type { PeerTable } from '../../memory/peer-table.js'
import type { Scratch } from '../scratch.js'
import type { PathPolicy } from './path-policy.js'
import { MESSAGES } from './send-batch.js'
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
  readonly #drops: Drops

  constructor(options: SenderOptions, scratch: Scratch, counters: Float64Array) {
    this.#sender = new Sender(options, scratch, counters)
    this.#peers = options.peers
    this.#pathPolicy = options.pathPolicy
    this.#drops = options.drops
  }

  /** Adds a frame for another peer. It must stay in place until {@link flush}. */
  toPeer(frame: number, bytes: number, row: number): void {
    if (!this.#peers.inUse(row)) {
      this.#drops.outbound(C.dropUnreachable, row, 1)
      return
    }
    if (!this.#passes(row, bytes)) return
    if (!this.#sender.fits(bytes)) this.flush()
    this.#sender.opens(false, this.#pathPolicy.takesRuns(row))
    this.#sender.addFrame(frame, bytes, row)
    if (this.#sender.full) this.flush()
  }

  /** Adds a frame for all peers except the one in row `from`, where it came from. */
  toOthers(frame: number, bytes: number, from: number): void {
    const sender = this.#sender
    const peers = this.#peers
    if (sender.seals || peers.countInUse > MESSAGES) {
      for (let row = 0; row < peers.rowsInUse; row++)
        if (row !== from && peers.inUse(row)) this.toPeer(frame, bytes, row)
      return
    }
    if (sender.room < peers.countInUse) this.flush()
    sender.opens(false, false)
    sender.beginFlood()
    let added = false
    for (let row = 0; row < peers.rowsInUse; row++) {
      if (row === from || !peers.inUse(row) || !this.#passes(row, bytes)) continue
      if (!added) sender.addFrame(frame, bytes, row)
      else if (!sender.repeat(row)) this.#drops.outbound(C.dropUnreachable, row, 1)
      added = true
    }
    sender.endFlood()
    if (sender.full) this.flush()
  }

  /** Sends the frames that were added. */
  flush(): void {
    this.#sender.flushOrDrop()
  }

  #passes(row: number, bytes: number): boolean {
    if (this.#pathPolicy.isWhole(row, bytes)) return true
    this.#drops.outbound(C.dropOverPath, row, 1)
    return false
  }
}

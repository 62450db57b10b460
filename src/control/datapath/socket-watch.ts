import { C } from '../../memory/counters.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import type { Tables } from '../tables.js'

/**
 * What becomes of one peer's frames that go by the sockets. No end of a VXLAN network answers keepalives. So only these
 * frames show whether netfilter lets a peer's datagrams pass. The programs leave some to the workers for that.
 */
export class SocketWatch {
  /** Whether this host has refused the last that went to the peer. */
  refused = false
  readonly #row: number
  readonly #tables: Pick<Tables, 'counters' | 'workerPeerCounters'>
  readonly #last = { received: 0, sent: 0, dropped: 0, forbidden: 0 }

  constructor(row: number, tables: Pick<Tables, 'counters' | 'workerPeerCounters'>) {
    this.#row = row
    this.#tables = tables
    this.look()
    this.refused = false
  }

  /** Takes what has been counted since the last look. @returns whether something has come from the peer */
  look(): boolean {
    const last = this.#last
    const received = this.#sum(P.receivedFrames)
    const sent = this.#sum(P.sentFrames)
    const dropped = this.#sum(P.droppedOutbound)
    const { tap, udp } = this.#tables.counters
    const forbidden = tap[C.dropForbidden] + udp[C.dropForbidden]
    const heard = received > last.received
    // What is forbidden is not counted for each peer. So a peer whose frames are dropped at that time counts as refused.
    if (forbidden > last.forbidden && dropped > last.dropped) this.refused = true
    else if (sent > last.sent) this.refused = false
    Object.assign(last, { received, sent, dropped, forbidden })
    return heard
  }

  #sum(counter: number): number {
    const at = this.#row * PEER_STRIDE + counter
    return this.#tables.workerPeerCounters.reduce((sum, block) => sum + block[at], 0)
  }
}
